"""Write frames and a recording into one mp4, with one lossy encode."""

from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from heygem_daemon.media.frame import Frame
from heygem_daemon.media.types import VideoStream

Fit = Literal["audio", "video"]


class VideoWriter:
    """A context manager: write exactly `frames` frames; the file is complete when the block is left without an error."""

    def __init__(
        self,
        path: Path,
        *,
        like: VideoStream,
        recording: Path,
        frames: int,
        fit: Fit = "audio",
        quality: int = 16,
        preset: str = "veryfast",
        visible_label: str | None = None,
    ) -> None:
        self.warnings: list[str] = []

    def __enter__(self) -> Self:
        raise NotImplementedError

    def write(self, frame: Frame) -> None:
        raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        raise NotImplementedError
