"""Write face tracks with given landmarks."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from heygem_daemon.lipsync.face_tracks import FaceTracks, TracksWriter


def write_tracks(
    directory: Path, faces: Iterable[np.ndarray | None], shots: Sequence[int] | None = None, size: tuple[int, int] = (384, 384)
) -> FaceTracks:
    """Return tracks of these landmarks, each [468, 3] in pixels or None, at 25 frames a second."""
    with TracksWriter(directory, size=size, frame_rate=Fraction(25)) as writer:
        for number, points in enumerate(faces):
            writer.append(points, score=1.0, shot=0 if shots is None else shots[number])
        return writer.finish()


def moved(face: np.ndarray, *, degrees: float = 0.0, scale: float = 1.0, by: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Return landmarks [468, 3] turned clockwise on screen about their centre, then scaled about the corner of the image and moved."""
    angle, centre = np.radians(degrees), face[:, :2].mean(0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = ((face[:, :2] - centre) @ turn.T + centre) * scale + by
    return np.column_stack([flat, scale * face[:, 2]]).astype(np.float32)
