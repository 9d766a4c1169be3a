"""The best path of a chain through the scores of a recording: a Viterbi search whose memory does not grow with its length.

Only the states around the best ones are looked at (a beam), and what lies LAG rows back is decided and forgotten: an hour of speech
and the script of an hour have 180,000 rows and 60,000 states, of which a few hundred are in sight at a time.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.speech.script.chain import NEVER, Chain, FloatArray, IntArray

BEAM: Final = 120.0
"""Natural logarithm of odds: what is this much worse than the best is given up. 90 rows (1.8 s) of unscripted speech cost as much."""
WIDEST: Final = 4000
"""States in sight at most: some four minutes of script."""
LAG: Final = 6000
"""Rows after which a decision is final: two minutes."""
_EVERY: Final = 3000
_LOOK: Final = 8
"""Rows between two looks at which states are in sight."""
_AHEAD: Final = 12
"""Words in sight beyond the beam: more than can be entered in _LOOK rows without leaving words out."""
_ENDING: Final = -8.0
"""The recording ends within the script: in the middle of a word, or before all is said."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """states: int32 [n], the state of every row; score: natural logarithm of the whole path."""

    states: IntArray
    score: float


def best_path(scores: FloatArray, chain: Chain) -> Path:
    """scores: float32 [n, 17], n >= 1: natural logarithms for the visemes and for unscripted speech, best with the best at 0."""
    search = _Search(chain)
    for row in range(len(scores)):
        if row % _LOOK == 0:
            search.look(scores[row : row + _LOOK])
        search.step(row % _LOOK)
        if search.undecided >= LAG + _EVERY:
            search.decide(LAG)
    return search.finish()


class _Search:
    """The states in sight are those of the words [first, last) with the boundaries before them; `_lowest` is the first state's number."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._first, self._last = 0, 0
        self._lowest = 0
        self._values = np.empty(0, np.float32)
        self._offset = 0.0
        self._back: list[tuple[int, npt.NDArray[np.int16]]] = []
        self._decided: list[IntArray] = []
        self._starting = True

    @property
    def undecided(self) -> int:
        return len(self._back)

    def look(self, scores: FloatArray) -> None:
        """Choose the states in sight for the next rows, and fetch their scores."""
        chain, boundaries = self._chain, self._chain.words + 1
        if len(self._values):
            highest = self._values.max()
            self._offset += float(highest)
            self._values -= highest
            base = chain.base[self._first : self._last]
            best = np.maximum.reduceat(self._values, base - self._lowest)
            good = np.flatnonzero(best > -BEAM)
            first, last = self._first + int(good[0]), min(self._first + int(good[-1]) + 1 + _AHEAD, boundaries)
            first, last = self._narrowed(first, last, self._first + int(best.argmax()))
        else:
            first, last = 0, min(_AHEAD, boundaries)
        lowest, highest = int(chain.base[first]), int(chain.base[last])
        values = np.full(highest - lowest, NEVER, np.float32)
        kept_from, kept_to = max(lowest, self._lowest), min(highest, self._lowest + len(self._values))
        if kept_to > kept_from:
            values[kept_from - lowest : kept_to - lowest] = self._values[kept_from - self._lowest : kept_to - self._lowest]
        self._values, self._first, self._last, self._lowest = values, first, last, lowest
        self._prepare(lowest, highest)
        self._scores = scores[:, chain.column[lowest:highest]]

    def _narrowed(self, first: int, last: int, best: int) -> tuple[int, int]:
        base = self._chain.base
        while base[last] - base[first] > WIDEST and last - first > 2 * _AHEAD:
            if best - first > last - best:
                first += 1
            else:
                last -= 1
        return first, last

    def _prepare(self, lowest: int, highest: int) -> None:
        """Cut the costs of the states in sight out of the chain, once for several rows."""
        chain, first, last = self._chain, self._first, self._last
        self._stay = chain.stay[lowest:highest]
        self._advance = chain.advance[lowest:highest][1:]
        self._jump = chain.jump[lowest:highest][2:]
        self._pauses = chain.base[first:last] - lowest
        self._others = self._pauses + 1
        spoken = min(last, chain.words) - first  # the last boundary has no word after it
        self._starts = self._pauses[:spoken] + 2
        self._ends = self._pauses[1:] - 1
        # A word of one sound has no last state but one: what stands there has NEVER in leave_early.
        self._ends_early = self._ends - 1
        self._leave, self._leave_early = chain.leave[first : last - 1], chain.leave_early[first : last - 1]
        self._pause, self._other = chain.pause[first:last], chain.other[first:last]
        self._omit = (chain.omit[first:last] - chain.omit[first]).astype(np.float32)
        self._numbers = np.arange(len(self._pauses))
        self._places = np.arange(highest - lowest, dtype=np.int32)

    def step(self, row: int) -> None:
        """Take one more row; `row` counts from the last look."""
        values = self._values
        best = values + self._stay
        came = self._places.copy()
        self._inside(values, best, came)
        score, origin = self._boundaries(values)
        for targets, entered in (
            (self._pauses, score + self._pause),
            (self._others, score + self._other),
            (self._starts, score[: len(self._starts)]),
        ):
            better = entered > best[targets]
            chosen = targets[better]
            best[chosen] = entered[better]
            came[chosen] = origin[: len(targets)][better]
        self._starting = False
        best += self._scores[row]
        self._back.append((self._lowest, (self._places - came).astype(np.int16)))
        self._values = np.maximum(best, NEVER)

    def _inside(self, values: FloatArray, best: FloatArray, came: IntArray) -> None:
        for distance, cost in ((1, self._advance), (2, self._jump)):
            entered = values[:-distance] + cost
            better = entered > best[distance:]
            np.copyto(best[distance:], entered, where=better)
            np.copyto(came[distance:], self._places[:-distance], where=better)

    def _boundaries(self, values: FloatArray) -> tuple[FloatArray, IntArray]:
        """Return score and origin of every boundary in sight: the end of the word before, its own states, or words left out before."""
        pause, other = values[self._pauses], values[self._others]
        score = np.maximum(pause, other)
        origin = np.where(pause >= other, self._pauses, self._others).astype(np.int32)
        if self._starting and self._first == 0:
            score[0] = 0.0
        for ends, leave in ((self._ends, self._leave), (self._ends_early, self._leave_early)):
            left = values[ends] + leave
            better = left > score[1:]
            np.copyto(score[1:], left, where=better)
            np.copyto(origin[1:], ends, where=better, casting="unsafe")
        gained = score - self._omit
        ahead = np.maximum.accumulate(gained)
        whence = np.maximum.accumulate(np.where(gained >= ahead, self._numbers, 0))
        return ahead + self._omit, origin[whence]

    def decide(self, lag: int) -> None:
        """Fix the path up to `lag` rows ago, and give up every state whose path was another one."""
        alive = np.flatnonzero(self._values > -BEAM + self._values.max())
        then = self._trace((alive + self._lowest).astype(np.int32), lag)
        chosen = then[int(self._values[alive].argmax())]
        kept = alive[then == chosen]
        values = np.full_like(self._values, NEVER)
        values[kept] = self._values[kept]
        self._values = values
        self._keep(int(chosen), len(self._back) - lag)

    def _trace(self, states: IntArray, rows: int) -> IntArray:
        """Return where the paths that end in `states` were `rows` rows ago."""
        for lowest, back in reversed(self._back[len(self._back) - rows :]):
            states = states - back[states - lowest]
        return states

    def _keep(self, state: int, rows: int) -> None:
        """Write down the path that ends in `state` at row `rows` of the undecided ones, and forget those rows."""
        path = np.empty(rows, np.int32)
        for row in range(rows - 1, -1, -1):
            path[row] = state
            lowest, back = self._back[row]
            state -= int(back[state - lowest])
        self._decided.append(path)
        del self._back[:rows]

    def finish(self) -> Path:
        """Decide the rest: the script ends with the recording, or the recording within the script, which is less likely."""
        ending = np.full(len(self._values), _ENDING, np.float32)
        if self._last == self._chain.words + 1:
            ending[-3:] = 0.0  # the last sound of the last word, and the two states after it
        values = self._values + ending
        last = int(values.argmax())
        self._keep(last + self._lowest, len(self._back))
        return Path(states=np.concatenate(self._decided), score=float(values[last]) + self._offset)
