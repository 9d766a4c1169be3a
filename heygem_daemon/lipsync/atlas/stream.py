"""One run of the renderer: frames come in, wait until the path through the atlas is decided, and go out drawn."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.calibration import Correction
from heygem_daemon.lipsync.atlas.compositor import Drawing, Painter
from heygem_daemon.lipsync.atlas.retrieval import LAG, Catalogue, FixedLagPath
from heygem_daemon.lipsync.geometry.landmarks import EYE_CORNERS, INNER_MIDDLE
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.imaging.visibility import FADE, Visibility, ramped, smoothstep
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.media.frame import Frame

LOOK_AHEAD: Final = max(LAG + 1, FADE - 1)
"""Frames that are held back at most."""
_CROSS_FADE: Final = (0.67, 0.33)
_INTERIOR_RATIO: Final = (0.55, 0.90)
"""A lent mouth that is open by less than this share of the one drawn keeps its teeth where they are in the skull."""
_INTERIOR_OPENING: Final = (0.008, 0.025)
_INTERIOR_OFFSET: Final = 0.006
_INTERIOR_SMOOTHING: Final = ((-2, 0.15), (-1, 0.25), (0, 0.35), (1, 0.25))


@dataclass(kw_only=True, eq=False)
class _Pending:
    """A frame on its way.

    target: the canonical face asked for; shape: the one to draw so that the picture shows it; raw: how much may be drawn on this
    frame by itself, 0-1; row: its atlas frame, once decided
    """

    frame: Frame
    face: Face | None
    target: Float64
    shape: Float64
    raw: float
    row: int | None = None


class Session:
    """Frames in, drawn frames out, in order, at most LOOK_AHEAD frames late."""

    def __init__(self, catalogue: Catalogue, painter: Painter, correction: Correction, visibility: Visibility) -> None:
        self._shown = painter.presenter.shown_opening
        self._correction = correction
        self._catalogue, self._painter, self._visibility = catalogue, painter, visibility
        self._path = FixedLagPath(catalogue.transition)
        self._waiting: deque[_Pending] = deque()
        self._past: deque[_Pending] = deque(maxlen=FADE)
        self._undecided: deque[_Pending] = deque()

    def push(self, frame: Frame, face: Face | None, target: Float64) -> Iterator[RenderedFrame]:
        """Take the next frame, with its face (None where it has none) and the canonical face asked for."""
        shape = target if face is None else self._correction(target, float(opening_of(face.canonical)))
        pending = _Pending(frame=frame, face=face, target=target, shape=shape, raw=self._visibility(frame, face))
        self._waiting.append(pending)
        if pending.raw > 0 and face is not None:
            self._undecided.append(pending)
            self._decide(self._path.push(self._catalogue.costs(target, face.angles)))
        else:
            self._decide(self._path.flush())
        while len(self._waiting) > LOOK_AHEAD:
            yield self._emit()

    def cut(self) -> Iterator[RenderedFrame]:
        """Give out all frames still held back and forget the past: a scene cut, or the end."""
        self._decide(self._path.flush())
        while self._waiting:
            yield self._emit()
        self._past.clear()

    def _decide(self, rows: list[int]) -> None:
        for row in rows:
            self._undecided.popleft().row = row

    def _emit(self) -> RenderedFrame:
        strength = self._strength()
        pending = self._waiting.popleft()
        drawn, asked = pending.frame, float("nan")
        if strength > 0 and pending.face is not None and pending.row is not None:
            rows = self._rows(pending)
            drawing = Drawing(target=pending.shape, rows=rows, interior=self._interior(pending), strength=strength)
            drawn = self._painter.draw(pending.frame, pending.face, drawing)
            asked = measured_opening(pending.face.canonical + strength * (pending.target - pending.face.canonical))
        self._past.append(pending)
        return RenderedFrame(frame=drawn, asked_opening=asked)

    def _strength(self) -> float:
        """Return how much is drawn on the oldest waiting frame."""
        return ramped((pending.raw for pending in reversed(self._past)), (pending.raw for pending in self._waiting))

    def _rows(self, pending: _Pending) -> tuple[tuple[int, float], ...]:
        """Return the atlas rows of a frame; on either side of a jump both runs are cross-faded."""
        row = pending.row
        assert row is not None  # noqa: S101  # a frame is drawn only once its row is decided
        before = self._past[-1].row if self._past else None
        after = self._waiting[0].row if self._waiting else None
        if before is not None and self._catalogue.is_jump(before, row):
            return (row, _CROSS_FADE[0]), (self._catalogue.neighbour(before, 1), _CROSS_FADE[1])
        if after is not None and self._catalogue.is_jump(row, after):
            return (row, _CROSS_FADE[0]), (self._catalogue.neighbour(after, -1), _CROSS_FADE[1])
        return ((row, 1.0),)

    def _interior(self, pending: _Pending) -> float:
        """Return how much of the inside is painted, smoothed over the frames around."""
        around = {-k: other for k, other in enumerate(reversed(self._past), start=1)} | {0: pending}
        around |= dict(enumerate(self._waiting, start=1))
        known = [(weight, around[k]) for k, weight in _INTERIOR_SMOOTHING if k in around and around[k].row is not None]
        return sum(weight * self._interior_of(other) for weight, other in known) / sum(weight for weight, _ in known)

    def _interior_of(self, pending: _Pending) -> float:
        """Return 1 where the lent mouth is far less open than asked, 0 where it is open enough."""
        assert pending.row is not None  # noqa: S101
        asked = max(0.0, float(opening_of(pending.shape)))
        ratio = (self._shown(pending.row) + _INTERIOR_OFFSET) / (asked + _INTERIOR_OFFSET)
        return float((1 - smoothstep(ratio, *_INTERIOR_RATIO)) * smoothstep(asked, *_INTERIOR_OPENING))


def measured_opening(face: Float64) -> float:
    """Return the opening of a face [468, 3] as the tracker measures it: inner lips over outer eye corners, in 3D."""
    upper, lower, left, right = face[[*INNER_MIDDLE, *EYE_CORNERS]]
    return float(np.linalg.norm(lower - upper) / np.linalg.norm(right - left))
