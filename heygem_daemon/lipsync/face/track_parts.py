"""Track the parts of a long video side by side, and join them to what one pass finds.

The first part is tracked in this process, the others in processes of their own. A part is begun LEAD_SECONDS before its own frames, so
that its tracker sees what that of the part before sees: in the frames that both have, the pixels must be the same (a broken index gives
others after a seek) and so must be the faces. Where they are not, or a process ends early, there is no result, and one pass does it all.
"""

import math
import os
import pickle
import select
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from heygem_daemon import processes
from heygem_daemon.lipsync.face.mesh import region_of
from heygem_daemon.lipsync.face.part_process import COMMAND, PartTask
from heygem_daemon.lipsync.face.part_records import PartFrame, TrackNumbers, read_part
from heygem_daemon.lipsync.face.tracker import FaceTracker, TrackedFace, distance
from heygem_daemon.lipsync.prefetch import READ_AHEAD, read_ahead
from heygem_daemon.machine import memory_available
from heygem_daemon.media.reader import VideoReader, fingerprint
from heygem_daemon.media.types import MediaInfo, VideoStream

LEAD_SECONDS: Final = 5.0
"""The longest interval of the detector while a face is tracked."""
LEAST_SECONDS: Final = 30.0
"""Parts are at least so long: one more costs as much CPU time as 12-17 s of video (its lead, a process, a second decoder)."""
CORES: Final = 2
"""Cores that one part keeps busy: the tracker takes 2.5-3 ms a frame in one thread, the decoder about as much (H.264 of 844x844) or twice
that (HEVC of 1080x1920). On two cores one pass is as fast as two parts, and cheaper."""
_PROCESS_BYTES: Final = 150 * 2**20
_PROCESS_FRAMES: Final = 40
"""Memory of a process and its decoder, besides frames, and frames that both hold at once, most of them the decoder's."""
_MEMORY_PART: Final = 0.25
"""Fraction of the available memory that the processes may take."""
_SAME_FACE: Final = 1 / 3
"""Two faces of one frame whose regions are nearer than this, in sizes, are one face: two trackers differ by their noise, a hundredth."""
_POLL_SECONDS: Final = 0.2
_STDERR: Final = 2
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""NumPy would start threads, with a stack and buffers each, that it has no use for here."""


class PartsDifferError(Exception):
    """The parts of a video cannot be joined: one pass over it has to do."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Frames start..stop-1 of a video (None: to its end), tracked from frame `first` on."""

    first: int
    start: int
    stop: int | None


