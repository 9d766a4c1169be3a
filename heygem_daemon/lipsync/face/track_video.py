"""Track the faces of a video in one streaming pass, select the one that speaks, and cache it on disk by the content of the file."""

from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.cache import VideoCache
from heygem_daemon.lipsync.face.selection import ShotFaces
from heygem_daemon.lipsync.face.tracker import FaceTracker
from heygem_daemon.lipsync.face_tracks import TRACKS_VERSION, FaceSelection, FaceTracks, TracksWriter, parse_selection
from heygem_daemon.lipsync.prefetch import READ_AHEAD, read_ahead
from heygem_daemon.lipsync.progress import OnProgress, Progress
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo


def cached_tracks(
    video_cache: VideoCache, info: MediaInfo, *, face: str, models: Path, on_progress: OnProgress = lambda _: None
) -> FaceTracks:
    """Return the tracks of the face chosen by `face` (see `parse_selection`), tracked now or earlier.

    video_cache: the cache entries of this video; models: the directory of the model files. Raises InputError: no_face, not_a_video,
    video_undecodable, bad_job_toml (`face` is none); SetupError (`models_missing`).
    """
    video = info.video
    if video is None:
        raise error("not_a_video", name=display_name(info.path), type="a file without video")
    try:
        selection = parse_selection(face)
    except ValueError as problem:
        raise error("bad_job_toml", problem=str(problem)) from None

    def build(directory: Path) -> None:
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
                on_progress=on_progress,
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
    with TracksWriter(directory, size=size, frame_rate=frame_rate) as writer, ShotFaces(directory / "spool.tmp", size=size) as faces:
        shot = 0
        for done, frame in enumerate(frames, start=1):
            followed = tracker.follow(frame)
            if tracker.shot != shot:
                _write_shot(faces, writer, selection, shot)
                shot = tracker.shot
            faces.add(followed)
            on_progress(Progress(stage="analyse", done=done, total=max(done, total)))
        _write_shot(faces, writer, selection, shot)
        tracks = writer.finish()
    if not tracks.valid.any():
        raise error("no_face", name=name)
    return tracks


def _write_shot(faces: ShotFaces, writer: TracksWriter, selection: FaceSelection, shot: int) -> None:
    """Write the selected face of the shot that has ended."""
    for landmarks, score in faces.choose(selection):
        writer.append(landmarks, score=score, shot=shot)
