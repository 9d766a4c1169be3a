"""Which frames of a video are looked at, and which of those lend their mouths."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float64, Int64
from heygem_daemon.lipsync.atlas.retrieval import lip_features
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.pose import geometry, runs

_SAMPLE: Final = 3000
_PIECE: Final = 25
"""A long video is studied on 3000 frames in pieces of a second, evenly spread: memory does not grow with its length."""
LARGEST_YAW: Final = 30.0
_ROWS: Final = 480
_FEWEST_ROWS: Final = 60
_BYTES: Final = 256 * 2**20
_RUN: Final = 12
_FEATURE_UNIT: Final = 0.012
_ANGLE_UNIT: Final = 7.0


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceSample:
    """Faces of n frames, ascending.

    index: int [n]; picture: [n, 468, 2], pixels; canonical: [n, 468, 3]; angles: [n, 3], degrees; scale: [n], pixels per IOD
    """

    index: Int64
    picture: Float64
    canonical: Float64
    angles: Float64
    scale: Float64

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Int64) -> "FaceSample":
        return FaceSample(
            index=self.index[rows],
            picture=self.picture[rows],
            canonical=self.canonical[rows],
            angles=self.angles[rows],
            scale=self.scale[rows],
        )


def sample_faces(tracks: FaceTracks, reference: Float64) -> FaceSample:
    """Return the faces of at most 3000 usable frames that look roughly at the camera (or of all, where none does)."""
    blocks = [(start, geometry(tracks, reference, start, stop)) for start, stop in _pieces(tracks)]
    index = np.concatenate([start + np.arange(len(block)) for start, block in blocks])
    valid = np.concatenate([block.valid for _, block in blocks])
    angles = np.concatenate([block.angles for _, block in blocks])
    frontal = valid & (np.abs(angles[:, 0]) < LARGEST_YAW)
    rows = np.flatnonzero(frontal if frontal.any() else valid)
    return FaceSample(
        index=index[rows].astype(np.int64),
        picture=np.concatenate([block.picture for _, block in blocks])[rows],
        canonical=np.concatenate([block.canonical for _, block in blocks])[rows],
        angles=angles[rows],
        scale=np.concatenate([block.pose.scale for _, block in blocks])[rows],
    )


def select_rows(sample: FaceSample) -> Int64:
    """Return the rows of the sample that go into the atlas: all of a short clip, else runs of frames that differ most from each other.

    Greedy farthest-point selection (Gonzalez 1985) of runs of half a second by lip shape and pose; playing on stays possible.
    """
    limit = _row_limit(sample)
    if len(sample) <= limit:
        return np.arange(len(sample))
    features = np.concatenate([lip_features(sample.canonical) / _FEATURE_UNIT, sample.angles / _ANGLE_UNIT], axis=1)
    groups = _runs_of(sample.index)
    distance = np.full(len(sample), np.inf)
    chosen: list[int] = []
    best = 0
    while sum(len(groups[g]) for g in chosen) + _RUN <= limit and len(chosen) < len(groups):
        chosen.append(best)
        for row in groups[best][::3]:
            distance = np.minimum(distance, np.linalg.norm(features - features[row], axis=1))
        gains = [-1.0 if g in chosen else float(distance[rows].mean()) for g, rows in enumerate(groups)]
        best = int(np.argmax(gains))
    return np.sort(np.concatenate([groups[g] for g in chosen]))


def _pieces(tracks: FaceTracks) -> list[tuple[int, int]]:
    """Return (start, stop) of the stretches to study, inside runs of usable frames."""
    stretches = [
        (start, min(start + _PIECE, run.stop)) for run in runs(tracks.valid, tracks.shot) for start in range(run.start, run.stop, _PIECE)
    ]
    most = max(1, _SAMPLE // _PIECE)
    if len(stretches) <= most:
        return stretches
    return [stretches[i] for i in np.unique(np.linspace(0, len(stretches) - 1, most).astype(int))]


def _row_limit(sample: FaceSample) -> int:
    """Return how many frames fit: a lossless crop takes about two bytes per pixel."""
    bytes_each = 2.0 * (1.1 * float(np.median(sample.scale))) ** 2
    return int(np.clip(_BYTES / bytes_each, _FEWEST_ROWS, _ROWS))


def _runs_of(index: Int64) -> list[Int64]:
    """Return the rows of each run: consecutive frame numbers, at most half a second."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    return [part[k : k + _RUN] for part in np.split(np.arange(len(index)), breaks) for k in range(0, len(part), _RUN)]
