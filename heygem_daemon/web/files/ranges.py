"""HTTP semantics of files (RFC 9110): conditions, byte ranges, validators and names for downloads."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

CONTENT_TYPES: Final = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".ts": "video/mp2t",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".zip": "application/zip",
}
"""Types that a browser may show. Whatever else somebody dropped (svg, html ...) is bytes to be saved, not a page of ours."""
BYTES: Final = "application/octet-stream"

_RANGE: Final = re.compile(r"\s*([0-9]*)\s*-\s*([0-9]*)\s*")
_ATTRIBUTE_CHARACTERS: Final = "!#$&+-.^_`|~"
"""What RFC 5987 lets stand in an extended value, beside letters and digits."""


@dataclass(frozen=True, kw_only=True)
class Representation:
    """A file as HTTP sees it; size in bytes."""

    size: int
    mtime_ns: int

    @property
    def etag(self) -> str:
        return f'"{self.size:x}-{self.mtime_ns & (2**64 - 1):x}"'

    @property
    def last_modified(self) -> str:
        return format_datetime(self._modified, usegmt=True)

    @property
    def _modified(self) -> datetime:
        """Return the time of the last change in whole seconds, as HTTP writes it; 1970 for a time that no date can show."""
        try:
            return datetime.fromtimestamp(self.mtime_ns // 10**9, tz=UTC)
        except (OverflowError, ValueError, OSError):
            return datetime.fromtimestamp(0, tz=UTC)

    def precondition(self, headers: Mapping[str, str], *, is_read: bool) -> int | None:
        """Return 304 or 412 where the conditions of a request decide its answer, else None. is_read: GET or HEAD."""
        if (match := headers.get("if-match")) is not None:
            if not self._is_listed(match, weak=False):
                return 412
        elif (since := _date(headers.get("if-unmodified-since"))) is not None and self._modified > since:
            return 412
        if (none_match := headers.get("if-none-match")) is not None:
            return (304 if is_read else 412) if self._is_listed(none_match, weak=True) else None
        if is_read and (since := _date(headers.get("if-modified-since"))) is not None and self._modified <= since:
            return 304
        return None

    def _is_listed(self, value: str, *, weak: bool) -> bool:
        tags = [tag.strip() for tag in value.split(",")]
        return "*" in tags or self.etag in tags or (weak and f"W/{self.etag}" in tags)

    def is_current(self, if_range: str | None) -> bool:
        """Return whether a range may be sent: the client has the beginning of this very file, or did not ask."""
        if if_range is None:
            return True
        return if_range.strip() in {self.etag, self.last_modified}


def requested_range(value: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the length of a Range header; None where the whole is to be sent. Raises ValueError where it cannot be.

    Several ranges get the whole, which RFC 9110 (14.2) allows: no browser needs more than one, and many are an old attack."""
    unit, equals, ranges = value.partition("=")
    found = _RANGE.fullmatch(ranges) if equals and unit.strip().lower() == "bytes" else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(_number(found[2]), size)
        if not _number(found[2]):
            raise ValueError(value)
        return (size - length, length) if length else None
    first, last = _number(found[1]), min(_number(found[2]), size - 1) if found[2] else size - 1
    if found[2] and _number(found[2]) < first:
        return None
    if first >= size:
        raise ValueError(value)
    return first, last - first + 1


def _number(digits: str) -> int:
    """Return a number of any length; one beyond every file size as 2**63."""
    digits = digits.lstrip("0")
    return 2**63 if len(digits) > 18 else int(digits or "0")


def _date(value: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(value) if value and value.endswith("GMT") else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return None if found is None or found.tzinfo is None else found  # "-0000" has no zone


def content_type(name: str) -> str:
    """Return the type by the suffix of a name."""
    return CONTENT_TYPES.get(PurePosixPath(name).suffix.lower(), BYTES)


def content_disposition(name: str, *, download: bool) -> str:
    """Return the header that gives a download its name (RFC 6266): in ASCII, and whole as UTF-8 for every client of this century."""
    kind = "attachment" if download or content_type(name) == BYTES else "inline"
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\%/' else "_" for char in name)
    whole = quote(name.encode("utf-8", "surrogateescape"), safe=_ATTRIBUTE_CHARACTERS)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{whole}"
