"""Check a finished result by decoding all of it."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.media import commands
from heygem_daemon.media.run import capture
from heygem_daemon.media.streams import rational, seconds_of

START_SECONDS: Final = 0.001
"""How far picture and sound may start from 0; AAC priming is cut by the edit list."""
SOUND_SECONDS: Final = 0.05
"""How much shorter than the speech the sound track may be: nothing but rounding to AAC frames of 1024 samples."""


def verify_result(
    path: Path, *, frames: int, frame_rate: Fraction, seconds: float, size: tuple[int, int], time_limit: float = 3600.0
) -> None:
    """Raise EngineError (`result_invalid`) unless `path` holds one picture track of exactly `frames` pictures of `size` (width,
    height) at `frame_rate` and one sound track of at least `seconds`, both from 0, and all of it decodes without an error.

    Raises `timed_out` after `time_limit` s of wall clock for each of its two passes.
    """
    answer = capture(commands.count_frames(path), seconds=time_limit)
    if answer.code != 0 or answer.stderr.strip():
        raise _invalid(answer.last_error_line)
    streams = json.loads(answer.stdout).get("streams", [])
    kinds = sorted(str(stream.get("codec_type")) for stream in streams)
    if kinds != ["audio", "video"]:
        raise _invalid(f"its tracks are {kinds}")
    sound, picture = sorted(streams, key=lambda stream: str(stream["codec_type"]))
    _check_picture(picture, frames, frame_rate, size)
    length = seconds_of(sound) or 0.0
    if length < seconds - SOUND_SECONDS:
        raise _invalid(f"its sound lasts {length:.3f} s and not {seconds:.3f} s")
    for stream in streams:
        start = float(stream.get("start_time", "nan"))
        if not abs(start) <= START_SECONDS:
            raise _invalid(f"its {stream['codec_type']} starts at {start} s")


def _check_picture(picture: dict[str, Any], frames: int, frame_rate: Fraction, size: tuple[int, int]) -> None:
    counted = int(picture.get("nb_read_frames", 0))
    if counted != frames:
        raise _invalid(f"it has {counted} pictures and not {frames}")
    found = (int(picture.get("width", 0)), int(picture.get("height", 0)))
    if found != size:
        raise _invalid(f"it is {found[0]}x{found[1]} pixels and not {size[0]}x{size[1]}")
    rate = rational(picture.get("avg_frame_rate"))
    if rate != frame_rate:
        raise _invalid(f"its frame rate is {rate} and not {frame_rate}")


def _invalid(problem: str) -> HeygemError:
    return error("result_invalid", problem=problem)
