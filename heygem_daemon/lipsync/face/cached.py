"""The face tracks of a video file, made once and kept by the content of the file."""

from contextlib import closing
from pathlib import Path

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.face.track_video import analyse
from heygem_daemon.lipsync.face_tracks import TRACKS_VERSION, FaceTracks, parse_selection
from heygem_daemon.lipsync.ports import OnProgress
from heygem_daemon.lipsync.prefetch import read_ahead
from heygem_daemon.lipsync.render_loop import READ_AHEAD
from heygem_daemon.lipsync.shelf import Shelf
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo


def cached_tracks(shelf: Shelf, info: MediaInfo, *, face: str, models: Path, on_progress: OnProgress = lambda _: None) -> FaceTracks:
    """Return the tracks of the face chosen by `face` (see `parse_selection`), tracked now or earlier.

    shelf: the cache entries of this video; models: the directory of the model files. Raises InputError: no_face, not_a_video,
    video_undecodable, bad_job_toml (`face` is none); SetupError (`models_missing`).
    """
    video = info.video
    if video is None:
        raise error("not_a_video", name=display_name(info.path))
    try:
        selection = parse_selection(face)
    except ValueError as problem:
        raise error("bad_job_toml", problem=str(problem)) from None

    def build(directory: Path) -> None:
        with closing(read_ahead(VideoReader(info).frames(), READ_AHEAD)) as frames:
            analyse(
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

    return FaceTracks.open(shelf.entry(build, TRACKS_VERSION, face))
