"""Track the faces of a video in one streaming pass, select the one that speaks, and cache it on disk by the content of the file."""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.cache import VideoCache
from heygem_daemon.lipsync.face.dissolve import DissolveDetector
from heygem_daemon.lipsync.face.selection import VideoFaces
from heygem_daemon.lipsync.face.track_parts import Part, PartsDifferError, plan_parts, track_parts
from heygem_daemon.lipsync.face.tracker import FaceTracker, TrackedFace
from heygem_daemon.lipsync.face_tracks import TRACKS_VERSION, FaceSelection, FaceTracks, TracksWriter, parse_selection
from heygem_daemon.lipsync.prefetch import READ_AHEAD, read_ahead
from heygem_daemon.lipsync.progress import OnProgress, Progress
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo, VideoStream


def cached_tracks(
    video_cache: VideoCache, info: MediaInfo, *, face: str, models: Path, cores: int = 1, on_progress: OnProgress = lambda _: None
) -> FaceTracks:
    """Return the tracks of the face chosen by `face` (see `parse_selection`), tracked now or earlier.

    video_cache: the cache entries of this video; models: the directory of the model files; cores: how many there are to track a long
    video in parts side by side. Raises InputError: no_face, not_a_video, video_undecodable, bad_job_toml (`face` is none); SetupError
    (`models_missing`).
    """
    video = info.video
    if video is None:
        raise error("not_a_video", name=display_name(info.path), type="a file without video")
    try:
        selection = parse_selection(face)
    except ValueError as problem:
        raise error("bad_job_toml", problem=str(problem)) from None

    def build(directory: Path) -> None:
        progress = _SteadyProgress(on_progress)
        parts = plan_parts(video, cores)
        if len(parts) > 1:
            with suppress(PartsDifferError, OSError):  # whatever the reason is, one pass has the right tracks, or the right error
                track_video_in_parts(info, video, parts, models=models, selection=selection, directory=directory, on_progress=progress)
                return
        with closing(read_ahead(VideoReader(info).frames(), READ_AHEAD)) as frames:
            track_video(
                frames,
                size=(video.width, video.height),
                frame_rate=video.frame_rate,
                models=models,
                selection=selection,
                directory=directory,
                total=video.frames,
                name=display_name(info.path),
                on_progress=progress,
            )

    return FaceTracks.open(video_cache.entry(build, TRACKS_VERSION, video.reading, face))


def track_video(
    frames: Iterable[Frame],
    *,
    size: tuple[int, int],
    frame_rate: Fraction,
    models: Path,
    selection: FaceSelection = "largest",
    directory: Path,
    total: int = 0,
    name: str = "the video",
    on_progress: OnProgress = lambda _: None,
) -> FaceTracks:
    """Track the faces of `frames` (consecutive, all of `size` = width, height) and write the selected one to `directory`.

    models: the directory of the model files. total: the number of frames expected, for the progress only. name: the name
    of the video in errors. A still image is a video of one frame. Memory does not grow with the length.
    Raises InputError (`no_face`) only when no frame has a face, SetupError (`models_missing`).
    """
    tracker = FaceTracker(models, frame_rate=frame_rate)
    with _TracksBuilder(directory, size=size, frame_rate=frame_rate, selection=selection) as builder:
        shot = 0
        for done, frame in enumerate(frames, start=1):
            faces = tracker.follow(frame)
            builder.add(faces, is_cut=tracker.shot != shot, dissolve=tracker.dissolve)
            shot = tracker.shot
            on_progress(Progress(stage="analyse", done=done, total=max(done, total)))
        return builder.finish(name)


def track_video_in_parts(
    info: MediaInfo,
    video: VideoStream,
    parts: tuple[Part, ...],
    *,
    models: Path,
    selection: FaceSelection,
    directory: Path,
    on_progress: OnProgress = lambda _: None,
) -> FaceTracks:
    """Do as `track_video` for all frames of a file, its parts side by side in processes of their own. Raises PartsDifferError too."""

    def on_frame(done: int) -> None:
        on_progress(Progress(stage="analyse", done=done, total=max(done, video.frames)))

    size = (video.width, video.height)
    with _TracksBuilder(directory, size=size, frame_rate=video.frame_rate, selection=selection) as builder:
        with closing(track_parts(info, parts, models=models, directory=directory, on_frame=on_frame)) as frames:
            for frame in frames:
                builder.add(frame.faces, is_cut=frame.is_cut, dissolve=frame.dissolve)
        tracks = builder.finish(display_name(info.path))
    on_progress(Progress(stage="analyse", done=tracks.frames, total=tracks.frames))
    return tracks


