"""The filters between the decoder and a `Frame`: one size, constant rate, upright, opaque, 8-bit 4:2:0, no HDR.

Pure: they build ffmpeg-python nodes. A track whose frames change their size or format in the middle runs through one graph, which is
never built again (`-reinit_filter 0`): `scale` comes first, the only filter here that adapts to what it is given.
"""

import re
from typing import Any, Final

from heygem_daemon.media.colours import CONVERTED_MATRICES, LINEAR_MATRICES, assumed_matrix, zscale_input
from heygem_daemon.media.pixel_formats import has_alpha, is_grey, is_luma_and_chroma, is_rgb
from heygem_daemon.media.types import GAP_SECONDS, Colour, VideoStream

PLAIN: Final = {"yuv420p", "yuvj420p"}
ACCURATE: Final = "bicubic+accurate_rnd+full_chroma_int"

PROGRESSIVE_CODECS: Final = frozenset({"vp8", "vp9", "av1", "png", "apng", "gif", "webp", "qtrle", "flv1", "theora"})
"""Codecs that know no fields. The others are deinterlaced frame by frame, where the frame's own flag says so: a container's word is
wrong for miniDV and for files of which only some frames are interlaced."""

SAME_SHAPE: Final = 0.01
"""Relative difference of two aspect ratios that is no change of shape: 1088 coded lines of 1080, rounded pixel shapes."""

TURNS: Final = {
    (0, False): (),
    (0, True): (("vflip", {}),),
    (90, False): (("transpose", {"dir": "clock"}),),
    (90, True): (("transpose", {"dir": "cclock_flip"}),),
    (180, False): (("hflip", {}), ("vflip", {})),
    (180, True): (("hflip", {}),),
    (270, False): (("transpose", {"dir": "cclock"}),),
    (270, True): (("transpose", {"dir": "clock_flip"}),),
}
"""Clockwise rotation in degrees and whether the display matrix mirrors -> filters, as ffmpeg's own `-autorotate` chooses them."""


def as_decoded(stream: Any, video: VideoStream, start: int) -> Any:
    """Turn the decoded frames of a stream into frames start, start + 1 ... as `video` describes them."""
    if video.source_colour.matrix not in LINEAR_MATRICES.keys() | {None} and is_luma_and_chroma(video.pixel_format):
        stream = stream.filter("setparams", colorspace="unknown")  # swscale of ffmpeg 7 and later refuses what it cannot compute
    stream = _to_one_shape(stream, video)
    stream = _to_constant_rate(stream, video, start)
    for name, options in TURNS[video.rotation, video.is_mirrored]:
        stream = stream.filter(name, **options)
    return _to_yuv420p(stream, video)


def decoded_size(video: VideoStream) -> tuple[int, int]:
    """Return width and height of the frames after these filters. An odd size is made even only later, in the reader, because ffmpeg's
    `pad` works in whole chroma samples and would drop the odd column."""
    turned = video.rotation % 180 == 90
    return (video.coded_height, video.coded_width) if turned else (video.coded_width, video.coded_height)


