"""Folders that other users can get to, and a share that is dead."""

import ctypes
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from heygem_daemon.cli.checks.identity import Identity
from tests.shares.people import HEYGEM, USERS_GROUP

_DETACH = 2


@pytest.fixture
def site() -> Iterator[Path]:
    """A folder that everybody may pass through; pytest's own let nobody else in."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def service() -> Identity:
    """The service, checked by root."""
    return Identity(name="heygem", uid=HEYGEM.uid, gid=HEYGEM.groups[0], groups=frozenset(HEYGEM.groups), is_run_by_root=True)


def installed(folder: Path, mode: int = 0o2770, owner: int = HEYGEM.uid, group: int = USERS_GROUP) -> Path:
    """Make a folder as an installation makes it."""
    folder.mkdir(exist_ok=True)
    os.chown(folder, owner, group)
    folder.chmod(mode)
    return folder


@pytest.fixture
def dead_share(tmp_path: Path) -> Iterator[Path]:
    """A mounted file system whose server never answers: a FUSE mount that nobody serves."""
    libc = ctypes.CDLL(None, use_errno=True)
    point = tmp_path / "share"
    point.mkdir()
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("no FUSE here")
    options = f"fd={device},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0,allow_other"
    if libc.mount(b"dead", bytes(point), b"fuse", 0, options.encode()) != 0:
        os.close(device)
        pytest.skip(f"no FUSE here: {os.strerror(ctypes.get_errno())}")
    try:
        yield point
    finally:
        os.close(device)  # whoever hangs in it gets an error now
        libc.umount2(bytes(point), _DETACH)
