"""Measure an upload into the page: speed beside `cp` of the same file, memory of its process, and a cut with what follows.

    python -m benchmarks.upload [--megabytes 2000] [--folder DIR]

A real `heygem web` process serves a temporary site in DIR. The file is sent as one PATCH that is cut in its middle, then the rest.
Needs three times the size of the file on the disk.
"""

import argparse
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

MEGABYTE: Final = 10**6
_BLOCK: Final = 2**20
_TUS: Final = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """upload, copy: bytes per second. offset: where the cut left off. peak: largest resident memory of the page in bytes; cpu: its
    processor time in s."""

    upload: float
    copy: float
    offset: int
    peak: int
    cpu: float
    is_same: bool


def measure(size: int, folder: Path) -> Result:
    """Upload a file of `size` bytes into a new site in `folder`, with a cut in the middle."""
    source = folder / "source.mp4"
    write_file(source, size)
    with page(folder) as (client, process):
        idle = cpu_seconds(process)
        draft = client.post("/api/v1/drafts", json={"inbox": 0}).raise_for_status().json()["draft"]
        location = begin(client, draft, source.name, size)
        began = time.monotonic()
        send_and_cut(client, location, source, size // 2)
        offset = resume(client, location, source)
        seconds = time.monotonic() - began
        peak, cpu = peak_bytes(process), cpu_seconds(process) - idle
    stored = folder / "inbox" / ".heygem-uploads" / draft / "drop" / "videos" / source.name
    is_same = digest(stored) == digest(source)
    copy = size / copy_seconds(source, folder / "copy")
    return Result(upload=size / seconds, copy=copy, offset=offset, peak=peak, cpu=cpu, is_same=is_same)


def write_file(path: Path, size: int) -> None:
    """Write a file that no file system can make smaller."""
    random_bytes = random.Random(7)
    with path.open("wb") as file:
        for left in range(size, 0, -_BLOCK):
            file.write(random_bytes.randbytes(min(left, _BLOCK)))


@contextmanager
def page(folder: Path) -> Iterator[tuple[httpx.Client, "subprocess.Popen[str]"]]:
    """Run the page on a site in `folder`; yield a client and the process."""
    for name in ("inbox", "outputs"):
        (folder / name).mkdir()
    (folder / "inbox" / ".heygem-inbox").touch()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "heygem.toml"
    config.write_text(
        f'inboxes = ["{folder}/inbox"]\noutputs = "{folder}/outputs"\n[disk]\nreserve_bytes = 0\n[web]\nstate = "{folder}/web"\n'
    )
    command = (sys.executable, "-m", "heygem_daemon", "web", "--config", str(config), "--port", str(port))
    with subprocess.Popen(command, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
                _wait_for(client, process)
                yield client, process
        finally:
            process.terminate()


def _wait_for(client: httpx.Client, process: "subprocess.Popen[str]") -> None:
    for _ in range(600):
        try:
            client.get("/api/v1/health")
        except httpx.TransportError:
            if process.poll() is not None:
                raise RuntimeError(f"the page ended with {process.returncode}") from None
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the page did not answer")


def begin(client: httpx.Client, draft: str, name: str, size: int) -> str:
    """Create the upload and return its address."""
    values = {"draft": draft, "name": name, "role": "video"}
    metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())
    headers = {**_TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    return str(client.post("/api/v1/uploads", headers=headers).raise_for_status().headers["Location"])


def send_and_cut(client: httpx.Client, location: str, source: Path, count: int) -> None:
    """Begin a request for the whole file, send `count` bytes of it, and cut the connection."""
    with connected(client, location, 0, source.stat().st_size) as connection, source.open("rb") as file:
        connection.sendfile(file, 0, count)


def resume(client: httpx.Client, location: str, source: Path) -> int:
    """Send what is missing, as often as it takes; return where it went on."""
    for _ in range(100):
        offset = int(client.head(location, headers=_TUS).raise_for_status().headers["Upload-Offset"])
        if send(client, location, source, offset):
            return offset
        time.sleep(0.1)
    raise RuntimeError("the upload did not go on")


def send(client: httpx.Client, location: str, source: Path, offset: int) -> bool:
    """Send the file from an offset to its end; return whether it was taken. By sendfile, for the client is not measured."""
    length = source.stat().st_size - offset
    with connected(client, location, offset, length) as connection, source.open("rb") as file:
        try:
            connection.sendfile(file, offset)
            return b" 204 " in connection.recv(65536).partition(b"\r\n")[0]
        except (BrokenPipeError, ConnectionResetError):
            return False  # the request before had not ended


@contextmanager
def connected(client: httpx.Client, location: str, offset: int, length: int) -> Iterator[socket.socket]:
    """Open a connection and send the head of a request of `length` bytes."""
    url = client.base_url
    lines = (
        f"PATCH {location} HTTP/1.1",
        f"Host: {url.netloc.decode()}",
        "Tus-Resumable: 1.0.0",
        f"Upload-Offset: {offset}",
        "Content-Type: application/offset+octet-stream",
        f"Content-Length: {length}",
        "Connection: close",
    )
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        yield connection


def peak_bytes(process: "subprocess.Popen[str]") -> int:
    """Return the largest resident memory that a process has had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def cpu_seconds(process: "subprocess.Popen[str]") -> float:
    """Return the processor time of a process, of the kernel for it included."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def copy_seconds(source: Path, target: Path) -> float:
    """Return how long `cp` and a sync of the copy take: an upload is on the disk when it is answered."""
    began = time.monotonic()
    subprocess.run(("cp", "--reflink=never", str(source), str(target)), check=True)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return time.monotonic() - began


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    size = arguments.megabytes * MEGABYTE
    if shutil.disk_usage(arguments.folder).free < 3 * size:
        raise SystemExit("There is not enough room on the disk.")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        result = measure(size, Path(folder))
    print(f"{arguments.megabytes} MB: upload {result.upload / MEGABYTE:.0f} MB/s, cp and sync {result.copy / MEGABYTE:.0f} MB/s")
    print(f"cut at {result.offset / MEGABYTE:.1f} MB, sha256 {'equal' if result.is_same else 'DIFFERENT'}")
    print(f"the page: peak memory {result.peak / MEGABYTE:.0f} MB, {result.cpu:.1f} s of processor time")


if __name__ == "__main__":
    main()
