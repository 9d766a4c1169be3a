"""Read what Pillow does not report of a still: whether its end is missing, its colour codes, whether it is a raw photo in a TIFF. Pure
Python over a few kilobytes of the file."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

HEAD_BYTES: Final = 64 * 1024
"""Where the boxes and chunks with the properties of an image lie."""
TAIL_BYTES: Final = 4096
"""A file that ends in so many zeros was given its size before its content."""
LAST_BYTES: Final = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}
"""What a whole image ends with; cameras and programs may write zeros behind it."""
SEQUENCE_BRANDS: Final = frozenset({b"msf1", b"hevc", b"hevx", b"hevm", b"hevs"})

_CFA, _LINEAR_RAW, _YCBCR = 32803, 34892, 6
_SUBFILE_TYPE, _PHOTOMETRIC, _STRIP_OFFSETS, _STRIP_BYTES, _SUB_IFDS = 254, 262, 273, 279, 330
_TILE_OFFSETS, _TILE_BYTES, _DNG_VERSION = 324, 325, 50706
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_VALUES: Final = 1_000_000


def is_truncated(file: BinaryIO, image_type: str) -> bool:
    """Return whether the file is shorter than its own structure says, or ends in zeros that a copy has not yet overwritten."""
    size = file.seek(0, os.SEEK_END)
    if image_type in {"AVIF", "HEIF"}:
        return any(end > size or (name == b"mdat" and _is_zero_before(file, end)) for name, _, end in _boxes(file, size))
    if image_type == "JPEG 2000":
        return any(end > size for _, _, end in _boxes(file, size)) or not _has_end_of_codestream(file, size)
    if image_type == "WebP":
        end = int.from_bytes(_read(file, 4, 4), "little") + 8
        return end > size or _is_zero_before(file, end)
    if image_type == "TIFF":
        return _tiff_end(file, size) > size
    last = LAST_BYTES.get(image_type)
    return last is not None and _is_zero_before(file, size) and not _content(file, size).endswith(last)


def colour_codes(file: BinaryIO, image_type: str) -> tuple[int, int] | None:
    """Return colour primaries and transfer (ITU-T H.273) where the file names them: `colr` of type nclx in HEIF and AVIF, `cICP` in PNG."""
    if image_type not in {"AVIF", "HEIF", "PNG"}:
        return None
    head = _read(file, 0, HEAD_BYTES)
    if image_type == "PNG":
        place = head.find(b"\0\0\0\x04cICP")
        return (head[place + 8], head[place + 9]) if 0 <= place < len(head) - 10 else None
    place = head.find(b"colrnclx")
    if not 0 <= place < len(head) - 12:
        return None
    return int.from_bytes(head[place + 8 : place + 10], "big"), int.from_bytes(head[place + 10 : place + 12], "big")


def is_animated_heif(file: BinaryIO) -> bool:
    """Return whether the file is an image sequence (ISO/IEC 23008-12, 7), as bursts and animations are."""
    return _read(file, 8, 4) in SEQUENCE_BRANDS


def wavelet_levels(file: BinaryIO) -> int:
    """Return how often a JPEG 2000 image can be decoded at half its size: the levels in its COD segment (ISO/IEC 15444-1, A.6.1)."""
    head = _read(file, 0, HEAD_BYTES)
    place = head.find(b"\xff\x52", head.find(b"\xff\x4f\xff\x51"))
    return head[place + 9] if 0 <= place < len(head) - 9 else 0


def is_raw_photo(file: BinaryIO) -> bool:
    """Return whether a TIFF is a camera's raw file (DNG, NEF, ARW, CR2, ...): its first image is then a thumbnail, or not yet developed."""
    if _read(file, 8, 2) == b"CR":
        return True
    tags = _first_directory(file, file.seek(0, os.SEEK_END))
    subfile_type, photometric = ((tags.get(tag) or (0,))[0] for tag in (_SUBFILE_TYPE, _PHOTOMETRIC))
    is_thumbnail = bool(subfile_type & 1) and _SUB_IFDS in tags
    return _DNG_VERSION in tags or is_thumbnail or photometric in {_CFA, _LINEAR_RAW}


