"""Select the atlas frame whose mouth is shown at each time: unit selection by target and join costs (Bregler et al. 1997)."""

from collections import deque
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32, Float64, Int64
from heygem_daemon.lipsync.geometry.landmarks import INNER_LIPS, LIP_AREA
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.geometry.pose import angle_difference

CANDIDATES: Final = 48
"""Rows considered at each time, the cheapest by target cost."""
LAG: Final = 5
"""Frames of look-ahead: 2 to 8 are within 1 % of the cost of the best path."""

_LIP_AREA: Final = np.array(LIP_AREA)
_INNER_LIP_WEIGHT: Final = 2.0
_LIP_WEIGHTS: Final = np.where(np.isin(_LIP_AREA, INNER_LIPS), _INNER_LIP_WEIGHT, 1.0)
_LIP_SCALE: Final = np.sqrt(_LIP_WEIGHTS / _LIP_WEIGHTS.sum())
_LIP_UNIT: Final = 0.012
"""RMS distance of lips, in IOD, that costs 1."""
_OPENING_WEIGHT: Final = 5.0
_OPENING_FLOOR: Final = 0.014
"""Cost of an opening e times too large or too small; to both openings is added a floor in IOD."""
_POSE_WEIGHT: Final = 0.8
_POSE_UNIT: Final = np.array([7.0, 7.0, 14.0])
"""Cost of a head turned away by a unit, and units of yaw, pitch and roll in degrees; the cost grows with the square."""
_BLUR_WEIGHT: Final = 1.2
_SHARP_PERCENTILE: Final = 75
_LARGEST_BLUR: Final = 2
"""Cost of a mouth e times less sharp than this percentile of all, and the natural logarithm at which it ends."""
_COVERED_COST: Final = 1e3
_STEP_COST: Final = {1: 0.0, 0: 0.25, 2: 0.25, -1: 0.4}
"""Join cost by how many frames the video goes on: playing on, waiting, leaving one out, a step back."""
_JUMP_COST: Final = 1.2
_JUMP_SHAPE_WEIGHT: Final = 0.5
_JUMP_SHAPE_LIMIT: Final = 4.0
_JUMP_OPEN_WEIGHT: Final = 2.0
_JUMP_OPENING: Final = 0.06
_JUMP_INTERIOR_WEIGHT: Final = 0.5
_JUMP_INTERIOR_LIMIT: Final = 4.0
_INTERIOR_UNIT: Final = 0.08
"""Join cost of any other step: a base, a weight for each _LIP_UNIT by which the lips jump, up to a limit, one where both mouths are open,
growing up to an opening (IOD), and one for each unit by which what is between the lips changes (root mean square, as a fraction of the
luma of the skin), up to a limit: teeth do not appear at once, and best not while they are seen."""
_INTERIOR_JUMP_COST: Final = 4.0
_TOO_SHUT_WEIGHT: Final = 6.0
_TOO_OPEN_WEIGHT: Final = 2.0
_SHAPE_WEIGHT: Final = 1.0
"""Interiors: join cost of a jump, cost of an opening e times too small or too large, weight of the distance of the inner lips."""


class CandidateIndex:
    """The mouths to choose from, as rows in the order of the video.

    canonical: [n, 468, 3]; openings: [n], how far the lips are apart, in IOD; angles: [n, 3], degrees; sharpness: [n], any unit;
    interiors: [n, k], see `store.Presenter`;
    index: int [n], frame numbers, ascending;
    is_clear: bool [n], the others are taken only where nothing else is left
    """

    def __init__(
        self,
        *,
        canonical: Float64,
        openings: Float64,
        angles: Float64,
        sharpness: Float64,
        interiors: Float32,
        index: Int64,
        is_clear: Bool,
    ) -> None:
        self._features, self._openings = lip_features(canonical), openings
        self._angles, self._index = angles, index
        self._quality = _BLUR_WEIGHT * _blur(sharpness) + np.where(is_clear, 0, _COVERED_COST)
        self.join_costs = join_costs(self._features, interiors.astype(np.float64), self._openings, index)

    def __len__(self) -> int:
        return len(self._index)

    def opening(self, row: int) -> float:
        """Return how far the lips of a row are apart, in IOD."""
        return float(self._openings[row])

    def is_jump(self, before: int, after: int) -> bool:
        """Return whether showing row `after` right after row `before` is more than playing on, waiting or a step back."""
        return int(self._index[after] - self._index[before]) not in _STEP_COST

    def neighbour(self, row: int, step: int) -> int:
        """Return the row `step` (1 or -1) frames from `row` in the video, or `row` itself where the atlas has no such frame."""
        other = row + step
        return other if 0 <= other < len(self) and self._index[other] - self._index[row] == step else row

    def target_costs(self, target: Float64, angles: Float64) -> Float64:
        """Return [n]: the cost of each row as the mouth of the canonical face `target` [468, 3] on a head at `angles` [3], degrees."""
        shape = np.linalg.norm(self._features - lip_features(target[None]), axis=1)
        opening = max(float(opening_of(target)), 0)
        ratio = np.abs(np.log((self._openings + _OPENING_FLOOR) / (opening + _OPENING_FLOOR)))
        turned = ((angle_difference(self._angles, angles) / _POSE_UNIT) ** 2).sum(1)
        return np.asarray(shape / _LIP_UNIT + _OPENING_WEIGHT * ratio + _POSE_WEIGHT * turned + self._quality)


