"""Claim drops: inputs move by rename, and only by rename, from the inbox to the job's own folder and on to _done or _failed.

    inbox/lesson-01/                            a drop
    inbox/.heygem/claimed/<job id>/lesson-01/   claimed; the process that renamed it owns it
    inbox/.heygem/claimed/<job id>/flat/        a drop in the flat form, marked by the file .flat beside it
    inbox/_done/lesson-01/, inbox/_failed/      finished (intake.archive)

Every step leaves something that `unclaim` can put back, so that a crash at any point loses nothing.
"""

import errno
import math
import os
import stat
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from heygem_daemon.core.drop import JOB_TOML, Entry, Kind, is_drop_file
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Job
from heygem_daemon.core.names import APPENDED, CONTROLS, MARKER, PRIVATE, control_of, escape_name
from heygem_daemon.core.scan import ClaimedDrop, ScannedDrop, control_names
from heygem_daemon.core.toml_limits import MAX_CHARACTERS
from heygem_daemon.durable import rename_exclusive, rename_numbered, sync_folder, write_durably
from heygem_daemon.intake import archive
from heygem_daemon.intake.inbox_errors import inbox_error, inbox_errors
from heygem_daemon.intake.listing import Listing, decoded_text, list_drop, list_flat, opened_folder, read_regular
from heygem_daemon.intake.mounts import mount_of
from heygem_daemon.intake.owners import known_uid
from heygem_daemon.intake.permissions import may_move, may_read, permission_error

FLAT: Final = "flat"
FLAT_MARK: Final = ".flat"
LISTING_SECONDS: Final = 0.5
LISTING_TIMES: Final = 10.0
"""An inbox is not listed again for a control file that was not found before so many times the s that the listing took."""
SLOW_LISTING: Final = 0.1
"""s. Where it took longer, a file is deleted without another one, if that is possible."""
_CONTROL_SUFFIXES: Final = tuple(f".{kind}" for kind in CONTROLS)
_MAX_TOML_BYTES: Final = 4 * MAX_CHARACTERS + 1
"""What is longer has too many characters, however they are encoded."""