def _read(file: BinaryIO, place: int, count: int) -> bytes:
    """Return up to `count` bytes from `place` on; none outside the file."""
    if not 0 <= place < 2**63:
        return b""
    file.seek(place)
    return file.read(count)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start of the content and end of each box on the top level (ISO/IEC 14496-12, 4.2); the last may end outside the file."""
    place = 0
    while place + 8 <= size:
        header = _read(file, place, 16)
        length, content = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, content = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = size - place
        if length < content:
            return
        yield header[4:8], place + content, place + length
        place += length


def _is_zero_before(file: BinaryIO, end: int) -> bool:
    return end > TAIL_BYTES and not any(_read(file, end - TAIL_BYTES, TAIL_BYTES))


def _content(file: BinaryIO, size: int) -> bytes:
    """Return the last bytes of the file that are not zeros behind its content."""
    for end in range(size, 0, -HEAD_BYTES):
        start = max(end - HEAD_BYTES, 0)
        if found := _read(file, start, end - start).rstrip(b"\0"):
            return found[-16:]
    return b""


def _has_end_of_codestream(file: BinaryIO, size: int) -> bool:
    """Return whether the JPEG 2000 codestream has its last marker, EOC (ISO/IEC 15444-1, A.4.4)."""
    ends = [end for name, _, end in _boxes(file, size) if name == b"jp2c"]
    return _read(file, (ends[0] if ends else size) - 2, 2) == b"\xff\xd9"


def _first_directory(file: BinaryIO, size: int) -> dict[int, tuple[int, ...]]:
    """Return the whole numbers of the first directory of a TIFF by tag, () for other values; {} where it is missing."""
    header = _read(file, 0, 16)
    if len(header) < 16:
        return {}
    order, is_big = "<" if header[:2] == b"II" else ">", header[2:4] in {b"+\0", b"\0+"}
    place = struct.unpack(f"{order}Q", header[8:16])[0] if is_big else struct.unpack(f"{order}I", header[4:8])[0]
    count_format, entry_format = ("Q", "HHQ8s") if is_big else ("H", "HHI4s")
    counted = struct.calcsize(f"{order}{count_format}")
    if place + counted > size:
        return {}
    count = struct.unpack(f"{order}{count_format}", _read(file, place, counted))[0]
    entry = struct.Struct(f"{order}{entry_format}")
    table = _read(file, place + counted, entry.size * min(count, 4096))
    return {
        tag: _numbers(file, order, kind, number, value)
        for tag, kind, number, value in entry.iter_unpack(table[: len(table) // entry.size * entry.size])
    }


def _numbers(file: BinaryIO, order: str, kind: int, count: int, value: bytes) -> tuple[int, ...]:
    code = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}.get(kind)
    if code is None or count > _MOST_VALUES:
        return ()
    length = _SIZES[kind] * count
    if length > len(value):
        value = _read(file, struct.unpack(f"{order}{'Q' if len(value) == 8 else 'I'}", value)[0], length)
    return struct.unpack(f"{order}{len(value[:length]) // _SIZES[kind]}{code}", value[: len(value[:length]) // _SIZES[kind] * _SIZES[kind]])


def _tiff_end(file: BinaryIO, size: int) -> int:
    """Return where the first image of a TIFF ends, in bytes; beyond every end where its directory is missing."""
    tags = _first_directory(file, size)
    if not tags:
        return size + 1
    offsets = tags.get(_STRIP_OFFSETS) or tags.get(_TILE_OFFSETS, ())
    counts = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES, ())
    return max((offset + count for offset, count in zip(offsets, counts, strict=False)), default=0)
