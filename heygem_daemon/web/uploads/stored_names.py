"""Names of uploaded files and of drops: what the user called them, made fit for every share, and never ignored by intake."""

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Final

from heygem_daemon.core.file_types import RECORDING_SUFFIXES, FileType, suffix_of, type_of
from heygem_daemon.core.names import MAX_NAME_BYTES, is_ignored, is_job_id, name_bytes
from heygem_daemon.core.script_files import SCRIPT_SUFFIXES
from heygem_daemon.core.unused_files import AUDIOS, VIDEOS
from heygem_daemon.web.models import Role
from heygem_daemon.web.problems import WebProblem

_REPLACED: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
"""What Windows or the file system refuses; results get names without these characters too."""
_REMOVED: Final = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Invisible characters and those that turn the direction of what follows: `gpj.exe` may be written so that it shows as `exe.jpg`."""
_OUTER: Final = re.compile(r"^[\s.]+|[\s.]+$")
"""Dots and spaces that hide a file, or that Windows drops."""
_WINDOWS_DEVICE: Final = re.compile(r"(con|prn|aux|nul|(com|lpt)[1-9¹²³])\s*", re.IGNORECASE)

MAX_DROP_BYTES: Final = 150
"""Leaves room for the suffix of a control file, a number, and what results add."""
_ROOM_FOR_NUMBER: Final = 6

_UNREADABLE_SCRIPTS: Final = frozenset({".doc", ".pages", ".pdf"})
READABLE_SCRIPTS: Final = tuple(suffix for suffix in SCRIPT_SUFFIXES if suffix not in _UNREADABLE_SCRIPTS)

_ACCEPTED: Final[dict[str, str]] = {
    "recording": "wav, mp3, m4a, aac, flac, ogg, opus, wma, aiff, amr, mp4, mov, mkv ...",
    "video": "mp4, mov, mkv, webm, avi, mpg, mts, wmv, 3gp, flv, jpg, png, heic, webp, avif, bmp, tif ...",
    "script": ", ".join(suffix[1:] for suffix in READABLE_SCRIPTS),
}
"""What a sentence names of the types for each role; the same in every language."""


def stored_name(name: str, role: Role, taken: Collection[str]) -> str:
    """Return the name under which an upload is stored beside those `taken`. Raises WebProblem (`unsupported_type`)."""
    usable = usable_name(name, limit=MAX_NAME_BYTES)
    check_type(usable, role, shown=name)
    keys = {comparison_key(each) for each in taken}
    return next(each for each in numbered(usable) if comparison_key(each) not in keys)


def check_type(name: str, role: Role, *, shown: str) -> None:
    """Raise WebProblem (`unsupported_type`) for a name that no recording, video or script of a drop has."""
    suffix, file_type = suffix_of(name), type_of(name)
    if role == "script":
        fits = suffix in READABLE_SCRIPTS
    elif role == "recording":
        fits = suffix in RECORDING_SUFFIXES or file_type is FileType.UNNAMED
    else:
        fits = file_type in {FileType.VIDEO, FileType.STILL, FileType.UNNAMED}
    if not fits:
        raise WebProblem("unsupported_type", name=shown, role=role, accepted=_ACCEPTED[role])


def drop_name(name: str) -> str:
    """Return the name of the folder of a drop. Raises WebProblem (`bad_name`) where nothing of the name can be used."""
    flat = re.sub(r"[/\\]", "_", name)  # "A/B test" is no path
    if not _cleaned(flat):
        raise WebProblem("bad_name", name=name)
    usable = usable_name(flat, limit=MAX_DROP_BYTES, is_folder=True)
    # With a number too: a control file of that name would be for the job of that id.
    return f"_{usable}" if is_job_id(f"{usable.casefold()}-2") else usable


def usable_name(name: str, *, limit: int, is_folder: bool = False) -> str:
    """Return a name like `name`, of at most `limit` bytes, that every share can hold and intake does not ignore; its suffix stays."""
    whole = _cleaned(name) or "file"
    stem, suffix = (whole, "") if is_folder else split_suffix(whole)
    if _WINDOWS_DEVICE.fullmatch(stem.partition(".")[0]):
        stem = f"{stem}_"
    usable = _fitted(stem, suffix, limit)
    if is_ignored(usable) or usable.casefold() in {VIDEOS, AUDIOS}:
        usable = _fitted(f"_{stem}", f"_{suffix}", limit)
    return usable


def split_suffix(name: str) -> tuple[str, str]:
    """Return stem and suffix as the recogniser of drops sees them."""
    suffix = suffix_of(name)
    return (name[: len(name) - len(suffix)], name[len(name) - len(suffix) :]) if suffix else (name, "")


def numbered(name: str, *, is_folder: bool = False, limit: int = MAX_NAME_BYTES) -> Iterator[str]:
    """Yield the name, then name-2, name-3 ... with the number before the suffix."""
    yield name
    stem, suffix = (name, "") if is_folder else split_suffix(name)
    short = _cut(stem, limit - name_bytes(suffix) - _ROOM_FOR_NUMBER)
    number = 2
    while True:
        yield f"{short}-{number}{suffix}"
        number += 1


def comparison_key(name: str) -> str:
    """Return the name by which clients that ignore case and Unicode form compare."""
    return unicodedata.normalize("NFC", name.casefold())


def _cleaned(name: str) -> str:
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    composed = unicodedata.normalize("NFC", _REMOVED.sub("", _REPLACED.sub("_", last)))
    return _OUTER.sub("", composed)


def _fitted(stem: str, suffix: str, limit: int) -> str:
    return (_cut(stem, limit - name_bytes(suffix)) or "file") + suffix


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore").rstrip(" .")
