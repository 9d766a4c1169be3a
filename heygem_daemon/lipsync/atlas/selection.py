"""Select the frames of a video that go into its atlas."""

from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Int64
from heygem_daemon.lipsync.atlas.retrieval import lip_features
from heygem_daemon.lipsync.geometry.pose import angle_difference
from heygem_daemon.lipsync.geometry.samples import FaceSample

_MOST_ROWS: Final = 480
_FEWEST_ROWS: Final = 60
_MOST_BYTES: Final = 256 * 2**20
"""An atlas has at most as many rows as fit into that many bytes of crops, within these limits."""
_BYTES_PER_PIXEL: Final = 2.0
_CROP_SIDE: Final = 1.1
"""A lossless crop takes about two bytes per pixel, and is about this wide and high, in IOD."""
_RUN: Final = 12
"""Frames of a run, half a second at 25 fps."""
_FEATURE_UNIT: Final = 0.012
_ANGLE_UNIT: Final = 7.0
"""Lip features (IOD) and head angles (degrees) that differ by these count as equally different."""
_ROW_STEP: Final = 3
"""Rows of a run are compared at this step: its neighbours are alike."""


def select_rows(sample: FaceSample) -> Int64:
    """Return the rows of the sample that go into the atlas: all of a short clip, else runs of frames that differ most from each other.

    Greedy farthest-point selection (Gonzalez 1985) of runs of half a second by lip shape and pose; within a run playing on stays possible.
    """
    limit = _row_limit(sample)
    if len(sample) <= limit:
        return np.arange(len(sample))
    turned = angle_difference(sample.angles, sample.angles[0])
    features = np.concatenate([lip_features(sample.canonical) / _FEATURE_UNIT, turned / _ANGLE_UNIT], axis=1)
    runs = _split_into_runs(sample.index)
    distance = np.full(len(sample), np.inf)
    chosen: list[int] = []
    best = 0
    while sum(len(runs[k]) for k in chosen) + _RUN <= limit and len(chosen) < len(runs):
        chosen.append(best)
        for row in runs[best][::_ROW_STEP]:
            distance = np.minimum(distance, np.linalg.norm(features - features[row], axis=1))
        gains = [-1.0 if k in chosen else float(distance[rows].mean()) for k, rows in enumerate(runs)]
        best = int(np.argmax(gains))
    return np.sort(np.concatenate([runs[k] for k in chosen]))


def _row_limit(sample: FaceSample) -> int:
    """Return how many rows fit."""
    bytes_each = _BYTES_PER_PIXEL * (_CROP_SIDE * float(np.median(sample.scale))) ** 2
    return int(np.clip(_MOST_BYTES / bytes_each, _FEWEST_ROWS, _MOST_ROWS))


def _split_into_runs(index: Int64) -> list[Int64]:
    """Return the rows of each run: consecutive frame numbers, at most half a second."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    return [part[k : k + _RUN] for part in np.split(np.arange(len(index)), breaks) for k in range(0, len(part), _RUN)]
