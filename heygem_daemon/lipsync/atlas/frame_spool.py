"""Keep some frames of a pass over a video in a file, to be read again after it: memory holds none of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from heygem_daemon.media.frame import Frame


class FrameSpool:
    """The frames of some runs (start, stop) of a video, in a file that is gone when the block is left."""

    def __init__(self, path: Path, runs: Sequence[tuple[int, int]]) -> None:
        self._path = path
        self._wanted = frozenset(index for start, stop in runs for index in range(start, stop))
        self._places: dict[int, int] = {}
        self._like: Frame | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w+b")
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def add(self, frame: Frame) -> None:
        """Keep the frame if it belongs to one of the runs. All frames have one size."""
        if frame.index in self._wanted:
            self._places[frame.index] = len(self._places)
            self._like = frame
            self._file.write(frame.i420().data)

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield the frames start to stop that were kept."""
        self._file.flush()
        like = self._like
        for index in range(start, stop):
            if like is not None and index in self._places:
                size = like.width * like.height * 3 // 2
                packed = np.fromfile(self._path, np.uint8, size, offset=size * self._places[index])
                yield Frame.from_i420(packed, width=like.width, height=like.height, index=index, space=like.space)
