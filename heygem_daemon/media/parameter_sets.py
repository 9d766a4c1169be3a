"""Prove from an MP4 or QuickTime file itself that all frames of its H.264 or HEVC track have the size that its header gives.

A decoder takes the size, the shape of the pixels and the repetition of fields from parameter sets (ITU-T H.264 and H.265, 7.3.2) and from
messages about the timing of a frame (annex D). Where the header holds one set, and no key frame brings another or such a message, there is
nothing that could change. That is the ordinary file; it spares ffprobe a start and the decoding of frames at many places.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.media.boxes import Box, boxes, inside, numbers_of
from heygem_daemon.media.file_bytes import FileBytes

Json = dict[str, Any]
Int64 = npt.NDArray[np.int64]

MAX_KEY_FRAMES: Final = 512
"""Key frames that are looked at, spread over the track where it has more: a decoder is asked at sixteen places otherwise."""
_HEAD_BYTES: Final = 4096
"""Of a key frame. Parameter sets and messages come before its first slice; an ordinary one has less than 1 KB of them."""
_ENTRY_BYTES: Final = 78
"""Of a VisualSampleEntry before its boxes (ISO/IEC 14496-12, 12.1.3)."""
_FRAME_TIMING: Final = 1
"""payloadType of the message that tells of repeated fields."""


@dataclass(frozen=True, kw_only=True)
class _Syntax:
    """How the units of a codec are distinguished. units: types of those that carry image data, parameter sets, messages in front."""

    slices: range
    sets: frozenset[int]
    message: int
    header_bytes: int

    def type_of(self, header: int) -> int:
        """Return the type of a unit by the first byte of its header."""
        return header & 31 if self.header_bytes == 1 else header >> 1 & 63


_H264: Final = _Syntax(slices=range(1, 6), sets=frozenset({7, 8, 13, 15}), message=6, header_bytes=1)
_HEVC: Final = _Syntax(slices=range(32), sets=frozenset({32, 33, 34}), message=39, header_bytes=2)
_SYNTAXES: Final = {b"avc1": (_H264, b"avcC"), b"hvc1": (_HEVC, b"hvcC"), b"hev1": (_HEVC, b"hvcC")}


def has_fixed_shape(data: FileBytes, track: Json) -> bool:
    """Return whether all frames of a track have the size that ffprobe's description `track` has; False where that is not certain.

    Raises TransientError (`io_error`)."""
    movie = next((box for box in boxes(data, 0, data.size) if box.name == b"moov" and box.end <= data.size), None)
    if movie is None or inside(data, movie, b"mvex") is not None:
        return False
    found = [box for box in boxes(data, movie.start, movie.end) if box.name == b"trak" and _number(data, box) == track.get("id")]
    table = inside(data, found[0], b"mdia", b"minf", b"stbl") if len(found) == 1 else None
    described = None if table is None else _description(data, table)
    if table is None or described is None or described.size != (track.get("width"), track.get("height")):
        return False
    places = _key_frames(data, table)
    return places is not None and all(_is_plain(data.at(int(place), _HEAD_BYTES), described) for place in places)


def _number(data: FileBytes, track: Box) -> str:
    """Return the number of a track as ffprobe writes it (tkhd, 8.3.2)."""
    header = inside(data, track, b"tkhd")
    if header is None:
        return ""
    return hex(data.number(header.start + (20 if data.number(header.start, 1) == 1 else 12), 4))


@dataclass(frozen=True, kw_only=True)
class _Description:
    """The one sample description of a track: size in pixels, bytes of the length in front of each unit."""

    size: tuple[int, int]
    length_bytes: int
    syntax: _Syntax


def _description(data: FileBytes, table: Box) -> _Description | None:
    """Return the sample description, None where there are several, or several parameter sets in it, or it is of another codec."""
    entries = inside(data, table, b"stsd")
    if entries is None or data.number(entries.start + 4, 4) != 1:
        return None
    entry = next(boxes(data, entries.start + 8, entries.end), None)
    if entry is None or entry.name not in _SYNTAXES:
        return None
    syntax, name = _SYNTAXES[entry.name]
    configuration = inside(data, Box(name=b"", start=entry.start + _ENTRY_BYTES, end=entry.end), name)
    if configuration is None:
        return None
    content = data.at(configuration.start, min(configuration.end - configuration.start, _HEAD_BYTES))
    length = _length_bytes_avc(content) if syntax is _H264 else _length_bytes_hevc(content)
    size = (data.number(entry.start + 24, 2), data.number(entry.start + 26, 2))
    return None if length is None else _Description(size=size, length_bytes=length, syntax=syntax)


def _length_bytes_avc(content: bytes) -> int | None:
    """Return the bytes of a unit's length of an AVCDecoderConfigurationRecord with one sequence set (ISO/IEC 14496-15, 5.3.3)."""
    return (content[4] & 3) + 1 if len(content) > 6 and content[5] & 31 == 1 else None


