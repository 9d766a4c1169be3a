"""Test a folder by doing in it what the daemon does, with files of our own that are deleted afterwards."""

import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heygem_daemon.durable import rename_exclusive, sync_folder
from heygem_daemon.intake.leases import has_writer

PREFIX: Final = ".heygem-check-"
ABANDONED_SECONDS: Final = 600.0
"""A check takes seconds: what is older was left by one that was killed, or by a machine that crashed."""
_CONTENT: Final = b"heygem"


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """The steps that succeeded, in order; `failed` is the one that did not, and `problem` why (an errno).

    `skew`: by how many s the clock of the file system is ahead of ours. `has_leases`: a writer is noticed at once."""

    done: tuple[str, ...] = ()
    failed: str = ""
    problem: OSError | None = None
    has_links: bool = False
    has_leases: bool = False
    skew: float = 0.0


def probe_filesystem(folder: Path, *, clock: Callable[[], float] = time.time) -> ProbeResult:
    """Do everything that the daemon does in `folder`, in a folder of our own inside it; stop at the first step that fails."""
    scratch = folder / f"{PREFIX}{secrets.token_hex(4)}"
    probe = _Probe(scratch, clock)
    try:
        for name, act in probe.steps:
            probe.step = name
            act()
            probe.done.append(name)
    except OSError as problem:
        return ProbeResult(done=tuple(probe.done), failed=probe.step, problem=problem)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return ProbeResult(done=tuple(probe.done), has_links=probe.has_links, has_leases=probe.has_leases, skew=probe.skew)


class _Probe:
    """The steps of one probe, in their order."""

    def __init__(self, scratch: Path, clock: Callable[[], float]) -> None:
        self._scratch = scratch
        self._file = scratch / "file"
        self._clock = clock
        self.step = ""
        self.done: list[str] = []
        self.has_links = False
        self.has_leases = False
        self.skew = 0.0
        self.steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("create", self._create),
            ("write", self._write),
            ("fsync", self._sync),
            ("rename", self._rename),
            ("link", self._link),
            ("move a folder", self._move_folder),
            ("unlink", self._unlink),
        )

    def _create(self) -> None:
        self._scratch.mkdir(0o700)
        clear_abandoned(self._scratch.parent, now=self._scratch.stat().st_mtime)
        os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def _write(self) -> None:
        """Write, and check that the kernel refuses a read lease meanwhile and grants it afterwards."""
        before = self._clock()
        with self._file.open("wb", buffering=0) as writing, self._file.open("rb") as reading:
            writing.write(_CONTENT)
            is_noticed = has_writer(reading.fileno())
            os.fsync(writing.fileno())
        with self._file.open("rb") as reading:
            self.has_leases = is_noticed and not has_writer(reading.fileno())
        self.skew = _outside(self._file.stat().st_mtime, before, self._clock())

    def _sync(self) -> None:
        with self._file.open("r+b") as file:
            os.fsync(file.fileno())
        sync_folder(self._scratch)

    def _rename(self) -> None:
        rename_exclusive(self._file, self._scratch / "renamed")

    def _link(self) -> None:
        """Make a hard link. The daemon needs none; a file system without them is a simple one, which is worth a note."""
        with suppress(OSError):
            (self._scratch / "linked").hardlink_to(self._scratch / "renamed")
            self.has_links = True

    def _move_folder(self) -> None:
        for name in ("from/drop", "to"):
            (self._scratch / name).mkdir(parents=True)
        rename_exclusive(self._scratch / "from/drop", self._scratch / "to/drop")

    def _unlink(self) -> None:
        (self._scratch / "renamed").unlink()
        (self._scratch / "to/drop").rmdir()


def _outside(moment: float, earliest: float, latest: float) -> float:
    """Return how far `moment` lies outside the span, negative before it."""
    return min(moment - earliest, 0.0) or max(moment - latest, 0.0)


def clear_abandoned(folder: Path, *, now: float) -> None:
    """Remove what killed checks left here; `now` by the clock of this file system."""
    with os.scandir(folder) as found:
        old = [Path(entry.path) for entry in found if entry.name.startswith(PREFIX) and _is_abandoned(entry, now)]
    for path in old:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_abandoned(entry: os.DirEntry[str], now: float) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return found.st_uid == os.geteuid() and now - found.st_mtime > ABANDONED_SECONDS