class FolderClaims:
    """The `Claims` port on real folders. Inbox and claimed folder lie on one file system by construction."""

    def __init__(self, marker: str = MARKER) -> None:
        self._marker = marker
        self._spellings = _ControlSpellings()

    def claim(self, scanned: ScannedDrop, job_id: str) -> Path:
        """Rename the drop into the job's folder and return that folder; delete its .ready file, and the .cancel of a flat form. Only with
        `persist` the claim survives a power cut.

        Raises FileNotFoundError when another process was first, TransientError when the share failed or a folder may not be moved
        (`permission_denied`); everything is then back in place."""
        inbox = Path(scanned.inbox)
        claim_dir = _claim_dir(inbox, job_id)
        _check_permissions(scanned, inbox)
        try:
            self._make_claim_dir(inbox, claim_dir)
            _move_in(scanned, inbox, claim_dir)
        except OSError as failed:
            with suppress(OSError):
                _put_back(inbox, claim_dir)
            problem = inbox_error(failed, inbox, self._marker)
            if isinstance(failed, FileNotFoundError) and problem.code == "io_error":
                raise FileNotFoundError(failed.errno, "another process was first", scanned.name) from failed
            raise problem from failed
        self._delete_control_files(scanned)
        return claim_dir

    def _make_claim_dir(self, inbox: Path, claim_dir: Path) -> None:
        """Create the job's folder, but never the inbox: that would hide a share that is not mounted."""
        (inbox / self._marker).stat()
        for folder in _own_folders(claim_dir):
            folder.mkdir(exist_ok=True)
            if folder.is_symlink():
                raise OSError(errno.ELOOP, "It is a link, and links are not followed", str(folder))

    def _delete_control_files(self, scanned: ScannedDrop) -> None:
        kinds = ([] if not scanned.ready else ["ready"]) + ([] if scanned.name or not scanned.cancel else ["cancel"])
        for kind in kinds:
            for name in control_names(scanned.name, scanned.entries):
                with suppress(OSError):  # a control file that cannot be deleted must not undo the claim
                    self._spellings.delete(Path(scanned.inbox), name, kind)

    def persist(self, inbox: str, claimed: Sequence[Path]) -> None:
        """Make claims survive a power cut: the names in their folders, those of these folders, and that the inbox has none of them.

        Raises TransientError when the share failed."""
        with inbox_errors(Path(inbox), self._marker):
            for folder in (*claimed, *{each.parent for each in claimed}, Path(inbox)):
                sync_folder(folder)

    def unclaim(self, inbox: str, job_id: str) -> bool:
        """Move an unfinished claim back under its own name, or a numbered one where that is taken; False when nothing was there.

        Raises TransientError when the share failed."""
        with inbox_errors(Path(inbox), self._marker):
            (Path(inbox) / self._marker).stat()
            return _put_back(Path(inbox), _claim_dir(Path(inbox), job_id))

    def folder(self, inbox: str, job_id: str) -> Path:
        """Return the claimed folder of a job, whether it is there or not; ValueError for an id that is no plain name."""
        return _claim_dir(Path(inbox), job_id)

    def is_flat(self, claimed: Path) -> bool:
        """Return whether the drop in a claimed folder was in the flat form; False of one that may not be looked into.

        Raises TransientError when the share failed."""
        with inbox_errors(claimed.parents[2], self._marker):
            try:
                (claimed / FLAT_MARK).lstat()
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                return False
            return True

    def claimed(self, inbox: str) -> Sequence[str]:
        """Return the job ids that have a claimed folder here, sorted. Raises TransientError when the share failed."""
        root = Path(inbox)
        with inbox_errors(root, self._marker):
            (root / self._marker).stat()
            if any(folder.is_symlink() for folder in (root / PRIVATE, root / PRIVATE / "claimed")):
                return []
            try:
                return sorted(name for name in os.listdir(root / PRIVATE / "claimed") if not name.startswith("."))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def listing(self, claimed: Path) -> ClaimedDrop:
        """Return the drop inside a claimed folder.

        Raises TransientError: `share_offline` when it cannot be reached, `io_error` or `permission_denied` when a file cannot be read."""
        inbox = claimed.parents[2]
        with inbox_errors(inbox, self._marker):
            found = drop_in(claimed)
            listing = _list_claimed(claimed, found[0]) if found else None
        if found is None or listing is None:
            raise error("share_offline", path=escape_name(str(claimed)))
        if listing.denied is not None:
            raise permission_error(found[1] / listing.denied, "read", inbox)
        if listing.unreadable:
            raise error("io_error", problem=f"{escape_name(listing.unreadable)} cannot be read")
        mount = mount_of(str(inbox))
        uid = known_uid(listing.uid, network=mount is not None and mount.network)
        return ClaimedDrop(root=found[1], entries=listing.entries, uid=uid)

    def job_toml(self, root: Path, entries: Iterable[Entry]) -> str | None:
        """Return the text of the job.toml among the entries of the drop at `root`, None without one; a text that is too long is cut.

        Never reads a link, a pipe or a device. Raises TransientError."""
        names = [entry.path for entry in entries if entry.path.casefold() == JOB_TOML and entry.kind is Kind.FILE]
        try:
            text = read_regular(root / min(names), _MAX_TOML_BYTES) if names else None
            return None if text is None else decoded_text(text)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as failed:
            raise error("io_error", problem=f"{failed.strerror} ({JOB_TOML})") from failed

    def root(self, job: Job, files: Sequence[str] = ()) -> Path:
        """Return the path of the drop inside the job's claimed folder; the drop itself is not listed.

        Raises TransientError: `share_offline` when it cannot be reached, `permission_denied` when it or one of `files` cannot be read;
        InputError where the inbox is online: `inputs_gone`, and `symlink` or `not_a_file` for what is no longer the claimed file."""
        claim_dir, inbox = Path(job.claimed), Path(job.inbox)
        with inbox_errors(inbox, self._marker):
            (inbox / self._marker).stat()
            found = drop_in(claim_dir)
            unreadable = _first_unreadable(found[1], files) if found else None
            replaced = _first_replaced(found[1], files) if found and unreadable is None else None
        if found is None or replaced is not None:
            raise replaced or error("inputs_gone", name=escape_name(job.name))
        if unreadable is not None:
            raise permission_error(unreadable, "read", inbox)
        return found[1]

    def finish(self, job: Job, to: str, reason: str | None) -> Path | None:
        """Move the inputs of a job into `_done` or `_failed` (`to`) with reason.txt, under a numbered name where theirs is taken.

        None when they are already gone. Raises TransientError when the share failed; a repeated call continues where it stopped."""
        inbox, claim_dir = Path(job.inbox), Path(job.claimed)
        with inbox_errors(inbox, self._marker):
            (inbox / self._marker).stat()
            found = drop_in(claim_dir)
            target = None
            if found:
                record = archive.Record(job=job.id, name=found[0], flat=not found[0])
                target = archive.archive_drop(found[1], inbox / to, _archive_name(found[0] or job.name), record, reason)
            _remove_claim_dir(claim_dir)
            return target

    def restore(self, job: Job) -> Path | None:
        """Move the inputs of a finished job back to its claimed folder, without our reason.txt; None when they are gone.

        Raises TransientError when the share failed."""
        inbox, claim_dir = Path(job.inbox), Path(job.claimed)
        with inbox_errors(inbox, self._marker):
            (inbox / self._marker).stat()
            already = drop_in(claim_dir)
            if already:
                archive.finish_restoring(already[1], job.id)
                return claim_dir
            found = archive.find(inbox, job)
            if found is None:
                return None
            self._make_claim_dir(inbox, claim_dir)
            folder, record = found
            if record.flat:
                write_durably(claim_dir / FLAT_MARK, b"")
            archive.restore_drop(folder, record, claim_dir / (FLAT if record.flat else record.name))
            sync_folder(claim_dir)
            return claim_dir

    def clear_control(self, inbox: str, name: str, kind: str) -> None:
        """Delete a control file that has been applied. Raises TransientError when it cannot be deleted."""
        with inbox_errors(Path(inbox), self._marker):
            self._spellings.delete(Path(inbox), name, kind)


