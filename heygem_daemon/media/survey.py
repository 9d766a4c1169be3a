"""Look at frames of a video track at some places: what its header says of size, pixel shape, rate and alpha need not hold for them."""

import cmath
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from heygem_daemon.core.errors import InputError
from heygem_daemon.media import commands
from heygem_daemon.media.file_bytes import open_bytes
from heygem_daemon.media.parameter_sets import has_fixed_shape
from heygem_daemon.media.pixel_formats import has_alpha
from heygem_daemon.media.run import capture
from heygem_daemon.media.streams import FILM_RATES, HIGHEST_RATE, Json, choose_rate, rational
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import MediaLimits, Source, VideoStream

PLACES: Final = 16
"""Places of a track at which a frame is decoded: .3 s of ffprobe for 1080p H.264, .4 s for HEVC (two cores, one busy)."""
ALPHA_PLACES: Final = 6
"""Places at which the alpha of a whole frame is read, each by a process of its own."""
CADENCE_FRAMES: Final = 8
"""Frames at each place of which the repetition is read: two rounds of 3:2 pulldown."""
EVEN_TURNS: Final = (0.35, 0.65)
"""Fraction of frames with a repeated field; where film and television are mixed, it is another, and the rate stays that of the latter."""
FILM_TOLERANCE: Final = 0.005
ROUNDED_TOLERANCE: Final = 0.03
LONGEST_ROUND: Final = 0.2
"""Relative difference from the rate of film, by lengths and by times, which may be whole milliseconds; s of two frames in turn."""
RATE_PACKETS: Final = 240
"""Packets whose time stamps tell the rate where the header gives only a time base."""
OPAQUE: Final = 250
"""8-bit alpha from which a pixel counts as opaque; VP8 and VP9 code alpha with a loss."""


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """A decoded frame. time, seconds: when and for how long it is shown, None where it is unknown; repeats: fields shown again."""

    shape: tuple[int, int, Fraction]
    time: float | None
    seconds: float | None
    repeats: int


def surveyed(source: Source, video: VideoStream, track: Json, limits: MediaLimits) -> VideoStream:
    """Return `video` as its frames are: with the size and pixel shape of most of them, the rate of film where 3:2 pulldown repeats their
    fields, the rate of the packets where the header has only a time base, and whether any pixel is transparent.

    track: ffprobe's description. Nothing is decoded where the file proves that its frames are as that says. What cannot be looked at
    within the limits stays as the header says: no frame larger than them is decoded.
    """
    video = _with_measured_rate(source, video, track, limits)
    if not 0 < video.coded_width * video.coded_height <= limits.megapixels * 1e6:
        return video
    if source.demuxer == "mov" and not has_alpha(video.pixel_format) and _has_fixed_shape(source.path, track):
        return video
    samples = _samples(source, video, limits)
    if samples:
        video = _without_pulldown(_with_common_shape(video, samples), samples)
    return replace(video, is_transparent=has_alpha(video.pixel_format) and _is_transparent(source, video, limits))


def _has_fixed_shape(path: Path, track: Json) -> bool:
    with open_bytes(path) as data:
        return has_fixed_shape(data, track)


def _places(video: VideoStream, count: int) -> list[float]:
    """Return `count` times in s, spread over the track, on the clock of the file; the first is that of the first frame."""
    return [float(video.start) + video.seconds * place / count for place in range(count)]


def _answer(command: commands.Command, source: Source, limits: MediaLimits, section: str = "") -> Completed | None:
    """Return how the command ended, None where the file makes it take too long or crash (ffprobe 5.1 does, at the second video of an Ogg).
    Raises where the machine does. It is asked once: no verdict follows from a sample that is missing."""
    try:
        return capture(command, seconds=limits.probe_seconds, path=source.path, section=section, is_asked_twice=False)
    except InputError as problem:
        if problem.code not in {"file_too_costly", "file_crashes_tool"}:
            raise
        return None


def _samples(source: Source, video: VideoStream, limits: MediaLimits) -> list[_Sample]:
    count = CADENCE_FRAMES if video.is_variable or video.codec == "mpeg2video" else 1
    pixels = round(limits.megapixels * 1e6)
    answer = _answer(commands.sample_frames(source, video.index, _places(video, PLACES), count, pixels=pixels), source, limits, "frames")
    # An ffprobe that fails in the end has looked at frames all the same.
    frames = answer.answer["frames"] if answer is not None and answer.answer is not None else []
    return [_sample(frame) for frame in frames if frame.get("width") and frame.get("height")]


