"""Names of files and drops: which are ignored, which cannot be used, and how the others are shown and shortened.

A name is what the file system gives: it may hold any byte but "/" and NUL; bytes that are not UTF-8 arrive as lone surrogates.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from heygem_daemon.core.file_types import suffix_of

DONE: Final = "_done"
FAILED: Final = "_failed"
PAUSE: Final = "PAUSE"
MARKER: Final = ".heygem-inbox"
"""A file in every inbox; a share that is not mounted has none."""
PRIVATE: Final = ".heygem"
"""The daemon's own folder in an inbox (claimed/) and in outputs (staging/)."""
HEARTBEAT: Final = "heartbeat.json"
"""The sign of life of the daemon, in PRIVATE of outputs and in the state folder."""
RECORD: Final = ".heygem-job.json"
"""A file in every folder of _done and _failed: it names the job, and its time stamp is when the inputs came there."""
DELETING: Final = ".deleting-"
"""The beginning of the name of a folder in _done, _failed or staging that is being deleted."""
UPLOADS: Final = ".heygem-uploads"
"""A folder in an inbox in which the page collects what is being uploaded; a finished one becomes a drop by one rename."""
JOB_LOG: Final = ".heygem-log.jsonl"
"""A file beside the status.json of a job: what the journal has about it, one JSON object a line."""
CONTROLS: Final = ("ready", "hold", "cancel", "resume", "retry", "priority")
"""Suffixes of the control files beside a drop, which are named after the drop or after the id of its job."""
STAYING_CONTROLS: Final = frozenset({"hold", "ready"})
"""Those that may lie there before a drop for as long as it takes."""
APPENDED: Final = ".txt"
"""What editors append, and Windows hides: `lesson.hold.txt` and `PAUSE.txt` mean what they say."""

MAX_NAME_BYTES: Final = 255
"""The limit of Linux file systems. A share of a file system that counts UTF-16 units (NTFS) may show longer ones, which cannot be moved."""
MAX_STEM_BYTES: Final = 150
"""Leaves room for suffixes and for the temporary names of the publisher within the 255 bytes of Linux file systems."""

_FOREIGN_NAMES: Final = frozenset({
    "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin",
    "system volume information", "lost+found", "__macosx", "icon\r",
})  # fmt: skip
_FOREIGN_PREFIXES: Final = ("~$", "~lock.", "~syncthing~")
_TEMPORARY_SUFFIXES: Final = (
    ".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".opdownload", ".filepart", ".aria2", ".swp", ".swx",
    ".!ut", ".!qb", ".bc!", ".ffs_tmp", ".ffs_lock", ".dlpart", "~", ":zone.identifier",
)  # fmt: skip

_PLACEHOLDER_SUFFIX: Final = ".icloud"
"""`.clip.mov.icloud` stands for a `clip.mov` that is not downloaded: hidden, and yet meant to be used."""

_UNUSABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators, bytes that are no text (Unicode categories Cc, Zl, Zp and Cs)."""
_UNSHOWABLE: Final = re.compile(f"{_UNUSABLE.pattern[:-1]}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Also what turns the direction of writing, or is not seen."""

_WINDOWS_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³")}
)
_OWN_NAMES: Final = frozenset({"status", "thumbnails", "explain"})
_OWN_SUFFIXES: Final = (".json", ".zip")
_JOB_ID: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9][a-z0-9-]{0,80}")
_NOT_IN_FILE_NAMES: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')


def is_ignored(name: str, *, is_folder: bool = False) -> bool:
    """Return whether a name is never part of a drop: temporary and system files, control files (no folder is one), every name with a
    dot in front but a file that is a placeholder."""
    folded = name.casefold()
    return (
        name in {"", DONE, FAILED, PAUSE}
        or (name.startswith(".") and (is_folder or not folded.endswith(_PLACEHOLDER_SUFFIX)))
        or folded in _FOREIGN_NAMES
        or folded.startswith(_FOREIGN_PREFIXES)
        or folded.endswith(_TEMPORARY_SUFFIXES)
        or (not is_folder and _control(name) is not None)
    )


def is_temporary(name: str) -> bool:
    """Return whether a name is one that copying programs and editors give to what is not finished."""
    return name.casefold().endswith(_TEMPORARY_SUFFIXES)


def is_foreign(name: str) -> bool:
    """Return whether a name is hidden, our own, or one that systems and programs leave in every folder."""
    folded = name.casefold()
    return name in {"", DONE, FAILED} or name.startswith(".") or folded in _FOREIGN_NAMES or folded.startswith(_FOREIGN_PREFIXES)


