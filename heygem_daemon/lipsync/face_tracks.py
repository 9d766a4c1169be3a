"""The one selected face of a video, frame by frame, on disk.

A directory holds `tracks.json` (frames, size, frame rate), `frames.npy` (one small record per frame) and `landmarks.f32`
(raw little-endian float32 [n, 468, 3]). Landmarks are read in blocks with plain reads, never mapped: mapped pages count as
resident memory, and two hours of landmarks are a gigabyte.
"""

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.arrays import Bool, Float32, Int32

POINTS: Final = 468
"""Landmarks of a face (the FaceMesh topology)."""

TRACKS_VERSION: Final = "face-tracks 4"
"""Part of the cache key: raise it whenever tracking or the layout on disk changes what is stored."""

FaceSelection = Literal["largest", "left", "right", "center"] | int
"""Which face of a shot speaks: the largest (also most central and longest in view) of those that move, by place, or by number from the
left. Of different persons in different shots only the most prominent one over the video speaks.

The leftmost face is number 0; in a shot with fewer faces the rightmost is taken.
"""

_ROW: Final = POINTS * 3
"""Numbers of one frame in `landmarks.f32`."""
_BLOCK: Final = 256
"""Frames that are read at once."""
_FRAME_RECORD: Final = np.dtype([("valid", "?"), ("shot", "<i4"), ("score", "<f4")])


def parse_selection(text: str) -> FaceSelection:
    """Return the selection written as `largest`, `left`, `right`, `center`, or a number from 0. Raises ValueError."""
    match text:
        case "largest" | "left" | "right" | "center":
            return text
        case _ if text.isascii() and text.isdigit():
            return int(text)
        case _:
            raise ValueError(f"{text!r} is none of largest, left, right, center, or the number of a face")


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceTracks:
    """The selected face of a video; only the landmarks stay on disk.

    frames:     number of frames of the video
    size:       width, height in pixels
    frame_rate: exact
    valid:      bool [frames], a usable face of the presenter was found
    shot:       int32 [frames], number of the shot, counted from 0; a shot ends at a scene cut
    score:      float32 [frames], confidence of the face in 0-1; 0 where there is none
    """

    directory: Path
    frames: int
    size: tuple[int, int]
    frame_rate: Fraction
    valid: Bool
    shot: Int32
    score: Float32

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the tracks that a `TracksWriter` wrote to `directory`. Raises TransientError (`io_error`) where they are incomplete."""
        try:
            head = json.loads((directory / "tracks.json").read_text(encoding="utf-8"))
            records = np.load(directory / "frames.npy", allow_pickle=False)
            stored = (directory / "landmarks.f32").stat().st_size
            rate, size, frames = Fraction(head["frame_rate"]), (int(head["size"][0]), int(head["size"][1])), int(head["frames"])
        except (OSError, ValueError, KeyError) as problem:
            raise error("io_error", problem=f"the face tracks in {directory} cannot be read ({problem})") from problem
        if records.dtype != _FRAME_RECORD or len(records) != frames or stored != frames * _ROW * 4:
            raise error("io_error", problem=f"the face tracks in {directory} are incomplete")
        return cls(
            directory=directory,
            frames=frames,
            size=size,
            frame_rate=rate,
            valid=np.ascontiguousarray(records["valid"]),
            shot=np.ascontiguousarray(records["shot"], dtype=np.int32),
            score=np.ascontiguousarray(records["score"], dtype=np.float32),
        )

    def landmarks(self, start: int, stop: int) -> Float32:
        """Return float32 [stop - start, 468, 3]: x, y in pixels, z in pixels towards the back; NaN where not valid.

        `start` and `stop` are clipped to the video as in a slice.
        """
        start, stop, _ = slice(start, stop).indices(self.frames)
        count = max(0, stop - start)
        with (self.directory / "landmarks.f32").open("rb") as file:
            file.seek(start * _ROW * 4)
            values = np.fromfile(file, "<f4", count * _ROW)
        if len(values) != count * _ROW:
            raise error("io_error", problem=f"the face tracks in {self.directory} have become shorter while in use")
        return values.reshape(count, POINTS, 3).astype(np.float32, copy=False)

    def blocks(self, length: int = _BLOCK) -> Iterator[tuple[int, Float32]]:
        """Yield (index of the first frame, landmarks float32 [up to length, 468, 3]) over the whole video."""
        for start in range(0, self.frames, length):
            yield start, self.landmarks(start, start + length)


class TracksWriter:
    """Writes face tracks frame by frame; they cannot be opened before `finish`."""

    def __init__(self, directory: Path, *, size: tuple[int, int], frame_rate: Fraction) -> None:
        self._directory, self._size, self._frame_rate = directory, size, frame_rate
        directory.mkdir(parents=True, exist_ok=True)
        self._file = (directory / "landmarks.f32").open("wb")
        self._absent = np.full(_ROW, np.nan, "<f4").tobytes()
        self._valid, self._shot, self._score = array("b"), array("i"), array("f")

    def __len__(self) -> int:
        return len(self._valid)

    def append(self, landmarks: Float32 | None, *, score: float, shot: int) -> None:
        """Add the next frame: landmarks float32 [468, 3] in pixels, or None where the frame has no usable face."""
        self._file.write(self._absent if landmarks is None else np.ascontiguousarray(landmarks, "<f4").tobytes())
        self._valid.append(landmarks is not None)
        self._shot.append(shot)
        self._score.append(0.0 if landmarks is None else score)

    def finish(self) -> FaceTracks:
        """Write the records of all frames and the head, and return the tracks, open."""
        self._file.close()
        records = np.zeros(len(self), _FRAME_RECORD)
        records["valid"], records["shot"], records["score"] = self._valid, self._shot, self._score
        np.save(self._directory / "frames.npy", records, allow_pickle=False)
        head = {"version": TRACKS_VERSION, "frames": len(self), "size": self._size, "frame_rate": str(self._frame_rate)}
        (self._directory / "tracks.json").write_text(json.dumps(head), encoding="utf-8")
        return FaceTracks.open(self._directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