def _sample(frame: dict[str, Any]) -> _Sample:
    time, length = (
        rational(value) for value in (frame.get("best_effort_timestamp_time"), frame.get("duration_time", frame.get("pkt_duration_time")))
    )
    return _Sample(
        shape=(int(frame["width"]), int(frame["height"]), rational(frame.get("sample_aspect_ratio")) or Fraction(1)),
        time=None if time is None else float(time),
        seconds=float(length) if length else None,
        repeats=int(frame.get("repeat_pict", 0)),
    )


def _with_common_shape(video: VideoStream, samples: Sequence[_Sample]) -> VideoStream:
    """Return `video` in the shape of most samples; of the larger one where two are equally frequent."""
    counted = Counter(sample.shape for sample in samples)
    width, height, aspect = max(counted, key=lambda shape: (counted[shape], shape[0] * shape[1]))
    is_turned = video.rotation % 180 == 90
    shown = (height, width) if is_turned else (width, height)
    return replace(
        video,
        coded_width=width,
        coded_height=height,
        width=shown[0] + shown[0] % 2,
        height=shown[1] + shown[1] % 2,
        sample_aspect=1 / aspect if is_turned else aspect,
        changes_shape=len(counted) > 1,
    )


def _without_pulldown(video: VideoStream, samples: Sequence[_Sample]) -> VideoStream:
    """Return `video` at the rate of film where its frames are shown for three and two fields in turn (ISO/IEC 13818-2, 6.3.10)."""
    repeated = sum(sample.repeats > 0 for sample in samples)
    rate = _film_rate(samples) if EVEN_TURNS[0] < repeated / len(samples) < EVEN_TURNS[1] else None
    if rate is None:
        return video
    frames = max(round(Fraction(video.seconds) * rate), 1)
    return replace(video, frame_rate=rate, frames=frames, is_variable=False, phase=_phase(video, samples, rate))


def _film_rate(samples: Sequence[_Sample]) -> Fraction | None:
    """Return the rate of film by how long its frames are shown, or, where the container gives all the same length, by their times."""
    longer, shorter = ([sample.seconds for sample in samples if sample.seconds and bool(sample.repeats) == turn] for turn in (True, False))
    if longer and shorter and median(longer) > 1.2 * median(shorter):
        shown, tolerance = (median(longer) + median(shorter)) / 2, FILM_TOLERANCE
    else:
        times = [sample.time for sample in samples if sample.time is not None]
        rounds = [later - earlier for earlier, later in zip(times, times[2:], strict=False) if 0 < later - earlier < LONGEST_ROUND]
        shown, tolerance = (median(rounds) / 2, ROUNDED_TOLERANCE) if rounds else (0.0, 0.0)
    rate = min(FILM_RATES, key=lambda film: abs(shown * film - 1))
    return rate if abs(shown * rate - 1) <= tolerance else None


def _phase(video: VideoStream, samples: Sequence[_Sample], rate: Fraction) -> Fraction:
    """Return where the time stamps lie beside the grid of `rate` that begins with the first frame, in s: their circular mean.

    Frames shown for 3 and 2 fields lie .2 of a frame apart; they must not fall on both sides of the middle between two images.
    """
    turns = [cmath.exp(2j * cmath.pi * (sample.time - float(video.start)) * rate) for sample in samples if sample.time is not None]
    return Fraction(cmath.phase(sum(turns)) / (2 * cmath.pi)).limit_denominator(1000) / rate if turns else Fraction(0)


def _with_measured_rate(source: Source, video: VideoStream, track: Json, limits: MediaLimits) -> VideoStream:
    """Return `video` at the rate that its first packets have, where the header's could be a time base (browsers write 1000 per second)."""
    nominal, average = rational(track.get("r_frame_rate")), rational(track.get("avg_frame_rate"))
    if max(nominal or 0, average or 0) <= HIGHEST_RATE:
        return video
    answer = _answer(commands.list_packets(source, video.index, since=0.0, count=RATE_PACKETS), source, limits)
    cells = [line.split(b",")[0] for line in answer.stdout.splitlines()] if answer is not None else []
    times = sorted(time for time in (rational(cell.decode("ascii", "replace")) for cell in cells) if time is not None)
    if len(times) < 2 or times[-1] == times[0]:
        return video
    measured = (len(times) - 1) / (times[-1] - times[0])
    rate, is_variable = choose_rate(nominal, measured)
    return replace(video, frame_rate=rate, frames=max(round(Fraction(video.seconds) * rate), 1), is_variable=is_variable)


def _is_transparent(source: Source, video: VideoStream, limits: MediaLimits) -> bool:
    """Return whether any pixel at some places is transparent; after a place that takes too long, of those before it."""
    for place in _places(video, ALPHA_PLACES):
        answer = _answer(commands.sample_alpha(source, video, since=place), source, limits)
        if answer is None:
            break
        if np.frombuffer(answer.stdout, np.uint8).min(initial=255) < OPAQUE:
            return True
    return False