_FASTEST_CUTS: Final = 3
_CUTS_WITHIN: Final = 5
"""So many cuts within so many frames are none."""


@dataclass(kw_only=True)
class _WaitingFrame:
    """A frame of which it is not known yet whether it belongs to a dissolve."""

    faces: Sequence[TrackedFace]
    is_cut: bool
    is_mixed: bool = False


class _TracksBuilder:
    """Writes the tracks of the selected face from the faces of all frames.

    Frames in which one shot dissolves into the next have no face: two may show through each other. Where many frames look like cuts but
    all have a face, the camera zooms or whips: that is one shot, whose mouth must not be chosen anew in every frame.
    """

    def __init__(self, directory: Path, *, size: tuple[int, int], frame_rate: Fraction, selection: FaceSelection) -> None:
        self._writer = TracksWriter(directory, size=size, frame_rate=frame_rate)
        self._faces = VideoFaces(directory / "spool.tmp", size=size)
        self._selection, self._cuts = selection, array("b")
        self._waiting: deque[_WaitingFrame] = deque()
        self._taken: deque[_WaitingFrame] = deque(maxlen=_CUTS_WITHIN - 1)
        self._delay, self._is_mixed = DissolveDetector(frame_rate).window, False

    def add(self, faces: Sequence[TrackedFace], *, is_cut: bool, dissolve: tuple[int, int] | None) -> None:
        """Take the next frame. is_cut: a shot begins with it; dissolve: the one before it, see `DissolveDetector.find`."""
        self._waiting.append(_WaitingFrame(faces=faces, is_cut=is_cut))
        if dissolve is not None:
            for ago in range(dissolve[1], dissolve[0] + 1):
                self._waiting[-1 - ago].is_mixed = True
        if len(self._waiting) > self._delay:
            self._take(self._waiting.popleft())

    def finish(self, name: str) -> FaceTracks:
        """Write the tracks and return them. Raises InputError (`no_face`) where there are none."""
        while self._waiting:
            self._take(self._waiting.popleft())
        shot = 0
        for (landmarks, score), is_cut in zip(self._faces.choose(self._selection), self._cuts, strict=True):
            shot += is_cut
            self._writer.append(landmarks, score=score, shot=shot)
        tracks = self._writer.finish()
        if not tracks.valid.any():
            raise error("no_face", name=name)
        return tracks

    def _take(self, frame: _WaitingFrame) -> None:
        is_cut = frame.is_cut and not self._is_camera_motion(frame)
        if is_cut or (self._is_mixed and not frame.is_mixed):
            self._faces.end_shot()
        self._is_mixed = frame.is_mixed
        self._cuts.append(is_cut)
        self._faces.add(() if frame.is_mixed else frame.faces)
        self._taken.append(frame)

    def _is_camera_motion(self, frame: _WaitingFrame) -> bool:
        """Return whether this frame is among frames of which too many seem to begin a shot, and all show a face."""
        around = [*self._taken, frame, *islice(self._waiting, _CUTS_WITHIN - 1)]
        runs = (around[k : k + _CUTS_WITHIN] for k in range(len(around) - _CUTS_WITHIN + 1))
        return any(sum(other.is_cut for other in run) >= _FASTEST_CUTS and all(other.faces for other in run) for run in runs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._faces.__exit__(kind, value, trace)
        self._writer.__exit__(kind, value, trace)


class _SteadyProgress:
    """Passes progress on, never backwards: what is done a second time fills the part of the way that is left, and more slowly."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._base, self._last = 0.0, Progress(stage="analyse", done=0, total=1)

    def __call__(self, step: Progress) -> None:
        if step.done < self._last.done:
            self._base = self._last.done / self._last.total
        done = round(step.total * (self._base + (1 - self._base) * step.done / step.total))
        self._on_progress(Progress(stage=step.stage, done=done, total=step.total))
        self._last = step
