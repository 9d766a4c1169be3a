"""Judge what a container declares about its own size: is its end missing, or may its header not be believed?

A header that was written before the length was known (a pipe, a stream, a recorder that lost power) declares zero, the largest number
or a round one. Then the file is read to its end. An ordinary size with data missing is a copy that has not finished.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from heygem_daemon.core.warning_codes import WarningCode

SLACK_BYTES: Final = 256
SLACK_FRACTION: Final = 0.005
"""A declared end up to this far beyond that of the file is a writer's error (it counted its own header, or padding)."""
PLACEHOLDER_BYTES: Final = 2**28
PLACEHOLDER_NEAR: Final = 2**16
"""Bytes. Data does not end by chance as near as this to a power of two as large as that; streaming writers declare such sizes."""
ROUND_BYTES: Final = 10**6
"""Nor at a multiple of this, above a hundred of them (2,000,000,000)."""


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What a container's own sizes say about a file.

    is_cut: data that is declared is missing. warnings: code -> detail. demuxer, options: how all of it is read, where that is another way
    than the usual one. has_gaps: whether time stamps may jump; None where only the packets can say. is_protected: its content is encrypted.
    """

    is_cut: bool = False
    is_protected: bool = False
    warnings: Mapping[str, str] = field(default_factory=dict)
    demuxer: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    has_gaps: bool | None = None


def is_placeholder(declared: int, longest: float | None = None) -> bool:
    """Return whether a size in bytes was written before the size was known. longest: bytes of the longest recording accepted."""
    if declared == 0 or (longest is not None and declared > longest):
        return True
    power = 1 << (declared.bit_length() - 1)
    is_near = min(declared - power, 2 * power - declared) <= PLACEHOLDER_NEAR
    is_round = declared >= 100 * ROUND_BYTES and declared % ROUND_BYTES == 0
    return is_round or (is_near and declared >= PLACEHOLDER_BYTES - PLACEHOLDER_NEAR)


def is_beyond(end: int, size: int) -> bool:
    """Return whether data that should reach to `end` lacks a part in a file of `size` bytes."""
    return end > size + max(SLACK_BYTES, SLACK_FRACTION * size)


def judge(end: int, size: int, *, declared: int | None = None, longest: float | None = None) -> Structure:
    """Return what follows from the end that a container declares. declared: the number in its header, where that is not the end itself."""
    if not is_beyond(end, size):
        return Structure()
    number = end if declared is None else declared
    return Structure(warnings=size_wrong(number, size)) if is_placeholder(number, longest) else Structure(is_cut=True)


def size_wrong(declared: int, found: int) -> dict[str, str]:
    """Return the warning for a size in bytes that cannot be true."""
    return {WarningCode.HEADER_SIZE_WRONG: f"Its header gives {_megabytes(declared)}, {_megabytes(found)} were found and read."}


def joined_unread(unread: int, size: int) -> dict[str, str]:
    """Return the warning for a file behind whose end others were appended that no player reads."""
    detail = f"{_megabytes(unread)} of {_megabytes(size)} belong to what was appended to the first file, and were not read."
    return {WarningCode.JOINED_FILES: detail}


def joined_read() -> dict[str, str]:
    """Return the warning for a file behind whose end others were appended that are read as well."""
    return {WarningCode.JOINED_FILES: "They were read one after the other; a click or a jump is possible where they meet."}


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.2f} MB"
