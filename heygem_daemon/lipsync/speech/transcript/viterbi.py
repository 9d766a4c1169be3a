"""The best path of a chain through the scores of a recording: a Viterbi search whose memory does not grow with its length.

Only the states around the best ones are looked at (a beam), and what lies LAG rows back is decided and forgotten: an hour of speech
and the script of an hour have 180,000 rows and 60,000 states, of which a few hundred are in sight at a time.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Int32
from heygem_daemon.lipsync.speech.transcript.graph import NEVER, Chain

BEAM: Final = 120.0
"""Natural logarithm of odds: what is this much worse than the best is given up. 60 rows (1.2 s) of unscripted speech cost as much."""
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

    states: Int32
    score: float


_STAYED: Final = 0
_ENTERED: Final = 3
"""Ways into a state: it stayed, from the state before, from the last but one, from a boundary."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sight:
    """The states in sight for some rows: the first one's number, and int32 [states] the boundary from which each can be entered."""

    lowest: int
    boundary: Int32


@dataclass(frozen=True, kw_only=True, eq=False)
class _Back:
    """Where the paths of one row came from: int8 [states] the way, int32 [boundaries] the state (a place in sight) of each boundary."""

    sight: _Sight
    way: npt.NDArray[np.int8]
    origin: Int32

    def before(self, states: Int32) -> Int32:
        """Return in which states (by number) the paths that are in `states` were a row earlier."""
        places = states - self.sight.lowest
        way = self.way[places]
        came = np.where(way == _ENTERED, self.origin[self.sight.boundary[places]], places - way)
        return np.asarray(came + self.sight.lowest, np.int32)


def best_path(scores: Float32, chain: Chain) -> Path:
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
        self._back: list[_Back] = []
        self._decided: list[Int32] = []
        self._starting = True

    @property
    def undecided(self) -> int:
        return len(self._back)

    def look(self, scores: Float32) -> None:
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
        states, count = highest - lowest, last - first
        self._stay = chain.stay[lowest:highest]
        self._advance = chain.advance[lowest:highest][1:]
        self._jump = chain.jump[lowest:highest][2:]
        pauses = chain.base[first:last] - lowest
        ends = np.maximum(pauses - 1, 0)
        # A word of one sound has no last state but one: what stands there has NEVER in leave_early.
        self._exits = np.stack([pauses, pauses + 1, ends, np.maximum(ends - 1, 0)]).astype(np.int32)
        self._exit_costs = np.zeros((4, count), np.float32)
        self._exit_costs[2:, 0] = NEVER  # the word before the first boundary is out of sight
        self._exit_costs[2, 1:], self._exit_costs[3, 1:] = chain.leave[first : last - 1], chain.leave_early[first : last - 1]
        spoken = min(last, chain.words) - first  # the last boundary has no word after it
        numbers = np.arange(count)
        self._entered = np.concatenate([pauses, pauses + 1, pauses[:spoken] + 2])
        self._from = np.concatenate([numbers, numbers, numbers[:spoken]])
        self._entry_costs = np.concatenate([chain.pause[first:last], chain.other[first:last], np.zeros(spoken, np.float32)])
        self._omit = (chain.omit[first:last] - chain.omit[first]).astype(np.float32)
        self._numbers = numbers
        self._ways = np.full((4, states), NEVER, np.float32)
        self._sight = _Sight(lowest=lowest, boundary=np.zeros(states, np.int32))
        self._sight.boundary[self._entered] = self._from

    def step(self, row: int) -> None:
        """Take one more row; `row` counts from the last look."""
        values, ways = self._values, self._ways
        score, origin = self._boundaries(values)
        np.add(values, self._stay, out=ways[_STAYED])
        np.add(values[:-1], self._advance, out=ways[1, 1:])
        np.add(values[:-2], self._jump, out=ways[2, 2:])
        ways[_ENTERED, self._entered] = score[self._from] + self._entry_costs
        way = ways.argmax(0)
        self._back.append(_Back(sight=self._sight, way=way.astype(np.int8), origin=origin))
        values = ways.max(0) + self._scores[row]
        self._values = np.maximum(values, NEVER, out=values)
        self._starting = False

    def _boundaries(self, values: Float32) -> tuple[Float32, Int32]:
        """Return score and origin of every boundary in sight: the end of the word before, its own states, or words left out before."""
        exits = values[self._exits] + self._exit_costs
        chosen = exits.argmax(0)
        score = exits[chosen, self._numbers]
        if self._starting:
            score[0] = 0.0
        gained = score - self._omit
        ahead = np.maximum.accumulate(gained)
        whence = np.maximum.accumulate(np.where(gained >= ahead, self._numbers, 0))
        return ahead + self._omit, self._exits[chosen, self._numbers][whence]

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

    def _trace(self, states: Int32, rows: int) -> Int32:
        """Return where the paths that end in `states` were `rows` rows ago."""
        for back in reversed(self._back[len(self._back) - rows :]):
            states = back.before(states)
        return states

    def _keep(self, state: int, rows: int) -> None:
        """Write down the path that ends in `state` at row `rows` of the undecided ones, and forget those rows."""
        path = np.empty(rows, np.int32)
        place = np.array([state], np.int32)
        for row in range(rows - 1, -1, -1):
            path[row] = place[0]
            place = self._back[row].before(place)
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
