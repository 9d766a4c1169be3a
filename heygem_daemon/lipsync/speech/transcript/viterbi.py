"""Find the best path through a decoding graph: a beam Viterbi search whose memory does not grow with the length of the recording.

Only the states around the best ones are active (the beam), and the path is fixed up to LAG rows ago: an hour of speech and its transcript
have 180,000 rows and 60,000 states, of which a few hundred are active at a time.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Int32
from heygem_daemon.lipsync.speech.transcript.graph import NEVER, DecodingGraph

BEAM: Final = 120.0
"""Natural logarithm of odds by which a path may be worse than the best: 60 rows (1.2 s) of speech outside the transcript cost as much."""
WIDEST: Final = 4000
"""Most active states: some four minutes of a transcript."""
LAG: Final = 6000
"""Rows after which the path is fixed: two minutes."""
_FIX_EVERY: Final = 3000
"""Rows from one time that the path is fixed to the next: one minute."""
_SELECT_EVERY: Final = 8
"""Rows from one selection of the active states to the next."""
_AHEAD: Final = 12
"""Active words beyond the beam: more than can be entered in _SELECT_EVERY rows without omitting words."""
_ENDING: Final = -8.0
"""Natural logarithm of the odds that a recording ends inside its transcript."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BestPath:
    """states: int32 [n], the state of every row; score: natural logarithm of the whole path."""

    states: Int32
    score: float


