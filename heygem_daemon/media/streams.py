"""Turn ffprobe's JSON into the streams of `types`: frame rate, rotation, colour, size."""

from fractions import Fraction
from typing import Any, Final

from heygem_daemon.media.filters import is_rgb
from heygem_daemon.media.types import BT709, AudioStream, Colour, VideoStream

Json = dict[str, Any]

STILL_RATE: Final = Fraction(25)
"""Frames/s of a result made from a still image."""
STILL_LONGEST_SIDE: Final = 1920
"""Pixels; larger photos are scaled down."""
HIGHEST_RATE: Final = 240
"""Frames/s; what is above is a time base and no frame rate."""
STANDARD_RATES: Final = tuple(
    Fraction(*r) for r in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (48, 1), (50, 1), (60000, 1001), (60, 1))
)
SAME_RATE: Final = Fraction(1, 200)
"""Relative difference of average and nominal rate up to which the rate is constant: a few dropped frames, or a rounded duration."""

UNKNOWN: Final = {"", "unknown", "unspecified", "reserved", "N/A"}
INTERLACED: Final = {"tt", "bb", "tb", "bt"}


def rational(text: object) -> Fraction | None:
    """Return "30000/1001", "16:9" or "0.25" as a fraction; None for anything that is not a number."""
    try:
        return Fraction(str(text).replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return None


def seconds_of(described: Json) -> float | None:
    """Return the duration of a stream or container in s; None where ffprobe gives none."""
    length = rational(described.get("duration"))
    if length is None:  # Matroska: "00:01:02.500000000"
        parts = str(described.get("tags", {}).get("DURATION", "")).split(":")
        numbers = [rational(part) for part in parts]
        if len(parts) == 3 and None not in numbers:
            length = sum((n * 60**k for n, k in zip(numbers, (2, 1, 0), strict=True) if n is not None), Fraction(0))
    return float(length) if length is not None and length >= 0 else None


def choose_rate(nominal: Fraction | None, average: Fraction | None) -> tuple[Fraction, bool]:
    """Return the constant rate a stream is read at, and whether its own rate is variable.

    nominal is ffprobe's r_frame_rate (the coarsest grid all time stamps fit), average its avg_frame_rate. Where they agree the rate
    is constant and nominal is exact. Otherwise: nominal where it is an ordinary rate of which up to half the frames are missing
    (phones, screen recordings), else the standard rate nearest to the average, or the next one above it, so that no motion is lost.
    """
    if nominal is not None and not 0 < nominal <= HIGHEST_RATE:
        nominal = None
    if average is not None and not 0 < average <= HIGHEST_RATE:
        average = None
    if nominal is None and average is None:
        return STILL_RATE, True
    if average is None or nominal is None:
        return nominal or _next_standard_rate(average or STILL_RATE), average is not None
    if abs(nominal - average) <= SAME_RATE * nominal:
        return nominal, False
    if average < nominal <= 60 and nominal <= 2 * average:
        return nominal, True
    return _next_standard_rate(average), True


def _next_standard_rate(rate: Fraction) -> Fraction:
    near = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    if abs(near - rate) <= rate / 50:
        return near
    return next((standard for standard in STANDARD_RATES if standard >= rate), STANDARD_RATES[-1])


def _largest_video_track(report: Json) -> Json | None:
    tracks = [s for s in report["streams"] if s.get("codec_type") == "video" and not s.get("disposition", {}).get("attached_pic")]
    return max(tracks, key=lambda s: s.get("width", 0) * s.get("height", 0), default=None)


def video_stream(report: Json, container_seconds: float, *, is_still: bool) -> VideoStream | None:
    """Return the largest video track that is not a cover image; None where there is none."""
    track = _largest_video_track(report)
    if track is None:
        return None
    rate, is_variable = (
        (STILL_RATE, False) if is_still else choose_rate(rational(track.get("r_frame_rate")), rational(track.get("avg_frame_rate")))
    )
    seconds = float(1 / STILL_RATE) if is_still else (seconds_of(track) or container_seconds)
    rotation = _rotation(track, report.get("frames", []))
    coded = (int(track.get("width", 0)), int(track.get("height", 0)))
    aspect = rational(track.get("sample_aspect_ratio")) or Fraction(1)
    width, height = reversed(coded) if rotation % 180 == 90 else coded
    if is_still:
        width, height = _fit_still(width, height)
    time_base = rational(track.get("time_base")) or Fraction(1, 1000)
    pixel_format, source = str(track.get("pix_fmt", "")), _colour(track)
    container = report.get("format", {}).get("format_name")
    return VideoStream(
        width=width + width % 2,
        height=height + height % 2,
        frame_rate=rate,
        frames=1 if is_still else max(round(Fraction(seconds) * rate), 1),
        seconds=seconds,
        codec=str(track.get("codec_name", "unknown")),
        pixel_format=pixel_format,
        sample_aspect=1 / aspect if rotation % 180 == 90 else aspect,
        rotation=rotation,
        is_variable=is_variable,
        is_still=is_still,
        is_interlaced=track.get("field_order") in INTERLACED,
        is_seekable=not (container == "mpeg" or (container == "avi" and track.get("has_b_frames", 0))),
        colour=BT709 if source.is_hdr or is_still or is_rgb(pixel_format) else source,
        source_colour=source,
        coded_width=coded[0],
        coded_height=coded[1],
        index=int(track["index"]),
        start=int(track.get("start_pts", 0)) * time_base,
        time_base=time_base,
    )


def audio_streams(report: Json, container_seconds: float) -> tuple[AudioStream, ...]:
    """Return all audio tracks."""
    tracks = [stream for stream in report["streams"] if stream.get("codec_type") == "audio"]
    return tuple(_audio_stream(track, number, container_seconds) for number, track in enumerate(tracks, start=1))


def _audio_stream(track: Json, number: int, container_seconds: float) -> AudioStream:
    return AudioStream(
        codec=str(track.get("codec_name", "unknown")),
        sample_rate=int(track.get("sample_rate", 0)),
        channels=int(track.get("channels", 0)),
        seconds=seconds_of(track) or container_seconds,
        layout=str(track.get("channel_layout", "")),
        index=int(track["index"]),
        number=number,
        title=str(track.get("tags", {}).get("title", "")),
        is_default=bool(track.get("disposition", {}).get("default")),
        start=int(track.get("start_pts", 0)) * (rational(track.get("time_base")) or Fraction(1, 1000)),
    )


def _fit_still(width: int, height: int) -> tuple[int, int]:
    """Return the size of a still scaled down to 1920 pixels on its longest side (a photo of 40 megapixels needs no video of that size)."""
    longest = max(width, height)
    if longest <= STILL_LONGEST_SIDE:
        return width, height
    return max(round(width * STILL_LONGEST_SIDE / longest / 2) * 2, 2), max(round(height * STILL_LONGEST_SIDE / longest / 2) * 2, 2)


def _rotation(track: Json, frames: list[Json]) -> int:
    """Return the clockwise turn that makes the frame upright: 0, 90, 180 or 270 degrees (0 for any other angle)."""
    notes = list(track.get("side_data_list", [])) + [note for frame in frames[:1] for note in frame.get("side_data_list", [])]
    angle = next((float(note["rotation"]) for note in notes if "rotation" in note), 0.0)
    turn = round(-angle) % 360
    return turn if turn in {90, 180, 270} else 0


def _colour(track: Json) -> Colour:
    def tag(key: str) -> str | None:
        value = str(track.get(key, ""))
        return None if value in UNKNOWN else value

    full_range = track.get("color_range") == "pc" or str(track.get("pix_fmt", "")).startswith("yuvj")
    return Colour(primaries=tag("color_primaries"), transfer=tag("color_transfer"), matrix=tag("color_space"), full_range=full_range)