def plan_parts(video: VideoStream, cores: int) -> tuple[Part, ...]:
    """Return the parts of a video to track side by side on so many cores; all of it as one where more do not pay, or memory is short."""
    lead, least = math.ceil(LEAD_SECONDS * video.frame_rate), math.ceil(LEAST_SECONDS * video.frame_rate)
    affordable = int(_MEMORY_PART * memory_available() / (_PROCESS_BYTES + _PROCESS_FRAMES * video.frame_bytes))
    count = min(cores // CORES, video.frames // max(least, 1), affordable + 1)
    if count < 2 or video.is_still or not video.is_seekable:
        return (Part(first=0, start=0, stop=None),)
    return split(video.frames, count, lead)


def split(frames: int, count: int, lead: int) -> tuple[Part, ...]:
    """Return `count` parts with about as many frames to read each: all but the first begin `lead` frames early."""
    each = (frames + (count - 1) * lead) / count
    starts = [0, *(round(each + (each - lead) * i) for i in range(count - 1))]
    stops = [*starts[1:], None]
    return tuple(Part(first=max(0, start - lead), start=start, stop=stop) for start, stop in zip(starts, stops, strict=True))


def track_parts(
    info: MediaInfo, parts: Sequence[Part], *, models: Path, directory: Path, on_frame: Callable[[int], None]
) -> Generator[PartFrame, None, None]:
    """Yield the frames of a video with their faces, the tracks numbered over all parts. on_frame gets the number of frames tracked.

    directory: for files while this runs. Raises PartsDifferError, and what tracking in one pass raises; then all processes are ended.
    """
    with ExitStack() as stack:
        others = [stack.enter_context(_Process(info, part, models, directory / f"part-{i}.tmp")) for i, part in enumerate(parts[1:], 1)]

        last = 0

        def report(own: int) -> None:
            nonlocal last
            done = own + sum(process.poll() for process in others)
            if done != last:  # a process that hangs must not look like one that works
                on_frame(done)
            last = done

        numbers, before = TrackNumbers(), _Overlap(parts[1].start - parts[1].first)
        yield from before.watch(_track_here(info, parts[0], models, report), numbers, parts[0])
        for part, process in zip(parts[1:], others, strict=True):
            process.wait(lambda: report(parts[0].stop or 0))
            frames = read_part(process.records)
            numbers.start_part(before.join([frame for _, frame in zip(range(part.start - part.first), frames, strict=False)]))
            yield from before.watch(frames, numbers, part)


class _Overlap:
    """The last frames of a part, under the numbers of the video, to join the next one to."""

    def __init__(self, frames: int) -> None:
        self._frames: deque[PartFrame] = deque(maxlen=frames)

    def watch(self, frames: Iterable[PartFrame], numbers: TrackNumbers, part: Part) -> Iterator[PartFrame]:
        """Yield the frames of a part with the numbers of the video. Raises PartsDifferError where there are fewer than it should have."""
        count = 0
        for frame in frames:
            numbered = replace(frame, faces=numbers(frame.faces))
            self._frames.append(numbered)
            count += 1
            yield numbered
        if part.stop is not None and count < part.stop - part.start:
            raise PartsDifferError

    def join(self, again: Sequence[PartFrame]) -> dict[int, int]:
        """Return number in the next part -> number in the video of the tracks in the frames that both have: `again`, as the next part has
        them. Raises PartsDifferError where these differ, or do not show whether they do: as where nothing moves."""
        prints = [frame.fingerprint for frame in again]
        if prints != [frame.fingerprint for frame in self._frames] or len(set(prints)) < 2:
            raise PartsDifferError
        same: dict[int, int] = {}
        matched: list[tuple[TrackedFace, TrackedFace]] = []
        for mine, theirs in zip(self._frames, again, strict=True):
            matched = list(_matched(mine.faces, theirs.faces))
            same |= {other.track: face.track for face, other in matched}
        if not len(matched) == len(self._frames[-1].faces) == len(again[-1].faces):
            raise PartsDifferError
        return same


def _matched(faces: Sequence[TrackedFace], others: Sequence[TrackedFace]) -> Iterator[tuple[TrackedFace, TrackedFace]]:
    """Yield the pairs of faces of one frame, found by two trackers, that are the same."""
    for face in faces:
        for other in others:
            if distance(region_of(face.landmarks), region_of(other.landmarks)) < _SAME_FACE:
                yield face, other
                break


def _track_here(info: MediaInfo, part: Part, models: Path, report: Callable[[int], None]) -> Iterator[PartFrame]:
    reader = VideoReader(info)
    tracker = FaceTracker(models, frame_rate=reader.video.frame_rate)
    shot = 0
    with closing(read_ahead(reader.frames(0, part.stop), READ_AHEAD)) as frames:
        for done, frame in enumerate(frames, start=1):
            faces = tracker.follow(frame)
            is_cut = tracker.shot != shot
            yield PartFrame(fingerprint=fingerprint(frame), is_cut=is_cut, faces=faces, dissolve=tracker.dissolve)
            shot = tracker.shot
            report(done)


class _Process:
    """A process that tracks a part. Leaving the `with` block ends it, whatever it does, and removes its file."""

    def __init__(self, info: MediaInfo, part: Part, models: Path, records: Path) -> None:
        self.records = records
        self._lead, self._done, self._rest = part.start - part.first, 0, b""
        task = PartTask(info=info, models=models, first=part.first, stop=part.stop, records=records, parent=os.getpid())
        self._process = processes.start(COMMAND, stderr=_STDERR, environment=os.environ | _ONE_THREAD)
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._pipe = self._process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # it has ended: `wait` tells
            pipe.write(pickle.dumps(task))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        processes.kill_and_reap(self._process)
        self._pipe.close()
        self.records.unlink(missing_ok=True)

    def poll(self) -> int:
        """Return how many frames of its own part are tracked; does not wait."""
        self._read()
        return max(0, self._done - self._lead)

    def wait(self, on_step: Callable[[], None]) -> None:
        """Wait for the end, calling `on_step` with every step. Raises PartsDifferError where it failed."""
        while self._read():
            on_step()
            select.select([self._pipe], [], [], _POLL_SECONDS)
        if self._process.wait() != 0:
            raise PartsDifferError

    def _read(self) -> bool:
        """Take what the process has reported; return whether more may come."""
        try:
            content = os.read(self._pipe.fileno(), processes.CHUNK_BYTES)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + content).split(b"\n")
        if lines:
            self._done = int(lines[-1])
        return bool(content)
