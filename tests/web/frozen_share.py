"""A mounted share whose server can stand still: sshfs on an sftp server of our own, over pipes, without a network."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.web.site import until

SERVER = Path("/usr/lib/openssh/sftp-server")


@dataclass(kw_only=True)
class FrozenShare:
    """`served` is the folder on its server, `mounted` the same as clients see it."""

    served: Path
    mounted: Path
    server: "subprocess.Popen[bytes]"

    def freeze(self) -> None:
        """From now on every system call on it hangs."""
        os.kill(self.server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.server.pid, signal.SIGCONT)


@contextmanager
def frozen_share(folder: Path) -> Iterator[FrozenShare]:
    """Mount a share below `folder`; skip the test where that is not possible."""
    if not SERVER.exists() or shutil.which("sshfs") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no sshfs and sftp-server here")
    served, mounted = folder / "served", folder / "mounted"
    served.mkdir()
    mounted.mkdir()
    server = subprocess.Popen([str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    command = ["sshfs", f":{served}", str(mounted), "-f", "-o", "passive,dir_cache=no,attr_timeout=0,entry_timeout=0"]
    client = subprocess.Popen(command, stdin=server.stdout, stdout=server.stdin, stderr=subprocess.PIPE)
    try:
        until(lambda: os.path.ismount(mounted) or client.poll() is not None, 10)
        if client.poll() is not None:
            pytest.skip("sshfs cannot mount here")
        yield FrozenShare(served=served, mounted=mounted, server=server)
    finally:
        os.kill(server.pid, signal.SIGCONT)
        subprocess.run(["fusermount3", "-uz", str(mounted)], check=False, capture_output=True)
        for process in (client, server):
            process.kill()
            process.wait()
        for pipe in (server.stdin, server.stdout, client.stderr):
            if pipe is not None:
                pipe.close()
