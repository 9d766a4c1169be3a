"""Check a finished result by decoding all of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.media import commands
from heygem_daemon.media.run import FfmpegReader, answered, require_capacity, require_working, stream_error
from heygem_daemon.media.streams import rational, seconds_of

TIME_LIMIT_SECONDS: Final = 3600.0
TIME_LIMIT_FACTOR: Final = 4.0
"""s of wall clock that a check may take, and for each s of the result: 3840x2160 at 60 frames/s is decoded in about that on one core."""
START_SECONDS: Final = 0.001
"""How far from 0 s video and audio may start; the edit list cuts the priming of AAC."""
_LONGEST_ANSWER: Final = 2**18
"""Bytes of ffprobe's description of two tracks: it has 3 KB."""
MISSING_AUDIO_SECONDS: Final = 0.05
"""How much shorter than the speech the audio track may be, in s: rounding to AAC frames of 1024 samples, and nothing else."""


def verify_result(path: Path, *, frames: int, frame_rate: Fraction, seconds: float, size: tuple[int, int]) -> None:
    """Raise EngineError (`result_invalid`) unless `path` holds one video track of exactly `frames` frames of `size` (width,
    height) at `frame_rate` and one audio track of at least `seconds`, both from 0, and all of it decodes without an error.

    Raises TransientError (`tool_killed`, `storage_slow` ...) where the machine ended the check or kept it waiting, and EngineError
    (`tool_crashed`, `no_progress`): these say nothing about the result, which can be checked again.
    """
    with verifying(path, frames=frames, frame_rate=frame_rate, seconds=seconds, size=size):
        pass


@contextmanager
def verifying(path: Path, *, frames: int, frame_rate: Fraction, seconds: float, size: tuple[int, int]) -> Iterator[None]:
    """Decode `path` beside what the block does, and raise at its end what verify_result raises. An error in the block stops it."""
    limit = TIME_LIMIT_SECONDS + TIME_LIMIT_FACTOR * seconds
    with FfmpegReader(commands.count_frames(path), stall_seconds=limit, path=path) as decoder:
        yield
        answer = bytearray(_LONGEST_ANSWER)
        del answer[decoder.read_into(memoryview(answer)) :]
        end = decoder.wait()
    if (problem := stream_error(end, "the result", path, size=size)) is not None:
        raise problem
    if end.code != 0 or end.stderr.strip():
        require_working(end.program)
        require_capacity(size)
        raise _invalid(end.last_error_line)
    if (found := answered(answer, "streams")) is None:
        raise error("tool_broken", program=end.program, problem="it ended without an error and without an answer")
    streams = found["streams"]
    kinds = sorted(str(stream.get("codec_type")) for stream in streams)
    if kinds != ["audio", "video"]:
        raise _invalid(f"its tracks are {kinds}")
    audio, video = sorted(streams, key=lambda stream: str(stream["codec_type"]))
    _check_video(video, frames, frame_rate, size)
    length = seconds_of(audio) or 0.0
    if length < seconds - MISSING_AUDIO_SECONDS:
        raise _invalid(f"its audio lasts {length:.3f} s and not {seconds:.3f} s")
    for stream in streams:
        start = float(stream.get("start_time", "nan"))
        if not abs(start) <= START_SECONDS:
            raise _invalid(f"its {stream['codec_type']} starts at {start} s")


def verify_report(path: Path, report: Mapping[str, Any], *, verify: Callable[..., None] = verify_result) -> None:
    """Verify a finished file against the report of its render (frames, frame_rate, width, height, seconds): what the daemon publishes, and
    what `heygem render` leaves. Raises EngineError (`result_invalid`), also where the report lacks any of these; TransientError
    (`outputs_offline`) where the folder of the file is gone, and what verify_result raises."""
    if not path.is_file():
        if not path.parent.is_dir():
            raise error("outputs_offline", path=path.parent, problem="the folder of the result is gone")
        raise _invalid("there is no file")
    try:
        frames, rate = int(report["frames"]), Fraction(report["frame_rate"])
        size = (int(report["width"]), int(report["height"]))
        seconds = float(report["seconds"])
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as missing:
        raise _invalid(f"the worker's report is incomplete or invalid: {missing}") from missing
    verify(path, frames=frames, frame_rate=rate, seconds=seconds, size=size)


def _check_video(video: dict[str, Any], frames: int, frame_rate: Fraction, size: tuple[int, int]) -> None:
    counted = int(video.get("nb_read_frames", 0))
    if counted != frames:
        raise _invalid(f"it has {counted} frames and not {frames}")
    found = (int(video.get("width", 0)), int(video.get("height", 0)))
    if found != size:
        raise _invalid(f"it is {found[0]}x{found[1]} pixels and not {size[0]}x{size[1]}")
    rate = rational(video.get("avg_frame_rate"))
    if rate != frame_rate:
        raise _invalid(f"its frame rate is {rate} and not {frame_rate}")


def _invalid(problem: str) -> HeygemError:
    return error("result_invalid", problem=problem)