def control_of(name: str) -> tuple[str, str] | None:
    """Return (name of a drop or id of a job, one of CONTROLS) for the name of a control file in an inbox, None for any other."""
    if name.casefold().endswith(APPENDED):
        name = name[: -len(APPENDED)]
    return _control(name)


def _control(name: str) -> tuple[str, str] | None:
    stem, dot, suffix = name.rpartition(".")
    return (stem, suffix.lower()) if stem and dot and suffix.lower() in CONTROLS else None


def is_pause(name: str, *, is_folder: bool) -> bool:
    """Return whether an entry of an inbox pauses it: PAUSE, or a file of this name in any case, with what editors append."""
    return name == PAUSE or (not is_folder and name.casefold().removesuffix(APPENDED) == PAUSE.casefold())


def is_valid_name(name: str) -> bool:
    """Return whether a name has only characters that can be used: valid UTF-8, no control characters, no slash."""
    return _UNUSABLE.search(name) is None and name not in {"", ".", ".."} and "/" not in name


def is_inside(path: str) -> bool:
    """Return whether a relative path, however it is made, leads to something below the folder that it is relative to (links apart)."""
    return not any(part in {"", ".", ".."} or "\0" in part for part in path.split("/"))


def name_bytes(name: str) -> int:
    """Return the length of a name in the file system, in bytes."""
    return len(name.encode("utf-8", "surrogateescape"))


def escape_name(name: str) -> str:
    r"""Return a name safe to show in JSON, logs and terminals: control characters, invalid bytes, line separators and
    bidirectional overrides become \xNN or \uNNNN. Applying it twice changes nothing more."""
    return name if name.isprintable() else _UNSHOWABLE.sub(lambda found: _escape(found[0]), name)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # an invalid byte, as os.fsdecode() hands it over
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def slug(name: str) -> str:
    """Return a name as ASCII for ids: lower-case letters, digits and single hyphens, at most 40; "drop" if nothing is left."""
    decomposed = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", decomposed.lower())[:40].strip("-") or "drop"


def is_job_id(text: str) -> bool:
    """Return whether a text has the form of a job's id, see `new_job_id`."""
    return _JOB_ID.fullmatch(text) is not None


def new_job_id(name: str, now: float, entropy: str) -> str:
    """Return an id like 20261122-231500-lesson-01-k3f9: UTC time first, so that ids sort; ASCII, fit for a folder name."""
    return f"{datetime.fromtimestamp(now, tz=UTC):%Y%m%d-%H%M%S}-{slug(name)}-{slug(entropy)}"


def output_stems(paths: Iterable[str]) -> dict[str, str]:
    """Return a file name stem for each path, no two equal for clients that ignore case or Unicode form.

    The first of several with one stem keeps it; later ones get their suffix (teacher.mov -> teacher-mov), then numbers.
    """
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    stems: dict[str, str] = {}
    for path in paths:
        stem = next(candidate for candidate in _candidates(path, numbers) if equality_key(candidate) not in taken)
        taken.add(equality_key(stem))
        stems[path] = stem
    return stems


def _candidates(path: str, numbers: dict[str, int]) -> Iterable[str]:
    """Yield stems for a path. numbers: the last number given to each stem, so that of a thousand equal ones none begins at 2 again."""
    name, suffix = path.rpartition("/")[2], suffix_of(path)
    whole = name.rstrip()[: -len(suffix)] if suffix else name
    yield _usable_stem(whole)
    stem = _usable_stem(whole, room=16)
    if suffix:
        stem = f"{stem}-{suffix[1:9]}"
        yield stem
    key = equality_key(stem)
    while True:
        numbers[key] = numbers.get(key, 1) + 1
        yield f"{stem}-{numbers[key]}"


def _usable_stem(stem: str, room: int = 0) -> str:
    """Return a stem that Windows, macOS and our own output folder can hold, `room` bytes shorter than the limit."""
    replaced = _NOT_IN_FILE_NAMES.sub("_", unicodedata.normalize("NFC", stem))
    cut = replaced.encode()[: MAX_STEM_BYTES - room].decode(errors="ignore").strip(" .") or "video"
    folded = cut.casefold()
    is_reserved = folded.split(".")[0].rstrip() in _WINDOWS_DEVICES or folded in _OWN_NAMES or folded.endswith(_OWN_SUFFIXES)
    return f"{cut}_" if is_reserved else cut


def equality_key(name: str) -> str:
    """Return the key under which names are equal for clients that ignore case or Unicode form."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())