_STAYED: Final = 0
_ENTERED: Final = 3
"""Transitions into a state: 0 from itself, 1 from the state before, 2 from the last but one, 3 from a boundary."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _ActiveStates:
    """The active states of some rows: number of the first, and int32 [states] the boundary from which each can be entered."""

    lowest: int
    boundary: Int32


@dataclass(frozen=True, kw_only=True, eq=False)
class _Backpointers:
    """Where the paths of one row came from: int8 [states] the transition, int32 [boundaries] the active state before each boundary."""

    active: _ActiveStates
    transition: npt.NDArray[np.int8]
    origin: Int32

    def before(self, states: Int32) -> Int32:
        """Return in which states (by number) the paths that are in `states` were a row earlier."""
        places = states - self.active.lowest
        transition = self.transition[places]
        origin = np.where(transition == _ENTERED, self.origin[self.active.boundary[places]], places - transition)
        return np.asarray(origin + self.active.lowest, np.int32)


def best_path(scores: Float32, graph: DecodingGraph) -> BestPath:
    """Return the best path.

    scores: float32 [n, 17], n >= 1: natural logarithms for the visemes and for speech outside the transcript, ideally 0 for the best.
    """
    search = _Search(graph)
    for row in range(len(scores)):
        if row % _SELECT_EVERY == 0:
            search.select(scores[row : row + _SELECT_EVERY])
        search.step(row % _SELECT_EVERY)
        if search.open_rows >= LAG + _FIX_EVERY:
            search.fix(LAG)
    return search.finish()


class _Search:
    """The active states are those of the words [first, last) and the boundaries before them; `_lowest` is the number of the first state."""

    def __init__(self, graph: DecodingGraph) -> None:
        self._graph = graph
        self._first, self._last = 0, 0
        self._lowest = 0
        self._values = np.empty(0, np.float32)
        self._offset = 0.0
        self._open: list[_Backpointers] = []
        self._fixed: list[Int32] = []
        self._starting = True

    @property
    def open_rows(self) -> int:
        """Rows whose states are not fixed yet."""
        return len(self._open)

    def select(self, scores: Float32) -> None:
        """Choose the active states of the next rows, and copy their scores."""
        graph, boundaries = self._graph, self._graph.words + 1
        if len(self._values):
            highest = self._values.max()
            self._offset += float(highest)
            self._values -= highest
            base = graph.base[self._first : self._last]
            best = np.maximum.reduceat(self._values, base - self._lowest)
            good = np.flatnonzero(best > -BEAM)
            first, last = self._first + int(good[0]), min(self._first + int(good[-1]) + 1 + _AHEAD, boundaries)
            first, last = self._narrow(first, last, self._first + int(best.argmax()))
        else:
            first, last = 0, min(_AHEAD, boundaries)
        lowest, highest = int(graph.base[first]), int(graph.base[last])
        values = np.full(highest - lowest, NEVER, np.float32)
        kept_from, kept_to = max(lowest, self._lowest), min(highest, self._lowest + len(self._values))
        if kept_to > kept_from:
            values[kept_from - lowest : kept_to - lowest] = self._values[kept_from - self._lowest : kept_to - self._lowest]
        self._values, self._first, self._last, self._lowest = values, first, last, lowest
        self._prepare(lowest, highest)
        self._scores = scores[:, graph.column[lowest:highest]]

    def _narrow(self, first: int, last: int, best: int) -> tuple[int, int]:
        """Return the words around `best` that have WIDEST states at most."""
        base = self._graph.base
        while base[last] - base[first] > WIDEST and last - first > 2 * _AHEAD:
            if best - first > last - best:
                first += 1
            else:
                last -= 1
        return first, last

    def _prepare(self, lowest: int, highest: int) -> None:
        """Copy the costs of the active states from the graph, once for several rows."""
        graph, first, last = self._graph, self._first, self._last
        states, count = highest - lowest, last - first
        self._stay = graph.stay[lowest:highest]
        self._advance = graph.advance[lowest:highest][1:]
        self._jump = graph.jump[lowest:highest][2:]
        pauses = graph.base[first:last] - lowest
        ends = np.maximum(pauses - 1, 0)
        # A word of one phone has no last state but one: the state at that place has NEVER in leave_early.
        self._exits = np.stack([pauses, pauses + 1, ends, np.maximum(ends - 1, 0)]).astype(np.int32)
        self._exit_costs = np.zeros((4, count), np.float32)
        self._exit_costs[2:, 0] = NEVER  # the word before the first boundary is not active
        self._exit_costs[2, 1:], self._exit_costs[3, 1:] = graph.leave[first : last - 1], graph.leave_early[first : last - 1]
        spoken = min(last, graph.words) - first  # the last boundary has no word after it
        numbers = np.arange(count)
        self._entered = np.concatenate([pauses, pauses + 1, pauses[:spoken] + 2])
        self._from = np.concatenate([numbers, numbers, numbers[:spoken]])
        self._entry_costs = np.concatenate([graph.pause[first:last], graph.other[first:last], np.zeros(spoken, np.float32)])
        self._omit = (graph.omit[first:last] - graph.omit[first]).astype(np.float32)
        self._numbers = numbers
        self._transitions = np.full((4, states), NEVER, np.float32)
        self._active = _ActiveStates(lowest=lowest, boundary=np.zeros(states, np.int32))
        self._active.boundary[self._entered] = self._from

    def step(self, row: int) -> None:
        """Take one more row; `row` counts from the last selection."""
        values, transitions = self._values, self._transitions
        score, origin = self._boundaries(values)
        np.add(values, self._stay, out=transitions[_STAYED])
        np.add(values[:-1], self._advance, out=transitions[1, 1:])
        np.add(values[:-2], self._jump, out=transitions[2, 2:])
        transitions[_ENTERED, self._entered] = score[self._from] + self._entry_costs
        best = transitions.argmax(0)
        self._open.append(_Backpointers(active=self._active, transition=best.astype(np.int8), origin=origin))
        values = transitions.max(0) + self._scores[row]
        self._values = np.maximum(values, NEVER, out=values)
        self._starting = False

    def _boundaries(self, values: Float32) -> tuple[Float32, Int32]:
        """Return score and origin of every active boundary: the end of the word before, its own states, or omitted words before."""
        exits = values[self._exits] + self._exit_costs
        chosen = exits.argmax(0)
        score = exits[chosen, self._numbers]
        if self._starting:
            score[0] = 0.0
        gained = score - self._omit
        ahead = np.maximum.accumulate(gained)
        source = np.maximum.accumulate(np.where(gained >= ahead, self._numbers, 0))
        return ahead + self._omit, self._exits[chosen, self._numbers][source]

    def fix(self, lag: int) -> None:
        """Fix the path up to `lag` rows ago, and drop every state whose path was another one."""
        alive = np.flatnonzero(self._values > -BEAM + self._values.max())
        then = self._trace((alive + self._lowest).astype(np.int32), lag)
        chosen = then[int(self._values[alive].argmax())]
        kept = alive[then == chosen]
        values = np.full_like(self._values, NEVER)
        values[kept] = self._values[kept]
        self._values = values
        self._append(int(chosen), len(self._open) - lag)

    def _trace(self, states: Int32, rows: int) -> Int32:
        """Return where the paths that end in `states` were `rows` rows ago."""
        for back in reversed(self._open[len(self._open) - rows :]):
            states = back.before(states)
        return states

    def _append(self, state: int, rows: int) -> None:
        """Append the path that ends in `state` at row `rows` of the open ones to the fixed path."""
        path = np.empty(rows, np.int32)
        place = np.array([state], np.int32)
        for row in range(rows - 1, -1, -1):
            path[row] = place[0]
            place = self._open[row].before(place)
        self._fixed.append(path)
        del self._open[:rows]

    def finish(self) -> BestPath:
        """Fix the rest: the transcript ends with the recording, or the recording inside the transcript, which is less likely."""
        ending = np.full(len(self._values), _ENDING, np.float32)
        if self._last == self._graph.words + 1:
            ending[-3:] = 0.0  # the last phone of the last word, and the two states after it
        values = self._values + ending
        last = int(values.argmax())
        self._append(last + self._lowest, len(self._open))
        return BestPath(states=np.concatenate(self._fixed), score=float(values[last]) + self._offset)
