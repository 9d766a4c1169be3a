"""Stream frames through the renderer: they wait until the path through the atlas is decided, and come out with what to draw on them."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.calibration import OpeningCorrection
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec
from heygem_daemon.lipsync.atlas.drawers import DrawTask
from heygem_daemon.lipsync.atlas.retrieval import LAG, CandidateIndex, FixedLagViterbi, InteriorIndex
from heygem_daemon.lipsync.geometry.mouth_metrics import measured_opening
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.imaging.visibility import FADE, Visibility, faded_view
from heygem_daemon.lipsync.ports import MouthView
from heygem_daemon.media.frame import Frame

LOOK_AHEAD: Final = max(LAG + 1, FADE - 1)
"""Frames that are held back at most."""
_CROSS_FADE: Final = (0.67, 0.33)
"""Weights of the two runs on either side of a jump: the frame's own, and the other one."""
_SHOWS_TEETH: Final = 0.03
_SURELY_OPEN: Final = 0.05
"""Drawn opening, and that of the other source mouth, in IOD, from which nothing is cross-faded: teeth of two frames through each other, or
between shut lips, are seen sooner than a jump. The face mesh sees up to the second in closed full lips."""
_INTERIOR_RATIO: Final = 0.6
"""Opening of the source mouth over that of the drawn one: below this the interior of another frame is shown, above it the source's own,
as it is: nothing fits better to its lips."""
_INTERIOR_OPENING: Final = (0.008, 0.025)
_INTERIOR_OFFSET: Final = 0.006
"""Drawn openings, in IOD, between which another interior is drawn at all; and what is added to both openings before they are compared."""
_INTERIOR_SMOOTHING: Final = ((-2, 0.15), (-1, 0.25), (0, 0.35), (1, 0.25))
"""Frames around the drawn one, and their votes whether another interior is shown: two are not mixed but while the lips part."""


@dataclass(kw_only=True, eq=False)
class _Mouth:
    """What the neighbours of a frame need to know of it.

    view: how much may be drawn on this frame by itself; row: its atlas frame, once decided; is_missing: whether that
    lacks an interior; interior: the number of the one to show instead, where it does
    """

    view: MouthView
    row: int | None = None
    is_missing: bool = False
    interior: int | None = None


@dataclass(kw_only=True, eq=False)
class _Pending(_Mouth):
    """A frame that waits for its atlas rows. target: the canonical face to show, with `shape` drawn."""

    frame: Frame
    face: Face | None
    target: Float64
    shape: Float64


