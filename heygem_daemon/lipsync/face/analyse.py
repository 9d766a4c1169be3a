"""One streaming pass over a video: find and follow its faces, choose the one that speaks, keep it on disk."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from heygem_daemon.lipsync.face.tracks import FaceSelection, FaceTracks
from heygem_daemon.lipsync.ports import OnProgress
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
    raise NotImplementedError