def rgb_of(background: str) -> tuple[int, int, int]:
    """Return red, green and blue of "#rrggbb". Raises ValueError."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", background):
        raise ValueError(f'a colour is written as "#rrggbb", not {background!r}')
    red, green, blue = bytes.fromhex(background[1:])
    return red, green, blue


def _to_one_shape(stream: Any, video: VideoStream) -> Any:
    """Give every frame the coded size and pixel format of `video`. What has another aspect ratio gets black bars."""
    width, height = video.coded_width, video.coded_height
    if video.changes_shape:
        pixel = 1 / video.sample_aspect if video.rotation % 180 == 90 else video.sample_aspect
        stream = _letterboxed(stream, width, height, float(width * pixel / height))
    else:
        stream = stream.filter("scale", width, height, flags=ACCURATE)
    return stream.filter("format", video.pixel_format) if is_luma_and_chroma(video.pixel_format) else stream


def _letterboxed(stream: Any, width: int, height: int, aspect: float) -> Any:
    """Fit frames of any shape into width x height pixels that are shown at the ratio `aspect`; `dar` is that of a frame."""
    whole = f"lt(abs(dar/{aspect:.6f}-1),{SAME_SHAPE})"
    fitted = {
        "w": f"if({whole},{width},max(2,min({width},2*round({width / 2}*dar/{aspect:.6f}))))",
        "h": f"if({whole},{height},max(2,min({height},2*round({height / 2}*{aspect:.6f}/dar))))",
    }
    stream = stream.filter("scale", **fitted, flags=ACCURATE, eval="frame")
    return stream.filter("pad", w=width, h=height, x="2*trunc((ow-iw)/4)", y="2*trunc((oh-ih)/4)", eval="frame")


def _to_constant_rate(stream: Any, video: VideoStream, start: int) -> Any:
    """Turn frames with time stamps into frames start, start + 1 ... of the constant rate; the first one is repeated for those before it."""
    clock = f"PTS-{video.start / video.time_base}" if video.is_seekable else _steady_clock(video)
    stream = stream.filter("setpts", f"{clock}-({float(video.phase):.6f}/TB)" if video.phase else clock)
    if _may_be_interlaced(video):
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    if start == 0:
        return stream.filter("fps", str(video.frame_rate), start_time=0)
    return stream.filter("fps", str(video.frame_rate)).filter("trim", start_pts=start)


def _steady_clock(video: VideoStream) -> str:
    """Return the expression that lets the time stamps begin at 0, leaves out holes (`GAP_SECONDS`), and goes on where they jump back, as
    in joined files. Register 0 of the expression keeps, from frame to frame, what was left out so far."""
    step, frame = "(PTS-PREV_INPTS)*TB", f"{float(1 / video.frame_rate):.6f}/TB"
    jump = f"if(isnan(PREV_INPTS),0,if(gt({step},{GAP_SECONDS})+lt({step},0),PTS-PREV_INPTS-{frame},0))"
    return f"st(0,ld(0)+{jump});PTS-STARTPTS-ld(0)"


def _may_be_interlaced(video: VideoStream) -> bool:
    return video.codec not in PROGRESSIVE_CODECS and is_luma_and_chroma(video.pixel_format) and video.coded_height >= 4


def _to_yuv420p(stream: Any, video: VideoStream) -> Any:
    """Convert any pixel format to 8-bit 4:2:0 in `video.colour`. What is 8-bit 4:2:0 already is not changed, nor is its range."""
    source, is_transparent = video.source_colour, has_alpha(video.pixel_format)
    if is_transparent:
        stream = _on_background(stream, video)
    in_rgb = is_transparent or is_rgb(video.pixel_format)
    if source.is_hdr:
        return _tone_mapped(stream, video, in_rgb=in_rgb)
    if in_rgb:
        stream = stream.filter("scale", flags=ACCURATE, out_color_matrix="bt709", out_range="limited")
    elif is_grey(video.pixel_format):
        stream = stream.filter("scale", flags=ACCURATE, in_range=_extent(video), out_range="limited")
    elif source.matrix in CONVERTED_MATRICES:
        return _as_bt709_matrix(stream, video)
    elif video.pixel_format not in PLAIN:
        stream = stream.filter("scale", flags=ACCURATE, in_range=_extent(video), out_range=_extent(video))
    else:
        return stream  # as it is, full range included
    return stream.filter("format", "yuv420p")


def _extent(video: VideoStream) -> str:
    return "full" if video.source_colour.full_range else "limited"


def _on_background(stream: Any, video: VideoStream) -> Any:
    """Lay the frames over `video.background`: colour * alpha + background * (1 - alpha), in red, green and blue."""
    options = {}
    if is_luma_and_chroma(video.pixel_format):
        matrix = LINEAR_MATRICES[assumed_matrix(video.source_colour.matrix, video.height)]
        options = {"in_color_matrix": matrix, "in_range": _extent(video)}
    planes = "gbrap12le" if video.source_colour.is_hdr else "gbrap"
    stream = stream.filter("scale", flags=ACCURATE, **options).filter("format", planes).filter("premultiply", inplace=1)
    red, green, blue = (f"{code / 255:.6f}" for code in rgb_of(video.background))
    return (
        stream.filter("lutrgb", a="maxval-val")
        .filter("colorchannelmixer", ra=red, ga=green, ba=blue)
        .filter("format", planes.replace("gbrap", "gbrp"))
    )


def _tone_mapped(stream: Any, video: VideoStream, *, in_rgb: bool) -> Any:
    """Convert PQ or HLG to BT.709. Diffuse white is at 203 cd/m2 (ITU-R BT.2408), so that skin keeps its brightness."""
    stream = _for_zscale(stream, video, in_rgb=in_rgb)
    return _from_zscale(_in_bt709_light(stream, zscale_input(video.source_colour, is_rgb=in_rgb)), video)


def as_bt709(image: Any, source: Colour) -> Any:
    """Convert a still in red, green and blue from the primaries of `source` to those of BT.709, and PQ or HLG as `_tone_mapped` does."""
    described, image = zscale_input(source, is_rgb=True), image.filter("format", "gbrp12le")
    if source.is_hdr:
        image, described = _in_bt709_light(image, described), {"transfer": "bt709"}
    return image.filter("zscale", **described | {"primaries": "bt709"}, matrix="gbr", range="full").filter("format", "gbrp")


def _in_bt709_light(stream: Any, described: dict[str, int | str]) -> Any:
    """Convert HDR frames, described to zscale, to linear light of the primaries of BT.709, with what is brighter than white compressed."""
    stream = stream.filter("zscale", **described | {"transfer": "linear"}, npl=203).filter("format", "gbrpf32le")
    return stream.filter("zscale", primaries="bt709").filter("tonemap", "hable", desat=0)


def _as_bt709_matrix(stream: Any, video: VideoStream) -> Any:
    """Give frames of a matrix that `media.frame` cannot compute that of BT.709; primaries and transfer stay."""
    described = zscale_input(video.source_colour, is_rgb=False)
    stream = _for_zscale(stream, video, in_rgb=False).filter("zscale", **described, matrix="gbr", range="full")
    stream = stream.filter("format", "gbrp12le").filter("scale", flags=ACCURATE, out_color_matrix="bt709", out_range="limited")
    return stream.filter("format", "yuv420p")


def _for_zscale(stream: Any, video: VideoStream, *, in_rgb: bool) -> Any:
    """Return planes that zscale takes: of RGB, or, as it refuses an odd size of subsampled chroma, with a chroma sample for each pixel."""
    if in_rgb:
        return stream.filter("format", "gbrp12le")
    if video.coded_width % 2 or video.coded_height % 2:
        return stream.filter("scale", flags=ACCURATE).filter("format", "yuv444p12le")
    return stream


def _from_zscale(stream: Any, video: VideoStream) -> Any:
    stream = stream.filter("zscale", transfer="bt709", matrix="bt709", range="limited")
    if video.coded_width % 2 or video.coded_height % 2:
        stream = stream.filter("format", "yuv444p").filter("scale", flags=ACCURATE)
    return stream.filter("format", "yuv420p")