class InteriorIndex:
    """The interiors to choose from: the mouths that are open far enough to show one. rows: [k], their rows of the atlas.

    The others: see `CandidateIndex`; openings: [n], in IOD.
    """

    def __init__(self, *, rows: Int64, canonical: Float64, angles: Float64, sharpness: Float64, index: Int64, openings: Float64) -> None:
        self.rows = rows
        self._openings, self._features = openings[rows], _interior_features(canonical[rows])
        self._angles, self._index = angles[rows], index[rows]
        self._quality = _BLUR_WEIGHT * _blur(sharpness)[rows]

    def __len__(self) -> int:
        return len(self.rows)

    def choose(self, target: Float64, angles: Float64, *, after: int | None) -> int | None:
        """Return the number of the best interior for the canonical face `target` on a head at `angles`, None where there is none.

        after: the one that was shown just before.
        """
        if not len(self):
            return None
        opening = max(float(opening_of(target)), 0)
        ratio = np.log((self._openings + _OPENING_FLOOR) / (opening + _OPENING_FLOOR))
        opened = np.where(ratio < 0, -_TOO_SHUT_WEIGHT * ratio, _TOO_OPEN_WEIGHT * ratio)
        shape = np.linalg.norm(self._features - _interior_features(target[None]), axis=1)
        turned = ((angle_difference(self._angles, angles) / _POSE_UNIT) ** 2).sum(1)
        costs = opened + _SHAPE_WEIGHT * shape / _LIP_UNIT + _POSE_WEIGHT * turned + self._quality
        if after is not None:
            step = self._index - self._index[after]
            costs += np.select([step == frames for frames in _STEP_COST], list(_STEP_COST.values()), _INTERIOR_JUMP_COST)
        return int(costs.argmin())


def _interior_features(canonical: Float64) -> Float64:
    """Return [n, 40]: the inner edges of the lips, scaled so that a distance is an RMS distance in IOD."""
    return np.asarray(canonical[:, list(INNER_LIPS), :2].reshape(len(canonical), 2 * len(INNER_LIPS)) / np.sqrt(len(INNER_LIPS)))


def _blur(sharpness: Float64) -> Float64:
    """Return [n], 0 to _LARGEST_BLUR: by how much each row is less sharp than most, as a natural logarithm."""
    return np.asarray(np.clip(np.log(np.percentile(sharpness, _SHARP_PERCENTILE) / sharpness), 0, _LARGEST_BLUR))


def lip_features(canonical: Float64) -> Float64:
    """Return [n, 160]: the lips of canonical faces [n, 468, 3], scaled so that a distance is an RMS distance in IOD.

    Inner lips count twice.
    """
    return np.asarray((canonical[:, _LIP_AREA, :2] * _LIP_SCALE[:, None]).reshape(len(canonical), -1))


def join_costs(features: Float64, interiors: Float64, openings: Float64, index: Int64) -> Float64:
    """Return [n, n]: the cost of showing row k right after row j; playing on is free, a jump costs the more, the more the lips jump, the
    further they are open and the more what is between them changes. features: see `lip_features`; openings: [n], IOD; the others: see
    `CandidateIndex`."""
    rows = np.arange(len(index))
    following = np.minimum(rows + 1, len(index) - 1)
    following = np.where(index[following] == index + 1, following, rows)
    costs = _JUMP_COST + _JUMP_SHAPE_WEIGHT * np.minimum(_distances(features, following) / _LIP_UNIT, _JUMP_SHAPE_LIMIT)
    change = _distances(interiors, following) / np.sqrt(max(1, interiors.shape[1]))
    costs += _JUMP_OPEN_WEIGHT * np.minimum(np.minimum(openings[following][:, None], openings[None]) / _JUMP_OPENING, 1)
    costs += _JUMP_INTERIOR_WEIGHT * np.minimum(change / _INTERIOR_UNIT, _JUMP_INTERIOR_LIMIT)
    step = index[None] - index[:, None]
    for frames, cost in _STEP_COST.items():
        costs[step == frames] = cost
    return np.asarray(costs)


def _distances(features: Float64, following: Int64) -> Float64:
    """Return [n, n]: the distance of the features of each row from those of the row that follows on each."""
    square = (features**2).sum(1)
    return np.asarray(np.sqrt(np.maximum(0, square[following, None] + square[None] - 2 * features[following] @ features.T)))


class FixedLagViterbi:
    """Finds the cheapest path through rows; each step is decided when `lag` more are known."""

    def __init__(self, join_costs: Float64, *, lag: int = LAG, candidates: int = CANDIDATES) -> None:
        self._join_costs, self._lag, self._candidates = join_costs, lag, candidates
        self._rows: deque[Int64] = deque()
        self._back: deque[Int64] = deque()
        self._cost: Float64 = np.zeros(0)

    def push(self, target_costs: Float64) -> list[int]:
        """Add a step with the target cost [n] of every row; return the rows decided by it (none or one)."""
        rows = np.argsort(target_costs, kind="stable")[: self._candidates]
        if self._rows:
            total = self._cost[:, None] + self._join_costs[np.ix_(self._rows[-1], rows)]
            best = total.argmin(0)
            self._back.append(best)
            self._cost = total[best, np.arange(len(rows))] + target_costs[rows]
        else:
            self._cost = target_costs[rows].copy()
        self._rows.append(rows)
        return [self._decide()] if len(self._rows) > self._lag else []

    def flush(self) -> list[int]:
        """Return the rows of all steps still open, and begin anew."""
        decided = [self._decide() for _ in range(len(self._rows))]
        self._cost = np.zeros(0)
        return decided

    def _decide(self) -> int:
        """Commit to the oldest open step; paths that do not run through it are dropped, so that the result is one path."""
        ancestor = np.arange(len(self._cost))
        for back in reversed(self._back):
            ancestor = back[ancestor]
        chosen = int(ancestor[self._cost.argmin()])
        self._cost = np.where(ancestor == chosen, self._cost, np.inf)
        row = int(self._rows.popleft()[chosen])
        if self._back:
            self._back.popleft()
        return row
