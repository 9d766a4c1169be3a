"""Read the status files in outputs. Everything here may hang with its share and is run through Shares.

No link is followed below outputs, sizes are bounded, and what is not a status file is passed over: people may write there too.
"""

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from heygem_daemon.core.names import HEARTBEAT, PRIVATE
from heygem_daemon.core.status import DaemonStatus, Heartbeat
from heygem_daemon.web.jobs.job_record import JobRecord, record_of, searchable
from heygem_daemon.web.jobs.status_file import MAX_STATUS, read_daemon_status, read_job_status

STATUS: Final = "status.json"
SLICE: Final = 0.5
"""s. A listing is done in parts of this length: each must answer within the time limit of the share, and gives up the interpreter."""

MAX_HEARTBEAT: Final = 16 * 1024
_NOT_OURS: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Version = tuple[int, int, int]
"""mtime in ns, inode and size of a status file: another one means another content, since it is always replaced."""


class Content(NamedTuple):
    """What a file holds, its version, and the user that it belongs to."""

    data: bytes
    version: Version
    uid: int


@contextmanager
def opened(name: str | Path, parent: int | None = None) -> Iterator[int]:
    """Hold a folder open. Below `parent` a link is refused; the topmost path (an inbox, outputs) may be one. Raises OSError."""
    flags = _FOLDER if parent is not None else _FOLDER & ~os.O_NOFOLLOW
    descriptor = os.open(name, flags, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_bounded(name: str, parent: int, limit: int) -> Content | None:
    """Return a regular file of at most `limit` bytes; None for a larger one or another kind. Raises OSError."""
    with os.fdopen(os.open(name, _FILE, dir_fd=parent), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            return None
        content = file.read(limit + 1)
        return Content(content, _version(found), found.st_uid) if len(content) <= limit else None


def read_end(name: str, parent: int, limit: int) -> bytes:
    """Return the last `limit` bytes of a regular file, from the beginning of a line on; nothing of another kind. Raises OSError."""
    with os.fdopen(os.open(name, _FILE, dir_fd=parent), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            return b""
        if found.st_size > limit:
            file.seek(found.st_size - limit)
            return file.read(limit).partition(b"\n")[2]
        return file.read(limit)


def _version(found: os.stat_result) -> Version:
    return found.st_mtime_ns, found.st_ino, found.st_size


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One job folder as it was last read; `record` is None where its status file is none."""

    version: Version
    record: JobRecord | None


@dataclass(kw_only=True)
class Look:
    """What was found in outputs. changed: job folders read anew. gone: those without a status file. daemon: None while unchanged;
    then `beat` is its heartbeat.

    rest: folders that are left for the next part. is_there: whether the daemon's own status file is there, as it is from its first start
    on unless the share is not mounted. names: all folders, where they were listed.
    """

    changed: dict[str, Seen] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    daemon: tuple[Version, DaemonStatus | None] | None = None
    beat: Heartbeat | None = None
    is_there: bool = False
    rest: tuple[str, ...] = ()
    names: frozenset[str] | None = None


def look(outputs: Path, *, daemon: Version | None, folders: Iterable[str], versions: Mapping[str, Version]) -> Look:
    """Look at the daemon's status and at these job folders; read what has another version than the one known. Raises OSError."""
    found = Look()
    with opened(outputs) as root:
        _look_at_daemon(root, daemon, found)
        _look_at_folders(root, tuple(folders), versions, found)
    return found


def list_folders(outputs: Path) -> Look:
    """List all folders of outputs; none is looked at yet (`rest`). Raises OSError."""
    with opened(outputs) as root, os.scandir(root) as entries:
        names = frozenset(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False))
        return Look(names=names, rest=tuple(names), is_there=_exists(STATUS, root))


def _exists(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _look_at_daemon(root: int, known: Version | None, found: Look) -> None:
    try:
        version = _version(os.stat(STATUS, dir_fd=root, follow_symlinks=False))
        found.is_there = True
        if version == known:
            found.beat = _heartbeat(root)
            return
        content = read_bounded(STATUS, root, MAX_STATUS)
    except FileNotFoundError:
        return
    except OSError:  # a link, or not readable by us
        found.daemon = ((0, 0, 0), None)
        return
    found.daemon = (version, None) if content is None else (content.version, read_daemon_status(content.data))


def _heartbeat(root: int) -> Heartbeat | None:
    """Return the heartbeat of the daemon, fresh even while its status cannot be written; None without one, or amid the writing of it."""
    try:
        with opened(PRIVATE, root) as folder:
            content = read_bounded(HEARTBEAT, folder, MAX_HEARTBEAT)
        return None if content is None else Heartbeat.read(content.data)
    except (OSError, ValueError):
        return None


def _look_at_folders(root: int, folders: tuple[str, ...], versions: Mapping[str, Version], found: Look) -> None:
    until = time.monotonic() + SLICE
    for number, name in enumerate(folders):
        if time.monotonic() > until and number:
            found.rest = folders[number:]
            return
        try:
            seen = os.stat(f"{name}/{STATUS}", dir_fd=root, follow_symlinks=False)
            if _version(seen) != versions.get(name):
                found.changed[name] = _read_folder(root, name, _version(seen))
        except (FileNotFoundError, NotADirectoryError):
            found.gone.add(name)
        except OSError as failed:
            if failed.errno not in _NOT_OURS:
                raise
            found.changed[name] = Seen(version=(0, 0, 0), record=None)


def _read_folder(root: int, name: str, version: Version) -> Seen:
    """Return what one job folder holds. A link in its place, or in that of its status file, counts as none."""
    try:
        with opened(name, root) as folder:
            content = read_bounded(STATUS, folder, MAX_STATUS)
    except FileNotFoundError:
        raise
    except OSError:
        return Seen(version=version, record=None)
    if content is None:
        return Seen(version=version, record=None)
    is_genuine = content.uid == os.fstat(root).st_uid
    return Seen(version=content.version, record=_parsed_job(content.data, name, is_genuine=is_genuine))


def _parsed_job(content: bytes, name: str, *, is_genuine: bool) -> JobRecord | None:
    """Return the record of a status file; None for no such file, and for a copy of a job's folder, whose status names the original."""
    status = read_job_status(content, is_genuine=is_genuine)
    if status is None or searchable(status.output) != searchable(name):
        return None
    return record_of(status, name, is_genuine=is_genuine)
