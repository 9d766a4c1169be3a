"""A sample of the faces of a video, from which its presenter is learnt."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float64, Int64
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.pose import face_geometry, runs

_MOST_FRAMES: Final = 3000
_PIECE: Final = 25
"""A long video is sampled by 3000 frames in pieces of 25, a second, evenly spread: memory does not grow with its length."""
LARGEST_YAW: Final = 46.0
"""Heads turned further than this are not drawn (see `imaging.visibility`), in degrees."""
_FRONTAL_YAW: Final = 30.0
_FEWEST_FRONTAL: Final = 25
"""How a mouth moves is learnt from heads turned less than this, in degrees: on others the tracker guesses half of it. A second of them is
enough; who shows less is learnt from all frames."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceSample:
    """Faces of n frames, ascending.

    index: int [n]; points: [n, 468, 2], pixels; canonical: [n, 468, 3]; angles: [n, 3], degrees; scale: [n], pixels per IOD
    """

    index: Int64
    points: Float64
    canonical: Float64
    angles: Float64
    scale: Float64

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Int64) -> "FaceSample":
        return FaceSample(
            index=self.index[rows],
            points=self.points[rows],
            canonical=self.canonical[rows],
            angles=self.angles[rows],
            scale=self.scale[rows],
        )

    def frontal(self) -> "FaceSample":
        """Return the faces to learn a mouth from: those turned by less than 30 degrees, or all where these are fewer than 25."""
        rows = np.flatnonzero(np.abs(self.angles[:, 0]) < _FRONTAL_YAW)
        return self.take(rows) if len(rows) >= min(_FEWEST_FRONTAL, len(self)) else self


def sample_faces(tracks: FaceTracks, reference: Float64) -> FaceSample:
    """Return the faces of at most 3000 usable frames that can be drawn (or of all, where none can)."""
    blocks = [(start, face_geometry(tracks, reference, start, stop)) for start, stop in _pieces(tracks)]
    index = np.concatenate([start + np.arange(len(block)) for start, block in blocks])
    valid = np.concatenate([block.valid for _, block in blocks])
    angles = np.concatenate([block.angles for _, block in blocks])
    drawn = valid & (np.abs(angles[:, 0]) < LARGEST_YAW)
    rows = np.flatnonzero(drawn if drawn.any() else valid)
    return FaceSample(
        index=index[rows].astype(np.int64),
        points=np.concatenate([block.points for _, block in blocks])[rows],
        canonical=np.concatenate([block.canonical for _, block in blocks])[rows],
        angles=angles[rows],
        scale=np.concatenate([block.pose.scale for _, block in blocks])[rows],
    )


def _pieces(tracks: FaceTracks) -> list[tuple[int, int]]:
    """Return (start, stop) of the pieces to sample, inside runs of usable frames."""
    pieces = [
        (start, min(start + _PIECE, run.stop)) for run in runs(tracks.valid, tracks.shot) for start in range(run.start, run.stop, _PIECE)
    ]
    most = max(1, _MOST_FRAMES // _PIECE)
    if len(pieces) <= most:
        return pieces
    return [pieces[i] for i in np.unique(np.linspace(0, len(pieces) - 1, most).astype(int))]