def _length_bytes_hevc(content: bytes) -> int | None:
    """Return the same of an HEVCDecoderConfigurationRecord (8.3.3): arrays of units, each with its type and the number of them."""
    if len(content) < 23:
        return None
    place, sets = 23, 0
    for _ in range(content[22]):
        kind, count = content[place : place + 1], int.from_bytes(content[place + 1 : place + 3], "big")
        place += 3
        sets += count if kind and kind[0] & 63 == 33 else 0
        for _ in range(count):
            place += 2 + int.from_bytes(content[place : place + 2], "big")
            if place > len(content):
                return None
    return (content[21] & 3) + 1 if sets == 1 else None


def _key_frames(data: FileBytes, table: Box) -> Int64 | None:
    """Return where up to MAX_KEY_FRAMES key frames begin, in bytes: int64 [n]; None where the tables do not tell."""
    offsets, runs = _chunk_offsets(data, table), numbers_of(data, inside(data, table, b"stsc"), 8, ">u4")
    sizes_box = inside(data, table, b"stsz")
    if not len(offsets) or sizes_box is None or not len(runs) or len(runs) % 3:
        return None
    runs = runs.reshape(-1, 3)
    lengths = np.diff(np.append(runs[:, 0], len(offsets) + 1))
    if runs[0, 0] != 1 or (lengths <= 0).any() or (runs[:, 2] != 1).any():
        return None
    firsts = np.concatenate([[0], np.cumsum(np.repeat(runs[:, 1], lengths))])
    size, count = data.number(sizes_box.start + 4, 4), data.number(sizes_box.start + 8, 4)
    sizes = numbers_of(data, sizes_box, 12, ">u4")
    if count != firsts[-1] or (size == 0 and len(sizes) != count):
        return None
    keys = _key_numbers(data, table, count)
    if not len(keys) or keys.min() < 0 or keys.max() >= count:
        return None
    chunks = np.searchsorted(firsts, keys, side="right") - 1
    if size > 0:  # of each frame: a hostile count of them must not become an array
        return np.asarray(offsets[chunks] + size * (keys - firsts[chunks]))
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return np.asarray(offsets[chunks] + ends[keys] - ends[firsts[chunks]])


def _chunk_offsets(data: FileBytes, table: Box) -> Int64:
    wide = inside(data, table, b"co64")
    return numbers_of(data, inside(data, table, b"stco"), 8, ">u4") if wide is None else numbers_of(data, wide, 8, ">i8")


def _key_numbers(data: FileBytes, table: Box, count: int) -> Int64:
    """Return the numbers from 0 of key frames (stss, 8.6.2; without it every frame is one): int64 [at most MAX_KEY_FRAMES]."""
    listed = inside(data, table, b"stss")
    keys = None if listed is None else numbers_of(data, listed, 8, ">u4") - 1
    total = count if keys is None else len(keys)
    chosen = np.linspace(0, total - 1, min(total, MAX_KEY_FRAMES)).round().astype(np.int64)
    return chosen if keys is None else keys[chosen]


def _is_plain(head: bytes, described: _Description) -> bool:
    """Return whether a key frame that begins with `head` has a slice, and before it neither parameter sets nor frame timing."""
    place, syntax = 0, described.syntax
    while True:
        start = place + described.length_bytes
        unit = head[start : start + int.from_bytes(head[place:start], "big")]
        if len(unit) <= syntax.header_bytes:
            return False
        kind = syntax.type_of(unit[0])
        if kind in syntax.slices:
            return True
        if kind in syntax.sets or (kind == syntax.message and not _is_other_message(unit[syntax.header_bytes :])):
            return False
        place = start + int.from_bytes(head[place:start], "big")


def _is_other_message(payload: bytes) -> bool:
    """Return whether none of the messages in a unit (7.3.2.3) is a pic_timing."""
    place = 0
    while place < len(payload) and payload[place] != 0x80:  # rbsp_trailing_bits
        kind, place = _extended_number(payload, place)
        size, place = _extended_number(payload, place)
        if kind == _FRAME_TIMING:
            return False
        place += size
    return True


def _extended_number(payload: bytes, place: int) -> tuple[int, int]:
    """Return the sum of bytes up to the first below 255, and the place behind it."""
    total = 0
    while place < len(payload) and payload[place] == 255:
        total, place = total + 255, place + 1
    return total + (payload[place] if place < len(payload) else 0), place + 1