class RenderStream:
    """Takes frames and gives them back with what to draw on them, in order, at most LOOK_AHEAD frames late.

    shown_opening: returns how far the mouth of an atlas row measures open, in IOD.
    """

    def __init__(
        self,
        candidates: CandidateIndex,
        interiors: InteriorIndex,
        shown_opening: Callable[[int], float],
        correction: OpeningCorrection,
        visibility: Visibility,
    ) -> None:
        self._shown_opening, self._correction = shown_opening, correction
        self._candidates, self._interiors, self._visibility = candidates, interiors, visibility
        self._path = FixedLagViterbi(candidates.join_costs)
        self._interior: int | None = None
        self._waiting: deque[_Pending] = deque()
        self._past: deque[_Mouth] = deque(maxlen=FADE)
        self._undecided: deque[_Pending] = deque()

    def push(self, frame: Frame, face: Face | None, target: Float64) -> Iterator[DrawTask]:
        """Take the next frame, with its face (None where it has none) and the canonical face to show."""
        shape = target if face is None else self._correction(target, float(opening_of(face.canonical)))
        pending = _Pending(frame=frame, face=face, target=target, shape=shape, view=self._visibility(frame, face))
        self._waiting.append(pending)
        if pending.view.weight > 0 and face is not None:
            self._undecided.append(pending)
            self._decide(self._path.push(self._candidates.target_costs(target, face.angles)))
        else:
            self._decide(self._path.flush())
        while len(self._waiting) > LOOK_AHEAD:
            yield self._emit()

    def flush(self) -> Iterator[DrawTask]:
        """Yield all frames still held back and forget the past: at a scene cut, or at the end."""
        self._decide(self._path.flush())
        while self._waiting:
            yield self._emit()
        self._past.clear()
        self._interior = None

    def _decide(self, rows: list[int]) -> None:
        for row in rows:
            pending = self._undecided.popleft()
            pending.row = row
            pending.is_missing = self._candidates.opening(row) + _INTERIOR_OFFSET < _INTERIOR_RATIO * (
                _drawn_opening(pending) + _INTERIOR_OFFSET
            )
            self._interior = pending.interior = self._interior_of(pending) if pending.is_missing else None

    def _interior_of(self, pending: _Pending) -> int | None:
        """Return the interior to show on a frame: one that also fits the widest opening of the frames just ahead."""
        assert pending.face is not None  # noqa: S101  # a row is decided only for a frame with a face
        widest = max((pending, *self._undecided), key=_drawn_opening)
        return self._interiors.choose(widest.shape, pending.face.angles, after=self._interior)

    def _emit(self) -> DrawTask:
        view = self._faded_view()
        strength, pending = view.weight, self._waiting.popleft()
        task = DrawTask(frame=pending.frame, not_driven=view.not_driven)
        if strength > 0 and pending.face is not None and pending.row is not None:
            rows = self._atlas_rows(pending)
            own = pending.face.canonical
            shape = self._correction.sealed(pending.shape, self._shown_opening(pending.row))
            task = DrawTask(
                frame=pending.frame,
                face=pending.face,
                spec=DrawSpec(
                    target=shape,
                    rows=rows,
                    interior=self._interior_weight(pending),
                    strength=strength,
                    interior_row=self._interior_row(pending),
                ),
                target_opening=measured_opening(own + strength * (pending.target - own)),
                not_driven=view.not_driven,
            )
        self._past.append(_Mouth(view=pending.view, row=pending.row, is_missing=pending.is_missing, interior=pending.interior))
        return task

    def _faded_view(self) -> MouthView:
        """Return how much is drawn on the oldest waiting frame."""
        return faded_view((pending.view for pending in reversed(self._past)), (pending.view for pending in self._waiting))

    def _atlas_rows(self, pending: _Pending) -> tuple[tuple[int, float], ...]:
        """Return the atlas rows of a frame; on either side of a jump between shut mouths both runs are cross-faded."""
        row = pending.row
        assert row is not None  # noqa: S101  # a frame is drawn only once its row is decided
        other = self._row_across_jump(row)
        if other is None or _drawn_opening(pending) > _SHOWS_TEETH or self._shown_opening(other) > _SURELY_OPEN:
            return ((row, 1.0),)
        return (row, _CROSS_FADE[0]), (other, _CROSS_FADE[1])

    def _row_across_jump(self, row: int) -> int | None:
        """Return the row that the run on the other side of a jump would show on the oldest waiting frame, None where there is no jump."""
        before = self._past[-1].row if self._past else None
        after = self._waiting[0].row if self._waiting else None
        if before is not None and self._candidates.is_jump(before, row):
            return self._candidates.neighbour(before, 1)
        if after is not None and self._candidates.is_jump(row, after):
            return self._candidates.neighbour(after, -1)
        return None

    def _interior_weight(self, pending: _Pending) -> float:
        """Return how much of another interior is shown: where most of the frames around need it, as far as the mouth is open."""
        around = self._around(pending)
        known = [(weight, around[k].is_missing) for k, weight in _INTERIOR_SMOOTHING if k in around and around[k].row is not None]
        is_shown = 2 * sum(weight for weight, is_missing in known if is_missing) > sum(weight for weight, _ in known)
        return smoothstep(_drawn_opening(pending), *_INTERIOR_OPENING) if is_shown else 0.0

    def _interior_row(self, pending: _Pending) -> int | None:
        """Return the atlas row whose interior is shown instead: that of the frame itself, or of the nearest one that needs any."""
        around = self._around(pending)
        near = (around[k].interior for k in (0, -1, 1, -2) if k in around)
        return next((int(self._interiors.rows[number]) for number in near if number is not None), None)

    def _around(self, pending: _Pending) -> dict[int, _Mouth]:
        """Return the mouths around a frame by their distance from it, in frames."""
        around: dict[int, _Mouth] = {-k: other for k, other in enumerate(reversed(self._past), start=1)} | {0: pending}
        return around | dict(enumerate(self._waiting, start=1))


def _drawn_opening(pending: _Pending) -> float:
    return max(0.0, float(opening_of(pending.shape)))
