"""Turn ffprobe's JSON into the streams of `types`: frame rate, rotation, colour, size."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from heygem_daemon.media.colours import CHROMA_LOCATIONS, CONVERTED_MATRICES, decoded_colour
from heygem_daemon.media.pixel_formats import ALPHA_DECODERS, has_alpha, is_420, is_grey, is_rgb
from heygem_daemon.media.types import AudioStream, Colour, VideoStream

if TYPE_CHECKING:
    from heygem_daemon.media.time_stamps import Timeline  # numpy is not loaded by who checks results only

Json = dict[str, Any]

STILL_RATE: Final = Fraction(25)
"""Frames/s of a result made from a still image."""
HIGHEST_RATE: Final = 240
FAST_RATE: Final = 60
"""Frames/s. What is above the highest rate (slow motion, or a time base and no frame rate) is read at a rate of at most the second."""
LOWEST_RATE: Final = Fraction("14.5")
SPEECH_RATE: Final = 24
"""Frames/s. Below the first, closed lips (60 to 100 ms) fall between two images: the images are repeated up to the second at least."""
FILM_RATES: Final = (Fraction(24000, 1001), Fraction(24))
STANDARD_RATES: Final = tuple(
    Fraction(*r) for r in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (48, 1), (50, 1), (60000, 1001), (60, 1))
)
SAME_RATE: Final = Fraction(1, 200)
"""Relative difference of average and nominal rate up to which the rate is constant: a few dropped frames, or a rounded duration."""

LUMA_CODECS: Final = frozenset({"h264", "hevc", "av1", "vp9", "mpeg2video", "mpeg4"})
"""Codecs whose grey is the luma of video, of limited range unless it is tagged; that of images is of full range."""

UNKNOWN: Final = {"", "unknown", "unspecified", "reserved", "N/A"}


def rational(text: object) -> Fraction | None:
    """Return "30000/1001", "16:9" or "0.25" as a fraction; None for anything that is not a number."""
    try:
        return Fraction(str(text).replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return None


def seconds_of(described: Json) -> float | None:
    """Return the duration of a stream or container in s; None where ffprobe gives none."""
    length = rational(described.get("duration"))
    if length is None:
        end = _tagged_end(described)
        length = None if end is None else end - (rational(described.get("start_time")) or 0)
    return float(length) if length is not None and length >= 0 else None


def _tagged_end(described: Json) -> Fraction | None:
    """Return the end of a Matroska track on the clock of the file, written "00:01:02.500000000", in s."""
    numbers = [rational(part) for part in str(described.get("tags", {}).get("DURATION", "")).split(":")]
    if len(numbers) != 3 or None in numbers:
        return None
    return sum((n * 60**k for n, k in zip(numbers, (2, 1, 0), strict=True) if n is not None), Fraction(0))


def choose_rate(nominal: Fraction | None, average: Fraction | None) -> tuple[Fraction, bool]:
    """Return the constant rate a stream is read at, and whether its own rate is variable.

    nominal is ffprobe's r_frame_rate (the coarsest grid all time stamps fit), average its avg_frame_rate. Where they agree the rate
    is constant and nominal is exact. Otherwise: nominal where it is an ordinary rate of which up to half the frames are missing
    (phones, screen recordings), else the standard rate nearest to the average, or the next one above it, so that no motion is lost.
    A rate too low for a mouth to speak becomes an exact multiple, so that every image is repeated equally often; one above HIGHEST_RATE
    becomes an exact part, so that every second, third ... image is shown.
    """
    rate, is_variable = _own_rate(nominal, average)
    if rate < LOWEST_RATE:
        return rate * -(-SPEECH_RATE // rate), is_variable
    return (rate / -(-rate // FAST_RATE) if rate > HIGHEST_RATE else rate), is_variable


def _own_rate(nominal: Fraction | None, average: Fraction | None) -> tuple[Fraction, bool]:
    nominal, average = (rate if rate is not None and rate > 0 else None for rate in (nominal, average))
    if nominal is not None and nominal > HIGHEST_RATE and not (average is not None and _is_same(nominal, average)):
        nominal = None
    if nominal is None and average is None:
        return STILL_RATE, True
    if average is None or nominal is None:
        return nominal or _next_standard_rate(average or STILL_RATE), average is not None
    if _is_same(nominal, average):
        return nominal, False
    if average < nominal <= 60 and (nominal <= 2 * average or (average < LOWEST_RATE and nominal >= SPEECH_RATE)):
        return nominal, True
    return _next_standard_rate(average), True


def _is_same(nominal: Fraction, average: Fraction) -> bool:
    return abs(nominal - average) <= SAME_RATE * nominal


def _next_standard_rate(rate: Fraction) -> Fraction:
    near = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    if abs(near - rate) <= rate / 50:
        return near
    return next((standard for standard in STANDARD_RATES if standard >= rate), STANDARD_RATES[-1])


def video_stream(
    track: Json,
    container_seconds: float,
    *,
    times: "Timeline | None" = None,
    is_seekable: bool = True,
) -> VideoStream:
    """Return ffprobe's description of a video track as a stream. times: where its time stamps were read."""
    average, seconds = rational(track.get("avg_frame_rate")), seconds_of(track) or container_seconds
    if times is not None and times.seconds > 0:
        seconds = times.seconds
        average = average if times.is_steady else Fraction(times.packets) / Fraction(seconds)
    rate, is_variable = choose_rate(rational(track.get("r_frame_rate")), average)
    rotation = _rotation(track)
    coded = (int(track.get("width", 0)), int(track.get("height", 0)))
    aspect = rational(track.get("sample_aspect_ratio")) or Fraction(1)
    width, height = reversed(coded) if rotation % 180 == 90 else coded
    time_base = rational(track.get("time_base")) or Fraction(1, 1000)
    pixel_format, source = _pixel_format(track), _colour(track)
    return VideoStream(
        width=width + width % 2,
        height=height + height % 2,
        frame_rate=rate,
        frames=max(round(Fraction(seconds) * rate), 1),
        seconds=seconds,
        codec=str(track.get("codec_name", "unknown")),
        pixel_format=pixel_format,
        sample_aspect=1 / aspect if rotation % 180 == 90 else aspect,
        rotation=rotation,
        is_variable=is_variable,
        is_mirrored=_is_mirrored(track),
        is_seekable=is_seekable,
        seek_margin=times.key_interval if times is not None else 0.0,
        colour=decoded_colour(source, is_rgb=is_rgb(pixel_format) or is_grey(pixel_format) or has_alpha(pixel_format)),
        source_colour=source,
        needs_dolby_vision=_needs_dolby_vision(track),
        chroma_location=_chroma_location(track, pixel_format, source),
        coded_width=coded[0],
        coded_height=coded[1],
        index=int(track["index"]),
        start=int(track.get("start_pts", 0)) * time_base,
        time_base=time_base,
        images=times.packets if times is not None else _images(track, average, seconds),
    )


