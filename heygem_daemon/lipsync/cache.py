"""Cache of everything that depends on a video alone, keyed by the content of the video.

    <root>/entries/<key>/         the files built, and manifest.json: size and sha256 of each; never changed afterwards
    <root>/building/<key>.XXXX/   being built, or being removed; renamed to or from entries/ in one step
    <root>/locks/<key>            flock: exclusive while building or removing, shared while in use

A lock belongs to an open file, so the kernel releases it however a process dies: the files of a dead builder are removed by the
next one, and never seen by a reader. A rename after fsync means that an entry is whole or absent.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from heygem_daemon.core.storage import FULL
from heygem_daemon.disks import disk_error

Build = Callable[[Path], None]

_MANIFEST: Final = "manifest.json"
_WAIT_SECONDS: Final = 0.1
_TOO_LARGE: Final = FULL | {errno.EFBIG}
"""Error numbers of a file system on which an entry does not fit."""


def content_key(path: Path, *parts: str) -> str:
    """Return a key of the file's content and of `parts` (versions, options): 64 hexadecimal digits. The file is streamed."""
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(json.dumps([content, *parts]).encode()).hexdigest()


class Cache:
    """A directory of entries by key, shared by any number of processes on one machine. Not to be shared between threads.

    A directory that `entry` returned stays until `close` (or the end of the process), even if the cache is over its size.
    """

    def __init__(self, root: Path, max_bytes: int, *, on_wait: Callable[[], None] = lambda: None) -> None:
        """max_bytes: of all entries together; 0 keeps only those in use. on_wait: called now and then while another process builds."""
        self._on_wait = on_wait
        self._entries, self._building, self._locks = root / "entries", root / "building", root / "locks"
        self._max_bytes = max_bytes
        self._held: dict[str, tuple[Path, BinaryIO | None]] = {}
        self._private: list[Path] = []

    def entry(self, key: str, build: Build) -> Path:
        """Return the directory of `key`; where there is none, or a damaged one, let `build` fill an empty directory first.

        If several processes need it at once, one builds and the others wait for it. The directory must not be changed. If the
        disk of the cache is full, unused entries make room; if that is not enough (or a damaged entry is in use), the entry is
        built in the temporary directory of the system and forgotten on `close`. Errors of `build` pass through and leave nothing behind.
        Raises TransientError (`disk_full`) when there is no room anywhere.
        """
        if not key.isalnum():
            raise ValueError(f"a key is made of letters and digits, not {key!r}")
        if key in self._held:
            return self._held[key][0]
        for _ in range(2):
            try:
                return self._shared(key, build)
            except BlockingIOError:
                break
            except OSError as problem:
                if problem.errno not in _TOO_LARGE:
                    raise
                self._evict(0)
        return self._build_privately(key, build)

    def close(self) -> None:
        """Release every entry, and remove the least recently used ones if the cache is over its size."""
        for _, lock in self._held.values():
            if lock is not None:
                lock.close()
        self._held = {}
        for directory in self._private:
            shutil.rmtree(directory, ignore_errors=True)
        self._private = []
        self._evict(self._max_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _shared(self, key: str, build: Build) -> Path:
        """Return the entry that all processes share, under a lock held from now on."""
        for directory in (self._entries, self._building, self._locks):
            directory.mkdir(parents=True, exist_ok=True)
        while True:
            lock = self._lock(key, fcntl.LOCK_SH)
            if not _is_whole(self._entries / key):
                lock.close()
                self._build(key, build)
                continue
            self._held[key] = (self._entries / key, lock)
            os.utime(self._entries / key)
            return self._entries / key

    def _build(self, key: str, build: Build) -> None:
        """Build and publish the entry, unless another process did while this one waited for the lock.

        Raises BlockingIOError where a damaged entry cannot be replaced because another process is using it.
        """
        with self._lock(key, fcntl.LOCK_EX | (fcntl.LOCK_NB if (self._entries / key).exists() else 0)):
            if _is_whole(self._entries / key):
                return
            self._discard(key)
            scratch = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=self._building))
            try:
                build(scratch)
                _seal(scratch)
                scratch.rename(self._entries / key)
                _sync(self._entries)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
        self._evict(self._max_bytes, keep=key)

    def _build_privately(self, key: str, build: Build) -> Path:
        """Build in a temporary directory that only this process uses."""
        try:
            scratch = Path(tempfile.mkdtemp(prefix="heygem-cache-"))
            self._private.append(scratch)
            build(scratch)
        except OSError as problem:
            full = disk_error(problem, Path(tempfile.gettempdir())) if problem.errno in FULL else None
            if full is None:
                raise
            raise full from problem
        self._held[key] = (scratch, None)
        return scratch

    def _lock(self, key: str, operation: int) -> BinaryIO:
        """Return the lock file of the key, locked; closing it unlocks. Raises BlockingIOError with LOCK_NB."""
        path = self._locks / key
        while True:
            file = path.open("ab")
            try:
                self._flock(file, operation)
            except BaseException:
                file.close()
                raise
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    return file
            file.close()  # the file was removed with its entry while we waited for it

    def _flock(self, file: BinaryIO, operation: int) -> None:
        """Lock the file. Whoever waits reports it: to learn a long video takes a quarter of an hour, and looks like a hang otherwise."""
        while True:
            try:
                return fcntl.flock(file, operation | fcntl.LOCK_NB)
            except BlockingIOError:
                if operation & fcntl.LOCK_NB:
                    raise
            self._on_wait()
            time.sleep(_WAIT_SECONDS)

    def _evict(self, max_bytes: int, keep: str = "") -> None:
        """Remove the least recently used entries, never one in use, until the rest is no larger than `max_bytes`.

        Also remove what dead builders left.
        """
        for left in _children(self._building):
            self._remove(left.name.partition(".")[0], entry=False)
        sizes = {entry: _size(entry) for entry in sorted(_children(self._entries), key=_last_used)}
        total = sum(sizes.values())
        for entry, size in sizes.items():
            if total <= max_bytes:
                return
            if entry.name != keep and self._remove(entry.name, entry=True):
                total -= size

    def _remove(self, key: str, *, entry: bool) -> bool:
        """Remove the files of a key that nobody uses; return whether they were removed."""
        try:
            lock = self._lock(key, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        with lock:
            self._discard(key, entry=entry)
            if not (self._entries / key).exists():
                (self._locks / key).unlink(missing_ok=True)
        return True

    def _discard(self, key: str, *, entry: bool = True) -> None:
        """Remove the entry and the leftovers of a key; its lock is held exclusively."""
        if entry:
            with suppress(FileNotFoundError):
                (self._entries / key).rename(self._building / f"{key}.removed")
        for left in self._building.glob(f"{key}.*"):
            shutil.rmtree(left, ignore_errors=True)


@dataclass(kw_only=True)
class VideoCache:
    """The cache entries of one video. key: of the video's content (see content_key); built: an entry was missing and has been built."""

    cache: Cache
    key: str
    built: bool = False

    def entry(self, build: Build, *parts: str) -> Path:
        """Return the directory for `parts` (versions, options) of this video, filled by `build` if it was not there."""

        def build_and_note(directory: Path) -> None:
            self.built = True
            build(directory)

        return self.cache.entry(hashlib.sha256(json.dumps([self.key, *parts]).encode()).hexdigest(), build_and_note)


def _seal(directory: Path) -> None:
    """Write the manifest, and flush everything to the disk before a rename makes it visible."""
    manifest = {str(path.relative_to(directory)): _fingerprint(path) for path in _files(directory)}
    (directory / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    for path in [*_files(directory), directory / _MANIFEST, *(path for path in directory.rglob("*") if path.is_dir()), directory]:
        _sync(path)


def _is_whole(directory: Path) -> bool:
    """Return whether the files of an entry match its manifest."""
    try:
        manifest = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        return all(_fingerprint(directory / name) == expected for name, expected in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def _fingerprint(path: Path) -> list[int | str]:
    with path.open("rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file() and path != directory / _MANIFEST)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _children(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


def _size(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _last_used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0
