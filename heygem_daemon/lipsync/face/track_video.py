"""One streaming pass over a video: find and follow its faces, choose the one that speaks, keep it on disk."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.face.selection import ShotFaces
from heygem_daemon.lipsync.face.tracker import FaceTracker
from heygem_daemon.lipsync.face_tracks import FaceSelection, FaceTracks, TracksWriter
from heygem_daemon.lipsync.ports import OnProgress, Progress
from heygem_daemon.media.frame import Frame


def analyse(
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

    models: the directory of the model files. total: the number of frames expected, for the progress only. name: how the
    error calls the video. A still picture is a video of one frame. Memory does not grow with the length.
    Raises InputError (`no_face`) only when no frame has a face, SetupError (`models_missing`).
    """
    tracker = FaceTracker(models, frame_rate=frame_rate)
    with TracksWriter(directory, size=size, frame_rate=frame_rate) as writer, ShotFaces(directory / "spool.tmp", size=size) as faces:
        shot = 0
        for done, frame in enumerate(frames, start=1):
            followed = tracker.follow(frame)
            if tracker.shot != shot:
                _keep(faces, writer, selection, shot)
                shot = tracker.shot
            faces.add(followed)
            on_progress(Progress(stage="analyse", done=done, total=max(done, total)))
        _keep(faces, writer, selection, shot)
        tracks = writer.finish()
    if not tracks.valid.any():
        raise error("no_face", name=name)
    return tracks


def _keep(faces: ShotFaces, writer: TracksWriter, selection: FaceSelection, shot: int) -> None:
    """Write the selected face of the shot that has ended."""
    for landmarks, score in faces.choose(selection):
        writer.append(landmarks, score=score, shot=shot)
