"""Material for the page: names that are hard to show, large videos, and a long history."""

import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

MARKUP: Final = "<img src=x onerror=alert(1)>.mp4"
HARD_NAMES: Final = (
    MARKUP,
    "\u202egnp.exe\u202c مرحبا.mp4",
    "第一课 主持人（终版）.mp4",
    "a" * 251 + ".mp4",
    'it\'s "quoted" & 100%.mp4',
)
"""Names of one path component that a disk takes; the fourth has 255 bytes."""

BLOCK: Final = 2**20


def enlarge(video: Path, size: int, target: Path) -> str:
    """Write a video with a further box at its end, `size` bytes in all, which players pass over; return its sha256.

    No two blocks of it are the same: what was stored in the wrong place, or twice, shows in the sum.
    """
    digest = hashlib.sha256()
    content = video.read_bytes()
    filling = size - len(content) - 16
    noise = random.Random(1).randbytes(BLOCK)
    with target.open("wb") as file:

        def write(part: bytes) -> None:
            file.write(part)
            digest.update(part)

        write(content)
        write(struct.pack(">I4sQ", 1, b"free", filling + 16))
        for number, start in enumerate(range(0, filling, BLOCK)):
            write((struct.pack(">Q", number) + noise[8:])[: min(BLOCK, filling - start)])
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def side_by_side(video: Path, target: Path) -> Path:
    """Write a video that shows the same person twice, the second time mirrored; return its path."""
    filters = "[0]split[one][two];[two]hflip[other];[one][other]hstack"
    command = ("ffmpeg", "-v", "error", "-y", "-i", str(video), "-filter_complex", filters, "-c:v", "libx264", "-crf", "16", str(target))
    subprocess.run(command, check=True, timeout=60)
    return target


def write_large_result(folder: Path, size: int) -> Path:
    """Write a playable H.264 video of about `size` bytes, whose images lie all over it."""
    part = folder / "part.mp4"
    noise = "color=gray:s=1280x720:r=25:d=8,noise=alls=100:allf=t+u,format=yuv420p"
    encode = ("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "80M", "-maxrate", "80M", "-bufsize", "80M", "-g", "25")
    subprocess.run(("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", noise, *encode, str(part)), check=True, timeout=300)
    large = folder / "large.mp4"
    loops = str(size // part.stat().st_size)
    command = ("ffmpeg", "-v", "error", "-y", "-stream_loop", loops, "-i", str(part), "-c", "copy", "-movflags", "+faststart", str(large))
    subprocess.run(command, check=True, timeout=600)
    part.unlink()
    return large


def write_history(outputs: Path, example: str, count: int) -> None:
    """Add `count` finished jobs to outputs, each a copy of the job `example` that ended some hours before the one after it."""
    status: dict[str, Any] = json.loads((outputs / example / "status.json").read_text(encoding="utf-8"))
    for number in range(count):
        ended = datetime.now(UTC) - timedelta(hours=5 * (number + 1))
        times = {name: (ended - timedelta(seconds=lead)).isoformat() for name, lead in LEADS.items()}
        name = f"lesson-{number:03}"
        identity = f"{ended:%Y%m%d-%H%M%S}-{name}-{number:06x}"
        folder = outputs / name
        shutil.copytree(outputs / example, folder, copy_function=os.link)
        job = {**status, "job": identity, "name": name, "output": name, "since": times["finished"], "times": times}
        (folder / "status.json").unlink()
        (folder / "status.json").write_text(json.dumps(job), encoding="utf-8")


LEADS: Final = {"dropped": 130, "queued": 125, "started": 90, "finished": 0}
"""Seconds from each time of a made-up job to its end."""
