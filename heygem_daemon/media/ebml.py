"""What a Matroska or WebM file declares (RFC 8794, RFC 9559): whether its Segment is whole, and where its time jumps."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from heygem_daemon.media.declared import Structure, joined_read, judge
from heygem_daemon.media.file_bytes import FileBytes
from heygem_daemon.media.types import GAP_SECONDS

MAX_ELEMENTS: Final = 200_000
EBML: Final = 0x1A45DFA3
SEGMENT: Final = 0x18538067
CLUSTER: Final = 0x1F43B675
INFO: Final = 0x1549A966
TIMESTAMP_SCALE: Final = 0x2AD7B1
TIMESTAMP: Final = 0xE7
LONGEST_CLUSTER: Final = 33.0
"""s. Times inside a Cluster are 16-bit numbers, of milliseconds as a rule."""
MANY_CLUSTERS: Final = 8
"""From how many on their usual length counts; the packets of a shorter file are quickly listed."""
DEFAULT_SCALE: Final = 1_000_000
"""ns in a unit of time."""


@dataclass(frozen=True, kw_only=True)
class Element:
    """An element: its ID, where its content begins, and its size in bytes, None for an open end."""

    name: int
    start: int
    size: int | None


def _vint_bytes(data: FileBytes, place: int) -> int:
    """Return the length of the variable-size integer at a place in bytes; 9 for none."""
    return 9 - data.number(place, 1).bit_length()


def element(data: FileBytes, place: int) -> Element | None:
    """Return the element at a place, None where there is none."""
    name_bytes = _vint_bytes(data, place)
    size_bytes = _vint_bytes(data, place + name_bytes)
    if name_bytes > 4 or size_bytes > 8:
        return None
    size = data.number(place + name_bytes, size_bytes) & ((1 << 7 * size_bytes) - 1)
    is_open = size == (1 << 7 * size_bytes) - 1
    return Element(name=data.number(place, name_bytes), start=place + name_bytes + size_bytes, size=None if is_open else size)


def elements(data: FileBytes, place: int, end: int) -> Iterator[Element]:
    """Yield the elements between two places, up to the first with an open end."""
    for _ in range(MAX_ELEMENTS):
        found = element(data, place) if place < end else None
        if found is None:
            return
        yield found
        if found.size is None:
            return
        place = found.start + found.size


def matroska(data: FileBytes) -> Structure:
    """Size of the Segment, and times of its Clusters, of which only the headers are read."""
    header = element(data, 0)
    segment = element(data, header.start + header.size) if header is not None and header.size is not None else None
    if segment is None or segment.name != SEGMENT or segment.size is None:
        return Structure()
    end = segment.start + segment.size
    found = judge(end, data.size, declared=segment.size)
    if found.is_cut or found.warnings:
        return found
    behind = element(data, end)
    if behind is not None and behind.name == EBML:
        return Structure(warnings=joined_read(), has_gaps=True)
    return Structure(has_gaps=_has_gaps(data, segment.start, min(end, data.size)))


def _has_gaps(data: FileBytes, start: int, end: int) -> bool | None:
    """Return whether the times of two Clusters in a row are clearly further apart than usual; None where one has an open end."""
    times, scale = [], DEFAULT_SCALE
    for part in elements(data, start, end):
        if part.size is None:
            return None
        if part.name == INFO:
            scale = _child(data, part, TIMESTAMP_SCALE) or DEFAULT_SCALE
        elif part.name == CLUSTER:
            times.append(_child(data, part, TIMESTAMP) or 0)
    steps = [(later - earlier) * scale / 1e9 for earlier, later in pairwise(times)]
    usual = min(sorted(steps)[len(steps) // 2], LONGEST_CLUSTER) if len(steps) >= MANY_CLUSTERS else 0.0
    return any(step < 0 or step > usual + GAP_SECONDS for step in steps)


def _child(data: FileBytes, parent: Element, name: int) -> int | None:
    """Return a number among the first elements inside another."""
    for place, child in enumerate(elements(data, parent.start, parent.start + (parent.size or 0))):
        if child.name == name:
            return data.number(child.start, child.size or 0)
        if place > 8:
            break
    return None
