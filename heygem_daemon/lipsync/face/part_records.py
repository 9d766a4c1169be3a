"""The faces of every frame of one part of a video, in a file: written by the process that tracks the part, read by the one that joins them.

For each frame a head, then its faces, the oldest track first. The numbers of the tracks are those of the part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from heygem_daemon.lipsync.face.likeness import TEXTURE_POINTS
from heygem_daemon.lipsync.face.tracker import TrackedFace
from heygem_daemon.lipsync.face_tracks import POINTS

_HEAD: Final = np.dtype([("fingerprint", "<u4"), ("is_cut", "?"), ("dissolve", "<u2", 2), ("faces", "<u1")])
_FACE: Final = np.dtype(
    [("track", "<i4"), ("score", "<f4"), ("landmarks", "<f4", (POINTS, 3)), ("has_texture", "?"), ("texture", "u1", len(TEXTURE_POINTS))]
)
_NO_DISSOLVE: Final = (0, 0)
_NO_TEXTURE: Final = np.zeros(len(TEXTURE_POINTS), np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class PartFrame:
    """One frame. fingerprint: of its pixels (see `media.reader.fingerprint`); is_cut: a shot begins with it; dissolve: as
    `FaceTracker.dissolve`."""

    fingerprint: int
    is_cut: bool
    faces: tuple[TrackedFace, ...]
    dissolve: tuple[int, int] | None = None


class PartWriter:
    """Writes the frames of a part."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def add(self, frame: PartFrame) -> None:
        head = (frame.fingerprint, frame.is_cut, frame.dissolve or _NO_DISSOLVE, len(frame.faces))
        self._file.write(np.array([head], _HEAD).tobytes())
        self._file.write(np.array([_record(face) for face in frame.faces], _FACE).tobytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


def read_part(path: Path) -> Iterator[PartFrame]:
    """Yield the frames that a `PartWriter` wrote to the end. Raises OSError where the file ends within a frame."""
    with path.open("rb") as file:
        while content := file.read(_HEAD.itemsize):
            head = np.frombuffer(content, _HEAD)[0]
            size = int(head["faces"]) * _FACE.itemsize
            if len(content := file.read(size)) < size:
                raise OSError(f"{path.name} ends within a frame")
            faces = tuple(map(_face, np.frombuffer(content, _FACE)))
            first, last = (int(value) for value in head["dissolve"])
            dissolve = None if (first, last) == _NO_DISSOLVE else (first, last)
            yield PartFrame(fingerprint=int(head["fingerprint"]), is_cut=bool(head["is_cut"]), faces=faces, dissolve=dissolve)


def _record(face: TrackedFace) -> tuple[object, ...]:
    texture = _NO_TEXTURE if face.texture is None else face.texture
    return face.track, face.score, face.landmarks, face.texture is not None, texture


def _face(record: np.void) -> TrackedFace:
    return TrackedFace(
        track=int(record["track"]),
        landmarks=record["landmarks"].copy(),
        score=float(record["score"]),
        texture=record["texture"].copy() if record["has_texture"] else None,
    )


class TrackNumbers:
    """Gives the tracks of one part after the other numbers for the whole video."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._next = 0

    def __call__(self, faces: Sequence[TrackedFace]) -> tuple[TrackedFace, ...]:
        """Return the faces of the next frame of the present part under the numbers of the video."""
        return tuple(replace(face, track=self._number(face.track)) for face in faces)

    def start_part(self, same: dict[int, int]) -> None:
        """Go on with the next part. same: number in the part -> number in the video, of the tracks that both have."""
        self._numbers = dict(same)

    def _number(self, track: int) -> int:
        if track not in self._numbers:
            self._numbers[track], self._next = self._next, self._next + 1
        return self._numbers[track]
