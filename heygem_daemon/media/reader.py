"""Read the pictures of a file at a constant frame rate, from anywhere, forth and back, in bounded memory."""

from collections.abc import Iterator

from heygem_daemon.media.frame import Frame, YuvSpace
from heygem_daemon.media.types import MediaInfo, VideoStream


def forth_and_back(position: int, frames: int) -> int:
    """Return the source frame shown at output `position`: 0, 1 .. n-1, n-2 .. 1, 0, 1 ..: no end is shown twice in a row."""
    if frames < 2:
        return 0
    step = position % (2 * frames - 2)
    return min(step, 2 * frames - 2 - step)


class VideoReader:
    """Pictures of `info.path`. Frame i is the same whether it is reached from the start or by seeking."""

    def __init__(self, info: MediaInfo, *, frame_count: int | None = None, chunk_bytes: int = 160 * 2**20) -> None:
        self.info = info
        self.video: VideoStream
        self.space: YuvSpace

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Yield frames start..stop-1 (or to the end), `Frame.index` counting from 0 at the first picture of the file."""
        raise NotImplementedError

    def frame_count(self) -> int:
        """Return the exact number of frames; takes a full pass unless one was made or the number was given."""
        raise NotImplementedError

    def play(self, count: int, frame_count: int | None = None) -> Iterator[Frame]:
        """Yield `count` frames, forth and back (`forth_and_back`) when the video is shorter."""
        raise NotImplementedError
