"""What the name of an ffmpeg pixel format tells (libavutil/pixdesc.c; `ffprobe -show_pixel_formats` lists those of an installation)."""

from typing import Final

_RGB: Final = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8", "mono", "bayer", "xyz")
_GREY: Final = ("gray", "ya8", "ya16", "yaf")
_ALPHA: Final = ("rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "yaf", "yuva", "ayuv", "vuya", "uyva", "pal8")
_TWO_BY_TWO: Final = ("yuv420", "yuvj420", "yuva420", "nv12", "nv21", "p010", "p012", "p016")


ALPHA_DECODERS: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""ffmpeg's decoders of the codecs whose own decoder leaves the alpha out."""


def is_rgb(pixel_format: str) -> bool:
    """Return whether its samples are red, green and blue (or X, Y and Z, a colour filter array, a palette, one bit)."""
    return pixel_format.startswith(_RGB)


def is_grey(pixel_format: str) -> bool:
    return pixel_format.startswith(_GREY)


def has_alpha(pixel_format: str) -> bool:
    """Return whether it can hold transparent pixels (a palette can)."""
    return pixel_format.startswith(_ALPHA)


def is_luma_and_chroma(pixel_format: str) -> bool:
    return not is_rgb(pixel_format) and not is_grey(pixel_format)


def is_420(pixel_format: str) -> bool:
    """Return whether one chroma sample stands for 2x2 pixels."""
    return pixel_format.startswith(_TWO_BY_TWO)
