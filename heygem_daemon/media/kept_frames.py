"""Decoded frames that are shown again: in memory, or in a file without a name where they are more than it may hold.

Playing backwards needs the frames of a whole stretch between key frames, ten seconds as a rule. To decode such a stretch again for every
part of it that fits into memory takes 22 ms of CPU time per frame of 1080p HEVC; to write one to the disk and read it takes 3.4 ms.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.media.frame import Frame

DISK_BYTES: Final = 2 * 2**30
"""Frames that are kept on the disk at most: 27 s of 1080p25."""
_LEFT_FREE: Final = 4 * 2**30
"""Bytes that the disk must have left with them."""


class KeptFrames:
    """Frames of one size and colour space, kept in the order in which they come. `is_complete` turns false where the disk is full."""

    def __init__(self, directory: Path | None = None, *, is_possible: bool = True) -> None:
        """directory: where the file is made; None = memory. Where it is not possible to keep them, none is kept."""
        self._frames: list[Frame | int] = []
        self._like: Frame | None = None
        self._file: BinaryIO | None = None
        self.is_complete = is_possible
        if is_possible and directory is not None:
            try:
                self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115  (closed by `close`)
            except OSError:
                self.is_complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._frames)

    def append(self, frame: Frame) -> None:
        """Keep a frame. Raises nothing: what the disk does not take makes all of it incomplete."""
        if not self.is_complete:
            return
        if self._file is None:
            self._frames.append(frame)
            return
        packed = frame.i420()
        try:
            _write(self._file.fileno(), packed.data, len(self._frames) * packed.nbytes)
        except OSError:
            self.is_complete = False
            self.close()
            return
        self._like = frame
        self._frames.append(frame.index)

    def __getitem__(self, place: int) -> Frame:
        """Return the frame that came as number `place`. Raises TransientError (`io_error`) where the disk lost it."""
        kept = self._frames[place]
        if isinstance(kept, Frame):
            return kept
        if self._file is None or self._like is None:
            raise RuntimeError("the frames are not kept any more")
        packed = np.empty_like(self._like.i420())
        if _read(self._file.fileno(), packed.data, place * packed.nbytes) < packed.nbytes:
            raise error("io_error", problem="decoded frames are incomplete on the disk of the cache")
        return Frame.from_i420(packed, width=self._like.width, height=self._like.height, index=kept, space=self._like.space)

    def pop(self) -> Frame:
        """Return the last frame, and keep it no longer."""
        frame = self[len(self) - 1]
        self._frames.pop()
        return frame

    def close(self) -> None:
        """Forget all frames, and give back the room on the disk."""
        self._frames.clear()
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def has_room(directory: Path, needed: int) -> bool:
    """Return whether `needed` bytes of frames may be kept in `directory`."""
    try:
        return needed <= DISK_BYTES and shutil.disk_usage(directory).free >= needed + _LEFT_FREE
    except OSError:
        return False


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _read(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Fill the buffer; return the number of bytes, less than its size only at the end of the file."""
    done = 0
    while done < len(buffer):
        got = os.preadv(descriptor, [buffer[done:]], offset + done)
        if not got:
            break
        done += got
    return done
