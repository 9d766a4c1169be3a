"""The filters between the decoder and a `Frame`: constant rate, 8-bit 4:2:0, no HDR. Pure: they build ffmpeg-python nodes."""

from typing import Any, Final

from heygem_daemon.media.types import Colour, VideoStream

PLAIN: Final = {"yuv420p", "yuvj420p"}


def as_decoded(stream: Any, video: VideoStream, start: int) -> Any:
    """Turn the decoded frames of a stream (ffmpeg has applied the rotation) into frames start, start + 1 ... as `video` describes them."""
    if not video.is_still:
        stream = _to_constant_rate(stream, video, start)
    width, height = decoded_size(video)
    return _convert_pixels(stream, video).filter(
        "scale", width, height
    )  # the size may change within a stream (calls recorded by a browser)


def _to_constant_rate(stream: Any, video: VideoStream, start: int) -> Any:
    """Turn frames with time stamps into frames start, start + 1 ... of the constant rate; the first one is repeated for those before it."""
    stream = stream.filter("setpts", f"PTS-{video.start / video.time_base}" if video.is_seekable else "PTS-STARTPTS")
    if video.is_interlaced:
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    if start == 0:
        return stream.filter("fps", str(video.frame_rate), start_time=0)
    return stream.filter("fps", str(video.frame_rate)).filter("trim", start_pts=start)


def decoded_size(video: VideoStream) -> tuple[int, int]:
    """Return width and height of the frames after these filters. An odd size is made even only later, in the reader, because ffmpeg's
    `pad` works in whole chroma samples and would drop the odd column."""
    turned = video.rotation % 180 == 90
    shown = (video.coded_height, video.coded_width) if turned else (video.coded_width, video.coded_height)
    width, height = (even - 1 if odd == even - 1 else even for odd, even in zip(shown, (video.width, video.height), strict=True))
    return width, height


def _tone_map(stream: Any, colour: Colour) -> Any:
    """Convert PQ or HLG to BT.709. Diffuse white is at 203 cd/m2 (ITU-R BT.2408), so that skin keeps its brightness."""
    stream = stream.filter(
        "zscale",
        transferin=colour.transfer,
        matrixin=colour.matrix or "bt2020nc",
        primariesin=colour.primaries or "bt2020",
        rangein="full" if colour.full_range else "limited",
        transfer="linear",
        npl=203,
    )
    stream = stream.filter("format", "gbrpf32le").filter("zscale", primaries="bt709").filter("tonemap", "hable", desat=0)
    return stream.filter("zscale", transfer="bt709", matrix="bt709", range="limited").filter("format", "yuv420p")


def is_rgb(pixel_format: str) -> bool:
    """Return whether the decoder gives red, green and blue (or grey or a palette) and not luma and chroma."""
    return pixel_format.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "gray", "ya", "mono"))


def has_alpha(pixel_format: str) -> bool:
    return pixel_format.startswith(("rgba", "bgra", "argb", "abgr", "gbrap", "ya", "yuva", "pal8"))


def _convert_pixels(stream: Any, video: VideoStream) -> Any:
    """Convert any pixel format to 8-bit 4:2:0 in `video.colour`. What is 8-bit 4:2:0 already is not changed, nor is its range."""
    source = video.source_colour
    if source.is_hdr:
        return _tone_map(stream, source)
    if video.is_still or is_rgb(video.pixel_format):
        if has_alpha(video.pixel_format):  # transparent pixels become black, instead of the colour stored in them
            stream = stream.filter("format", "gbrap").filter("premultiply", inplace=1).filter("format", "gbrp")
        options = {} if is_rgb(video.pixel_format) else {"in_color_matrix": "bt601", "in_range": "full" if source.full_range else "limited"}
        width, height = decoded_size(video)
        sized = {"w": width, "h": height, "flags": "lanczos+accurate_rnd+full_chroma_int"}
        stream = stream.filter("scale", **sized, **options, out_color_matrix="bt709", out_range="limited")
    elif video.pixel_format not in PLAIN:
        extent = "full" if source.full_range else "limited"
        stream = stream.filter("scale", in_range=extent, out_range=extent, flags="bicubic+accurate_rnd+full_chroma_int")
    else:
        return stream  # as it is, full range included
    return stream.filter("format", "yuv420p")