def drop_in(claim_dir: Path) -> tuple[str, Path] | None:
    """Return the raw name and the path of the drop in a job's claimed folder; the name is "" for the flat form.

    None where nothing is there, or where somebody has put a link on the way: what lies behind it is nobody's drop."""
    if _is_behind_link(claim_dir):
        return None
    try:
        names = sorted(os.listdir(claim_dir))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if FLAT_MARK in names:
        return ("", claim_dir / FLAT) if FLAT in names else None
    visible = [name for name in names if not name.startswith(".")]
    return (visible[0], claim_dir / visible[0]) if visible else None


def _own_folders(claim_dir: Path) -> tuple[Path, ...]:
    """Return the folders of the daemon in an inbox down to that of a job."""
    return (claim_dir.parent.parent, claim_dir.parent, claim_dir)


def _is_behind_link(claim_dir: Path) -> bool:
    return any(folder.is_symlink() for folder in _own_folders(claim_dir))


def _first_replaced(root: Path, files: Iterable[str]) -> HeygemError | None:
    """Return the error for the first of the drop, the folders on the way to its files and the files that is gone, or is a link, or is
    something else by now; None where all are what they were. Raises OSError."""
    folders = (root, *dict.fromkeys(root / parent for file in files for parent in reversed(Path(file).parents)))
    for path, is_right in (*((folder, stat.S_ISDIR) for folder in folders), *((root / file, stat.S_ISREG) for file in files)):
        name = escape_name(path.name)
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return error("inputs_gone", name=name)
        if not is_right(mode):
            return error("symlink" if stat.S_ISLNK(mode) else "not_a_file", name=name)
    return None


def _first_unreadable(root: Path, files: Iterable[str]) -> Path | None:
    """Return the first of the drop, the folders on the way to its files and the files that may not be read. Raises OSError."""
    ways = (root / part for file in files for part in (*reversed(Path(file).parents), Path(file)))
    return next((path for path in (root, *ways) if not may_read(path)), None)


def _claim_dir(inbox: Path, job_id: str) -> Path:
    if not job_id or "/" in job_id or job_id.startswith("."):
        raise ValueError(f"not a job id: {job_id!r}")
    return inbox / PRIVATE / "claimed" / job_id


def _archive_name(name: str) -> str:
    """Return the name of the archived folder: that of the drop, or for the flat form the job's, made fit for a file system."""
    return os.fsdecode(os.fsencode(name.replace("/", "_"))[:255]) or FLAT


def _check_permissions(scanned: ScannedDrop, inbox: Path) -> None:
    """Raise `permission_denied` for a part that cannot be moved, before any part is moved: such a drop is tried again at every scan.

    Moving the files out of such a folder needs the same permission as moving the folder, so there is no other way."""
    for part in _parts(scanned):
        if not may_move(inbox / part):
            raise permission_error(inbox / part, "move", inbox)


def _parts(scanned: ScannedDrop) -> list[str]:
    """Return the names in the inbox that a claim moves, sorted."""
    if scanned.name:
        return [scanned.name]
    return sorted({entry.path.split("/")[0] for entry in scanned.entries if is_drop_file(entry.path, flat=True)})


def _move_in(scanned: ScannedDrop, inbox: Path, claim_dir: Path) -> None:
    if scanned.name:
        rename_exclusive(inbox / scanned.name, claim_dir / scanned.name)
        return
    write_durably(claim_dir / FLAT_MARK, b"")
    (claim_dir / FLAT).mkdir()
    # Sorted: of two racers the one that moves the first part wins, the other finds it missing and backs out.
    for part in _parts(scanned):
        rename_exclusive(inbox / part, claim_dir / FLAT / part)
    sync_folder(claim_dir / FLAT)


