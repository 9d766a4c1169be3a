"""What the boxes of an MP4 or QuickTime file declare (ISO/IEC 14496-12): whether all samples are in the file, and where its time jumps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.media.declared import Structure, is_placeholder, joined_unread
from heygem_daemon.media.file_bytes import FileBytes
from heygem_daemon.media.types import GAP_SECONDS

MAX_BOXES: Final = 200_000
"""Boxes of one level that are looked at: three hours in fragments of a tenth of a second."""
MAX_INNER_BOXES: Final = 500
MAX_TRACKS: Final = 500
"""Boxes of a level inside a track, and tracks, that are looked at. A track has less than twenty on each level; a file with more tracks is
refused by whoever counts them."""
PROTECTED: Final = frozenset({b"encv", b"enca", b"encs", b"drms", b"drmi", b"drmt", b"p608", b"aavd"})
"""Types of the sample entries of protected tracks (8.12; Apple FairPlay; Audible)."""
MAX_TABLE_BYTES: Final = 64 * 2**20
"""Bytes of one sample table that are read: sixteen million samples."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box: its type, where its content begins and where it ends by its header."""

    name: bytes
    start: int
    end: int


def boxes(data: FileBytes, place: int, end: int, most: int = MAX_BOXES) -> Iterator[Box]:
    """Yield the boxes between two places, so many at most; the last may declare an end beyond the second."""
    for _ in range(most):
        size, name = data.number(place, 4), data.at(place + 4, 4)
        start = place + 8
        if size == 1:
            size, start = data.number(place + 8, 8), place + 16
        elif size == 0:
            size = end - place
        if place >= end or len(name) < 4 or size < start - place:
            return
        yield Box(name=name, start=start, end=place + size)
        place += size


def inside(data: FileBytes, box: Box, *path: bytes) -> Box | None:
    """Return the first box of this path inside another."""
    for name in path:
        found = next((each for each in boxes(data, box.start, min(box.end, data.size), MAX_INNER_BOXES) if each.name == name), None)
        if found is None:
            return None
        box = found
    return box


def mov(data: FileBytes) -> Structure:
    """Sample tables where there are some, else the sizes of the boxes."""
    top = list(boxes(data, 0, data.size))
    movie = next((box for box in top if box.name == b"moov" and box.end <= data.size), None)
    if movie is None:
        return Structure()
    appended = [box.start - 8 for place, box in enumerate(top) if box.name == b"ftyp" and any(each.name == b"moov" for each in top[:place])]
    if appended:
        return Structure(warnings=joined_unread(data.size - appended[0], data.size))
    tracks = [box for box in boxes(data, movie.start, movie.end) if box.name == b"trak"]
    if len(tracks) > MAX_TRACKS:
        return Structure()
    if any(_sample_entry(data, track) in PROTECTED for track in tracks):
        return Structure(is_protected=True)
    tables = [table for track in tracks if (table := inside(data, track, b"mdia", b"minf", b"stbl")) is not None]
    end = max((_samples_end(data, table) for table in tables), default=0)
    is_fragmented = inside(data, movie, b"mvex") is not None
    last = top[-1].end
    is_open_ended = is_placeholder(last) or (top[-1].name == b"mdat" and not is_fragmented and end <= data.size)
    is_cut = end > data.size or (last > data.size and not is_open_ended) or _index_end(data, top) > data.size
    gaps = [_has_gap(data, track) for track in tracks if _handler(data, track) == b"vide"]
    return Structure(is_cut=is_cut, has_gaps=None if is_fragmented else any(gaps))


def _handler(data: FileBytes, track: Box) -> bytes:
    handler = inside(data, track, b"mdia", b"hdlr")
    return b"" if handler is None else data.at(handler.start + 8, 4)


def _sample_entry(data: FileBytes, track: Box) -> bytes:
    """Return the type of the first sample description of a track (stsd, 8.5.2)."""
    entries = inside(data, track, b"mdia", b"minf", b"stbl", b"stsd")
    return b"" if entries is None else data.at(entries.start + 12, 4)


def numbers_of(data: FileBytes, box: Box | None, skip: int, kind: str) -> npt.NDArray[np.int64]:
    """Return the numbers of a table behind its first `skip` bytes."""
    if box is None:
        return np.empty(0, np.int64)
    content = data.at(box.start + skip, min(box.end - box.start - skip, MAX_TABLE_BYTES))
    width = np.dtype(kind).itemsize
    return np.frombuffer(content[: len(content) // width * width], kind).astype(np.int64)


def _samples_end(data: FileBytes, table: Box) -> int:
    """Return the end of the last sample by the chunk offsets, samples to a chunk and sample sizes of a track (8.7), in bytes."""
    offsets = numbers_of(data, inside(data, table, b"stco"), 8, ">u4")
    if not len(offsets):
        offsets = numbers_of(data, inside(data, table, b"co64"), 8, ">i8")
    sizes_box = inside(data, table, b"stsz")
    runs = numbers_of(data, inside(data, table, b"stsc"), 8, ">u4")
    if not len(offsets) or sizes_box is None or len(runs) < 3:
        return 0
    runs = runs[: len(runs) // 3 * 3].reshape(-1, 3)
    chunk = int(offsets.argmax())
    run = max(int(np.searchsorted(runs[:, 0], chunk + 1, side="right")) - 1, 0)
    count = int(runs[run, 1])
    size = data.number(sizes_box.start + 4, 4)
    if size:
        return int(offsets[chunk]) + size * count
    lengths = np.diff(np.append(runs[:, 0], len(offsets) + 1)) * runs[:, 1]
    before = int(lengths[:run].sum()) + (chunk + 1 - int(runs[run, 0])) * count
    sizes = numbers_of(data, sizes_box, 12, ">u4")
    return int(offsets[chunk]) + int(sizes[before : before + count].sum())


def _index_end(data: FileBytes, top: list[Box]) -> int:
    """Return the end of the segments that an index in front of them lists (sidx, 8.16.3), 0 where there is none."""
    index = next((box for box in top if box.name == b"sidx"), None)
    if index is None:
        return 0
    wide = data.number(index.start, 1) > 0
    place = index.start + (28 if wide else 20)
    first = data.number(index.start + (20 if wide else 16), 8 if wide else 4)
    count = data.number(place + 2, 2)
    lengths = numbers_of(data, Box(name=b"", start=place + 4, end=place + 4 + 12 * count), 0, ">u4")[::3] & 0x7FFFFFFF
    return index.end + first + int(lengths.sum())


def _has_gap(data: FileBytes, track: Box) -> bool:
    """Return whether a sample of a track lasts longer than a frame is ever held (stts, 8.6.1.2)."""
    header, times = inside(data, track, b"mdia", b"mdhd"), inside(data, track, b"mdia", b"minf", b"stbl", b"stts")
    if header is None or times is None:
        return False
    is_wide = data.number(header.start, 1) == 1
    units = data.number(header.start + (20 if is_wide else 12), 4)
    lengths = numbers_of(data, times, 8, ">u4")[1::2]
    return bool(len(lengths)) and int(lengths.max()) > GAP_SECONDS * units
