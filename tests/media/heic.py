"""Write a minimal HEIC: one HEVC frame that ffmpeg encoded, in the boxes of ISO/IEC 14496-12 and 23008-12."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

X265: Final = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-frames:v", "1")
MIRROR_AND_TURN: Final = {1: (None, 0), 2: (1, 0), 3: (None, 2), 4: (0, 0), 5: (0, 1), 6: (None, 3), 7: (1, 1), 8: (None, 1)}
"""EXIF orientation -> the axis of `imir` (0: top to bottom, 1: left to right; None: no box), and the anticlockwise quarter turns of `irot`,
which comes first here."""


def box(name: bytes, *content: bytes, version: int | None = None, flags: int = 0) -> bytes:
    """Return a box; with a version, a full box."""
    head = b"" if version is None else bytes([version]) + flags.to_bytes(3, "big")
    body = head + b"".join(content)
    return (len(body) + 8).to_bytes(4, "big") + name + body


def number(value: int, count: int) -> bytes:
    return value.to_bytes(count, "big")


def encode_frame(source: Path, folder: Path, *options: str, parameters: str = "crf=4") -> tuple[bytes, bytes]:
    """Return the decoder configuration (hvcC) and the coded frame of an image that ffmpeg can read."""
    path = folder / "frame.mp4"
    given = ("-x265-params", f"log-level=error:{parameters}")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", f"file:{source}", *X265, *given, *options, f"file:{path}"], check=True, timeout=300
    )
    data = path.read_bytes()
    return _content(data, b"hvcC"), _content(data, b"mdat")


def _content(data: bytes, name: bytes) -> bytes:
    place = data.index(name)
    return data[place + 4 : place - 4 + int.from_bytes(data[place - 4 : place], "big")]


def heic(
    frame: tuple[bytes, bytes],
    size: tuple[int, int],
    *,
    grid: tuple[int, int] = (1, 1),
    orientation: int = 1,
    icc: bytes = b"",
    codes: tuple[int, int, int] | None = None,
    brand: bytes = b"heic",
) -> bytes:
    """Return the bytes of a HEIC.

    size: width and height of the frame; grid: columns and rows of tiles, each this same frame, as phones store a photo; orientation: as in
    EXIF; icc: a colour profile; codes: primaries, transfer and matrix.
    """
    configuration, coded = frame
    tiles, whole = grid[0] * grid[1], (size[0] * grid[0], size[1] * grid[1])
    layout = bytes([0, 0, grid[1] - 1, grid[0] - 1]) + number(whole[0], 2) + number(whole[1], 2) if tiles > 1 else b""
    tile = [box(b"hvcC", configuration), _extent(size)]
    shown = [*([_extent(whole)] if layout else []), *_display(orientation, icc, codes)]
    of_tile, of_shown = [1, 2], list(range(3, 3 + len(shown)))
    items = [_Item(kind=b"hvc1", start=0, length=len(coded), properties=of_tile) for _ in range(tiles)]
    if layout:
        items.append(_Item(kind=b"grid", start=len(coded), length=len(layout), properties=of_shown))
    else:
        items[0].properties += of_shown
    ftyp = box(b"ftyp", brand, number(0, 4), b"mif1heic")
    place = len(ftyp) + len(_meta(items, [*tile, *shown], 0)) + 8
    return ftyp + _meta(items, [*tile, *shown], place) + box(b"mdat", coded, layout)


@dataclass(kw_only=True)
class _Item:
    """An item: its bytes in mdat, and the numbers of its properties, counted from 1."""

    kind: bytes
    start: int
    length: int
    properties: list[int]


def _extent(size: tuple[int, int]) -> bytes:
    return box(b"ispe", number(size[0], 4), number(size[1], 4), version=0)


def _display(orientation: int, icc: bytes, codes: tuple[int, int, int] | None) -> list[bytes]:
    """Return the properties that say how the image is shown."""
    mirror, turns = MIRROR_AND_TURN[orientation]
    return [
        *([box(b"colr", b"nclx", *(number(code, 2) for code in codes), b"\0")] if codes else []),
        *([box(b"colr", b"prof", icc)] if icc else []),
        *([box(b"irot", number(turns, 1))] if turns else []),
        *([box(b"imir", number(mirror, 1))] if mirror is not None else []),
    ]


def _meta(items: list[_Item], properties: list[bytes], place: int) -> bytes:
    """Return the box that describes the items, the last of which is the primary one; place: of the content of mdat in the file."""
    count = number(len(items), 2)
    numbered = list(enumerate(items, start=1))
    where = [number(n, 2) + number(0, 2) + number(1, 2) + number(place + item.start, 4) + number(item.length, 4) for n, item in numbered]
    kinds = [box(b"infe", number(n, 2), number(0, 2), item.kind, b"\0", version=2, flags=int(n < len(items))) for n, item in numbered]
    links = [number(n, 2) + bytes([len(item.properties), *(index | 0x80 for index in item.properties)]) for n, item in numbered]
    tiles = b"".join(number(n, 2) for n in range(1, len(items)))
    parts = [box(b"iref", box(b"dimg", count, number(len(items) - 1, 2), tiles), version=0)] if tiles else []
    return box(
        b"meta",
        box(b"hdlr", number(0, 4), b"pict", bytes(13), version=0),
        box(b"pitm", count, version=0),
        box(b"iloc", b"\x44\0", count, *where, version=0),
        box(b"iinf", count, *kinds, version=0),
        box(b"iprp", box(b"ipco", *properties), box(b"ipma", number(len(items), 4), *links, version=0)),
        *parts,
        version=0,
    )
