"""Disks and shares that a test can break and repair: full, out of inodes, read-only, unplugged, without rights, frozen. Most need root."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

_MEGABYTE: Final = 2**20


def _mount(*words: str | Path) -> None:
    made = subprocess.run(("mount", *map(str, words)), check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"mount needs root and the devices for it: {made.stderr.strip()}")


def _unmount(point: Path) -> None:
    subprocess.run(("umount", "-l", str(point)), check=False, capture_output=True)


@contextmanager
def memory_disk(point: Path, megabytes: int, inodes: int) -> Iterator[Path]:
    """A file system in memory of this size, mounted at `point`."""
    point.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={megabytes}m,nr_inodes={inodes},mode=755", "tmpfs", point)
    try:
        yield point
    finally:
        _unmount(point)


@contextmanager
def ext4_disk(point: Path, image: Path, megabytes: int, inodes: int) -> Iterator[Path]:
    """An ext4 in a file, mounted at `point`."""
    point.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(megabytes * _MEGABYTE)
    subprocess.run(("mkfs.ext4", "-q", "-m", "0", "-N", str(inodes), str(image)), check=True, capture_output=True)
    _mount("-o", "loop", image, point)
    try:
        yield point
    finally:
        _unmount(point)


@contextmanager
def bind_mount(point: Path, source: Path) -> Iterator[Path]:
    """A folder that is mounted at `point` and can be unplugged."""
    source.mkdir(parents=True, exist_ok=True)
    point.mkdir(parents=True, exist_ok=True)
    _mount("--bind", source, point)
    try:
        yield point
    finally:
        _unmount(point)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is done to the storage, how it is undone, and what must be read about it.

    name: completes "while ..." in the rows of the proof. place: the path that must be named. words: of the sentence in the log; shown: of
    what `heygem status` shows, where that is another."""

    name: str
    place: Path
    words: str
    begin: Callable[[], object]
    end: Callable[[], object]
    shown: str = ""


def full(disk: Path, name: str, place: Path) -> Trouble:
    """Leave no byte free."""
    ballast = disk / ".ballast"

    def begin() -> None:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            for size in (_MEGABYTE, 4096, 1):
                with suppress(OSError):
                    while file.write(b"\0" * size):
                        pass

    return Trouble(name=f"{name} is full", place=place, words="not enough free disk space", begin=begin, end=ballast.unlink)


def without_inodes(disk: Path, name: str, place: Path) -> Trouble:
    """Leave no inode free."""
    ballast = disk / ".inodes"

    def begin() -> None:
        ballast.mkdir()
        with suppress(OSError):
            for number in range(10**6):
                (ballast / str(number)).touch()

    def end() -> None:
        for each in ballast.iterdir():
            each.unlink()
        ballast.rmdir()

    return Trouble(name=f"{name} has no inodes left", place=place, words="no free inodes left", begin=begin, end=end)


def read_only(disk: Path, name: str) -> Trouble:
    def remount(how: str) -> None:
        subprocess.run(("mount", "-o", f"remount,{how}", str(disk)), check=True, capture_output=True)

    return Trouble(name=f"{name} is read-only", place=disk, words="read-only", begin=lambda: remount("ro"), end=lambda: remount("rw"))


def unplugged(point: Path, source: Path, name: str) -> Trouble:
    return Trouble(
        name=f"{name} is unplugged",
        place=point,
        words=str(point),
        shown="OFFLINE",
        begin=lambda: _unmount(point),
        end=lambda: subprocess.run(("mount", "--bind", str(source), str(point)), check=True, capture_output=True),
    )


def without_rights(folder: Path, name: str, words: str) -> Trouble:
    """Take the rights of everybody, which binds a root without CAP_DAC_OVERRIDE as well."""
    return Trouble(
        name=f"{name} may not be written", place=folder, words=words, begin=lambda: folder.chmod(0o500), end=lambda: folder.chmod(0o755)
    )


WITHOUT_PRIVILEGES: Final = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""A root that rights bind."""


def flip_bytes(path: Path, count: int = 400) -> None:
    """Damage a file all over, as a failing disk does."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for number in range(count):
            offset = number * 7919 % size
            byte = os.pread(file.fileno(), 1, offset)
            os.pwrite(file.fileno(), bytes([byte[0] ^ 0xFF]), offset)
