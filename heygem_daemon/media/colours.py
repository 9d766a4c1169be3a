"""Colour tags by the names that ffprobe prints, and the numbers of ITU-T H.273 that ffmpeg's options, x264 and zscale take for them.

The names are no names of options: what ffprobe prints as the transfer "bt470bg" the option calls "gamma28", and zscale has names of its
own. The numbers are the same everywhere (libavutil/pixdesc.c, ITU-T H.273 tables 2 to 4).
"""

from collections.abc import Mapping
from typing import Final

from heygem_daemon.media.types import Colour

PRIMARIES: Final[Mapping[str, int]] = {
    "bt709": 1,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "film": 8,
    "bt2020": 9,
    "smpte428": 10,
    "smpte431": 11,
    "smpte432": 12,
    "ebu3213": 22,
}
TRANSFERS: Final[Mapping[str, int]] = {
    "bt709": 1,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "linear": 8,
    "log100": 9,
    "log316": 10,
    "iec61966-2-4": 11,
    "bt1361e": 12,
    "iec61966-2-1": 13,
    "bt2020-10": 14,
    "bt2020-12": 15,
    "smpte2084": 16,
    "smpte428": 17,
    "arib-std-b67": 18,
}
MATRICES: Final[Mapping[str, int]] = {
    "gbr": 0,
    "bt709": 1,
    "fcc": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "ycgco": 8,
    "bt2020nc": 9,
    "bt2020c": 10,
    "smpte2085": 11,
    "chroma-derived-nc": 12,
    "chroma-derived-c": 13,
    "ictcp": 14,
}
CHROMA_LOCATIONS: Final[Mapping[str, int]] = {"left": 1, "center": 2, "topleft": 3, "top": 4, "bottomleft": 5, "bottom": 6}
"""AVChromaLocation, one more than the chroma_sample_loc_type of ITU-T H.264."""

LINEAR_MATRICES: Final[Mapping[str, str]] = {
    "bt709": "bt709",
    "fcc": "fcc",
    "bt470bg": "bt470",
    "smpte170m": "smpte170m",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
}
"""Matrices of luma and two colour differences, which `media.frame` computes, and their names in swscale."""

CONVERTED_MATRICES: Final = frozenset({"ycgco", "bt2020c", "chroma-derived-nc", "chroma-derived-c"})
"""Matrices that zscale converts to BT.709 as the frames are decoded. (ICtCp comes with PQ or HLG and is converted with them.)"""

CHROMA_DERIVED: Final = frozenset({"chroma-derived-nc", "chroma-derived-c"})
CONSTANT_LUMINANCE_TRANSFERS: Final = frozenset({"bt709", "smpte170m", "bt2020-10", "bt2020-12"})
"""The transfers with which zimg 3.0 computes the constant luminance of BT.2020: all one curve."""

NEIGHBOURS: Final[Mapping[str, str]] = {"smpte2085": "bt2020nc"}
"""What stands in for a matrix that neither zscale nor swscale has: Y'D'zD'x is one of luma and differences too, near to that of BT.2020."""

ENCODED_PRIMARIES: Final[Mapping[str, int]] = {**PRIMARIES, "ebu3213": PRIMARIES["smpte170m"]}
"""x264 writes no number above 12: EBU 3213 (xy .630 .340, .295 .605, .155 .077) becomes its neighbour (.630 .340, .310 .595, .155 .070)."""

SD_LINES: Final = 576
"""Lines. Untagged video up to this height is taken as BT.601, larger as BT.709, as players do."""


def assumed_matrix(matrix: str | None, height: int) -> str:
    """Return `matrix` where `media.frame` computes it, else the one that players assume for an untagged video of this height (pixels)."""
    if matrix is not None and matrix in LINEAR_MATRICES:
        return matrix
    return "smpte170m" if height <= SD_LINES else "bt709"