def _put_back(inbox: Path, claim_dir: Path) -> bool:
    found = drop_in(claim_dir)
    has_moved = False
    if found and found[0]:
        rename_numbered(found[1], inbox, found[0])
        has_moved = True
    elif found:
        has_moved = _merge(found[1], inbox)
    _remove_claim_dir(claim_dir)
    if has_moved:
        sync_folder(inbox)
    return has_moved


def _merge(source: Path, target: Path) -> bool:
    """Move all that lies in `source` into `target`, into folders of the same name, beside files of the same name."""
    names = sorted(os.listdir(source))
    for name in names:
        if _is_real_folder(source / name) and _is_real_folder(target / name):
            _merge(source / name, target / name)
        else:
            rename_numbered(source / name, target, name)
    source.rmdir()
    return bool(names)


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove_claim_dir(claim_dir: Path) -> None:
    """Remove an emptied claimed folder. One that still holds something stays, and so does what is behind a link."""
    if _is_behind_link(claim_dir):
        return
    with suppress(NotADirectoryError):
        (claim_dir / FLAT_MARK).unlink(missing_ok=True)
    with suppress(OSError):
        (claim_dir / FLAT).rmdir()
    with suppress(OSError):
        claim_dir.rmdir()
    with suppress(OSError):
        sync_folder(claim_dir.parent)


def _list_claimed(claim_dir: Path, name: str) -> Listing | None:
    if name:
        with opened_folder(str(claim_dir)) as parent:
            return list_drop(name, parent)
    with opened_folder(str(claim_dir / FLAT)) as root:
        return list_flat(root)


@dataclass(frozen=True, kw_only=True)
class _ListedInbox:
    """The files of an inbox with the names of control files, by their names without case and without what editors append; when it was
    listed (monotonic, s), and how many s that took."""

    files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    at: float = -math.inf
    seconds: float = 0.0

    def about(self, name: str, kind: str) -> list[tuple[str, str]]:
        """Return (name that it is about, name) of the files of this kind about a name, whatever its case and Unicode form."""
        forms = (name, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD") for text in (name, name.casefold())))
        spellings = dict.fromkeys(f"{form.casefold()}.{kind}" for form in forms)
        files = [file for spelling in spellings for file in self.files.get(spelling, ())]
        return [(control[0], file) for file in files if (control := control_of(file)) is not None]


class _ControlSpellings:
    """Find the control files of an inbox by what they mean: `lesson.hold`, `lesson.HOLD`, `LESSON.hold.txt`.

    A listing is kept for a moment, as many are deleted at once: one of a hundred thousand names takes 0.2 s. A file that is not in it has
    come since, or is gone: then the inbox is listed again, but not for each of many that somebody has just taken away."""

    def __init__(self) -> None:
        self._listed: dict[Path, _ListedInbox] = {}

    def delete(self, inbox: Path, name: str, kind: str) -> None:
        """Delete all spellings of a control file; among a hundred thousand only the usual one where it is there: the others are found by
        the next scan. Raises OSError where one cannot be deleted."""
        if self._listed.get(inbox, _ListedInbox()).seconds > SLOW_LISTING:
            usual = inbox / f"{name}.{kind}"
            if os.path.lexists(usual) and not _is_real_folder(usual):
                usual.unlink(missing_ok=True)
                return
        for stem, file in self._found(inbox, name, kind):
            is_of_another = stem != name and os.path.lexists(inbox / stem)  # a drop whose name differs in case or Unicode form alone
            if not is_of_another and not _is_real_folder(inbox / file):
                (inbox / file).unlink(missing_ok=True)

    def _found(self, inbox: Path, name: str, kind: str) -> list[tuple[str, str]]:
        listed = self._listed.get(inbox, _ListedInbox())
        found = listed.about(name, kind)
        enough = LISTING_SECONDS if found else min(LISTING_SECONDS, LISTING_TIMES * listed.seconds)
        if time.monotonic() - listed.at < enough:
            return found
        listed = self._listed[inbox] = _list_controls(inbox)
        return listed.about(name, kind)


def _list_controls(inbox: Path) -> _ListedInbox:
    began = time.monotonic()
    files: dict[str, list[str]] = {}
    for file in os.listdir(inbox):
        spelling = file.casefold().removesuffix(APPENDED)
        if spelling.endswith(_CONTROL_SUFFIXES):
            files.setdefault(spelling, []).append(file)
    ended = time.monotonic()
    return _ListedInbox(files=files, at=ended, seconds=ended - began)