def _images(track: Json, average: Fraction | None, seconds: float) -> int:
    """Return how many images a track holds: what its index says, else by its average rate; 0 where neither is known."""
    counted = str(track.get("nb_frames", ""))
    return int(counted) if counted.isdecimal() else round((average or 0) * Fraction(seconds))


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


def _rotation(track: Json) -> int:
    """Return the clockwise turn that makes the frame upright: 0, 90, 180 or 270 degrees (0 for any other angle)."""
    angle = next((float(note["rotation"]) for note in track.get("side_data_list", []) if "rotation" in note), 0.0)
    turn = round(-angle) % 360
    return turn if turn in {90, 180, 270} else 0


def _display_matrix(track: Json) -> list[int]:
    """Return the nine numbers of the track's display matrix; [] where it has none."""
    text = next((str(note["displaymatrix"]) for note in track.get("side_data_list", []) if "displaymatrix" in note), "")
    return [int(number) for line in text.strip().splitlines() for number in line.partition(":")[2].split()]


def _is_mirrored(track: Json) -> bool:
    """Return whether the display matrix (a b u, c d v, x y w) has a negative determinant."""
    matrix = _display_matrix(track)
    return len(matrix) == 9 and matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0


def _needs_dolby_vision(track: Json) -> bool:
    """Return whether the base layer is compatible with nothing (profile 5: IPT colours, reshaped by the metadata of each frame)."""
    return any(note.get("dv_bl_signal_compatibility_id") == 0 for note in track.get("side_data_list", []))


def _pixel_format(track: Json) -> str:
    """Return the pixel format as it is decoded: the alpha of VP8 and VP9 is a second stream, which only WebM's tag tells of."""
    tags = {key.lower(): value for key, value in track.get("tags", {}).items()}
    has_second_stream = track.get("codec_name") in ALPHA_DECODERS and tags.get("alpha_mode") == "1"
    return "yuva420p" if has_second_stream else str(track.get("pix_fmt", ""))


def _chroma_location(track: Json, pixel_format: str, source: Colour) -> str | None:
    """Return where the chroma of the decoded frames lies: as in the file where it stays 4:2:0, else left."""
    location = str(track.get("chroma_location", ""))
    is_kept = is_420(pixel_format) and not has_alpha(pixel_format) and not source.is_hdr and source.matrix not in CONVERTED_MATRICES
    return location if is_kept and location in CHROMA_LOCATIONS and location != "left" else None


def _colour(track: Json) -> Colour:
    def tag(key: str) -> str | None:
        value = str(track.get(key, ""))
        return None if value in UNKNOWN else value

    pixel_format, extent = str(track.get("pix_fmt", "")), track.get("color_range")
    is_full_by_default = is_grey(pixel_format) and track.get("codec_name") not in LUMA_CODECS
    full_range = extent == "pc" or pixel_format.startswith("yuvj") or (is_full_by_default and extent != "tv")
    return Colour(primaries=tag("color_primaries"), transfer=tag("color_transfer"), matrix=tag("color_space"), full_range=full_range)