def decoded_colour(source: Colour, *, is_rgb: bool) -> Colour:
    """Return the colour of the decoded frames of a video tagged as `source`.

    is_rgb: or grey, or laid over a background. HDR becomes BT.709, RGB gets the matrix of BT.709; of the others the tags stay, except a
    matrix that is converted, has a neighbour, or contradicts frames of luma and chroma (gbr).
    """
    if source.is_hdr:
        return Colour(primaries="bt709", transfer="bt709", matrix="bt709")
    primaries, transfer = _known(source.primaries, PRIMARIES), _known(source.transfer, TRANSFERS)
    if is_rgb:
        return Colour(primaries=primaries or "bt709", transfer=transfer or "bt709", matrix="bt709")
    if source.matrix in CONVERTED_MATRICES:
        return Colour(primaries=primaries, transfer=transfer, matrix="bt709", full_range=False)
    matrix = NEIGHBOURS.get(source.matrix or "", source.matrix)
    return Colour(primaries=primaries, transfer=transfer, matrix=_known(matrix, LINEAR_MATRICES), full_range=source.full_range)


def frame_tags(colour: Colour) -> dict[str, str]:
    """Return the options of `setparams` that tag frames of luma and chroma; nothing where a tag is unknown. The encoder takes its tags from
    the frames (ffmpeg 9 no longer takes them from output options)."""
    matrix = colour.matrix if colour.matrix in LINEAR_MATRICES else None
    numbers = {
        "colorspace": MATRICES.get(matrix or ""),
        "color_primaries": ENCODED_PRIMARIES.get(colour.primaries or ""),
        "color_trc": TRANSFERS.get(colour.transfer or ""),
    }
    return {key: str(number) for key, number in numbers.items() if number is not None} | {"range": "pc" if colour.full_range else "tv"}


def zscale_input(source: Colour, *, is_rgb: bool) -> dict[str, int | str]:
    """Return zscale's options that describe frames tagged as `source`, and that keep their primaries and transfer. What is missing, or
    makes no path through zscale, is taken as BT.2020 of HDR and BT.709 of the rest."""
    default = 9 if source.is_hdr else 1
    primaries, transfer = _zscale_primaries(source, default), _zscale_transfer(source)
    return {
        "primariesin": primaries,
        "transferin": transfer,
        "matrixin": 0 if is_rgb else MATRICES.get(_zscale_matrix(source), default),
        "rangein": "full" if source.full_range or is_rgb else "limited",
        "primaries": primaries,
        "transfer": transfer,
    }


def _zscale_matrix(source: Colour) -> str:
    if source.matrix == "gbr":  # of luma and chroma: it contradicts the frames
        return ""
    is_hdr_constant_luminance = source.is_hdr and source.matrix == "bt2020c"  # which ITU-R BT.2100 does not have, nor zimg
    return "bt2020nc" if is_hdr_constant_luminance else NEIGHBOURS.get(source.matrix or "", source.matrix or "")


def _zscale_primaries(source: Colour, default: int) -> int:
    is_xyz = source.primaries == "smpte428"  # whose luminance is one of the three: no matrix can be derived from it
    if source.matrix == "ictcp" or (is_xyz and source.matrix in CHROMA_DERIVED):
        return default
    return PRIMARIES.get(source.primaries or "", default)


def _zscale_transfer(source: Colour) -> int:
    """Return the transfer; near a curve that zscale has not, or not for this matrix, that of BT.709 (which BT.2020 shares)."""
    if source.is_hdr:
        return TRANSFERS["arib-std-b67" if source.transfer == "arib-std-b67" else "smpte2084"]
    usable = CONSTANT_LUMINANCE_TRANSFERS if source.matrix == "bt2020c" else TRANSFERS.keys() - {"bt1361e", "smpte428"}
    return TRANSFERS[source.transfer if source.transfer is not None and source.transfer in usable else "bt709"]


def _known(name: str | None, table: Mapping[str, object]) -> str | None:
    return name if name in table else None
