"""The presenter's mouth: how it rests, how far it goes, how the lower face follows, and the shape a motion asks of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry import mouth_prior
from heygem_daemon.lipsync.geometry.articulation import PURSED_WIDTH, TEETH_OPENING, Gesture, lip_shift
from heygem_daemon.lipsync.geometry.landmarks import (
    INNER_LOWER,
    INNER_MIDDLE,
    INNER_UPPER,
    LIP_AREA,
    LIPS,
    OUTER_CORNERS,
    lower_face_weight,
)

_REST_SHARE: Final = 12
"""Percentage of the frames, the most closed ones, whose mean is the mouth at rest."""
_OPEN_PERCENTILE: Final = 95
_RIDGE: Final = 1e-4
"""Weight of the general prior, in squared IOD: it equals a presenter whose opening varies by .01 IOD."""
_KNEE: Final = 0.9
_CEILING: Final = 1.25
_OWN_STRETCH: Final = 1.3
_LIP_REACH: Final = 0.06
"""How far an asked lip displacement is felt by the points around it, in IOD."""
_AS_GOOD_AS_SHUT: Final = 0.1
_NO_GESTURE: Final = Gesture()


@dataclass(frozen=True, kw_only=True, eq=False)
class MouthModel:
    """What is known about one presenter's mouth, in canonical space.

    rest:        [468, 3], lips closed
    weight:      [468], how far speech moves each landmark
    open_basis:  [468, 3], displacement per unit of lip opening; it opens the inner lips by exactly that unit
    width_basis: [468, 3], displacement per unit of mouth width; it leaves the opening as it is
    openings:    lip opening at rest and at the widest of normal speech, in IOD
    widths:      mouth width rounded, at rest and spread, in IOD
    is_talking:  whether the clip itself shows an open mouth
    """

    rest: Float64
    weight: Float64
    open_basis: Float64
    width_basis: Float64
    openings: tuple[float, float]
    widths: tuple[float, float, float]
    is_talking: bool

    def target(self, opening: float, width: float, lips: npt.NDArray[np.floating] | None = None, gesture: Gesture = _NO_GESTURE) -> Float64:
        """Return the canonical face [468, 3] that is asked for: rest plus what opening and width (fractions of the person's
        range) and the gesture, or the explicit displacement `lips` [40, 3], do to the lower face."""
        if lips is not None:
            return self._target_of_lips(np.asarray(lips, np.float64))
        aperture = self._aperture(opening, gesture)
        spread = float(np.interp(width - gesture.pursed * PURSED_WIDTH, (0, 0.5, 1), self.widths)) - self.widths[1]
        moved = aperture * self.open_basis + spread * self.width_basis
        if gesture.teeth or gesture.pursed:
            moved = moved + self._reach @ lip_shift(self.rest, gesture)
        return parted(self.rest + self.weight[:, None] * moved)

    def _aperture(self, opening: float, gesture: Gesture) -> float:
        """Return by how much the lips part, in IOD: little at the teeth, nothing where they press."""
        shut, wide = self.openings
        asked = compressed(opening)
        asked += gesture.teeth * (min(asked, TEETH_OPENING) - asked)
        pressed = gesture.pressed * max(0.0, 1 - asked / _AS_GOOD_AS_SHUT)
        return (wide - shut) * asked - pressed * max(0.0, shut)

    def _target_of_lips(self, lips: Float64) -> Float64:
        rows = {landmark: row for row, landmark in enumerate(LIPS)}
        top, bottom = (rows[i] for i in INNER_MIDDLE)
        left, right = (rows[i] for i in OUTER_CORNERS)
        span = self.openings[1] - self.openings[0]
        aperture = lips[bottom, 1] - lips[top, 1]
        kept = compressed(aperture / span) * span / aperture if aperture > _KNEE * span else 1.0
        lips = lips * (1.0, kept, 1.0)
        spread = lips[right, 0] - lips[left, 0]
        general = aperture * kept * self.open_basis + spread * self.width_basis
        moved = general + self._reach @ (lips - general[list(LIPS)])
        return parted(self.rest + self.weight[:, None] * moved)

    @cached_property
    def _reach(self) -> Float64:
        """Return [468, 40]: how much each landmark takes of the displacement of each lip landmark beyond the general motion."""
        lips = self.rest[list(LIPS), :2]
        distance = np.linalg.norm(self.rest[:, None, :2] - lips[None], axis=2)
        near = np.exp(-((distance / _LIP_REACH) ** 2)) + 1e-12
        share = near / near.sum(1, keepdims=True)
        felt = np.exp(-((distance.min(1) / (2 * _LIP_REACH)) ** 2))
        felt[list(LIP_AREA)] = 1.0
        share *= felt[:, None]
        share[list(LIPS)] = np.eye(len(LIPS))
        return np.asarray(share)


def compressed(amount: float) -> float:
    """Return `amount` as it is up to .9 and bent softly below 1.25: what exceeds a presenter's own range breaks teeth."""
    if amount <= _KNEE:
        return amount
    room = _CEILING - _KNEE
    return float(_KNEE + room * np.tanh((amount - _KNEE) / room))


def opening_of(faces: Float64) -> Float64:
    """Return the lip opening of canonical faces [..., 468, 3], in IOD: inner lips, vertically."""
    return np.asarray(faces[..., INNER_MIDDLE[1], 1] - faces[..., INNER_MIDDLE[0], 1])


def width_of(faces: Float64) -> Float64:
    """Return the mouth width of canonical faces [..., 468, 3], in IOD."""
    return np.asarray(np.linalg.norm(faces[..., OUTER_CORNERS[1], :] - faces[..., OUTER_CORNERS[0], :], axis=-1))


def parted(face: Float64) -> Float64:
    """Return the face with inner lips that never cross: where the lower one is above the upper, both meet half way."""
    upper, lower = list(INNER_UPPER[1:-1]), list(INNER_LOWER[1:-1])
    overlap = np.maximum(0, face[upper, 1] - face[lower, 1]) / 2
    result = face.copy()
    result[upper, 1] -= overlap
    result[lower, 1] += overlap
    return result


def learn_mouth(faces: Float64, reference: Float64) -> MouthModel:
    """Learn from canonical faces [n, 468, 3] of one person (n may be 1) whose mean face is `reference`."""
    weight = lower_face_weight(reference)
    opening, width = opening_of(faces), width_of(faces)
    calm = opening <= np.percentile(opening, _REST_SHARE)
    rest = mouth_prior.closed(faces[calm].mean(0), weight)
    aperture, spread = opening - opening_of(rest), width - width_of(rest)
    open_basis, width_basis = _regressed(np.stack([aperture, spread], 1), faces - rest, reference)
    open_basis = open_basis / opening_of(open_basis)
    width_basis = width_basis - opening_of(width_basis) * open_basis
    own = float(np.percentile(opening, _OPEN_PERCENTILE))
    is_talking = own - float(opening[calm].mean()) > mouth_prior.LEAST_OPENING / 3
    least = min(mouth_prior.LEAST_OPENING, _OWN_STRETCH * float(np.percentile(opening, 98)))
    widest = max(own, least if is_talking else mouth_prior.TYPICAL_OPENING)
    at_rest, step = float(width_of(rest)), mouth_prior.LEAST_WIDTH_RANGE
    low, high = (float(np.percentile(width, p)) for p in (5, 95))
    return MouthModel(
        rest=rest,
        weight=weight,
        open_basis=open_basis,
        width_basis=width_basis,
        openings=(float(opening_of(rest)), widest),
        widths=(min(low, at_rest - step), at_rest, max(high, at_rest + step)),
        is_talking=is_talking,
    )


def _regressed(features: Float64, moved: Float64, reference: Float64) -> tuple[Float64, Float64]:
    """Ridge regression of the displacements [n, 468, 3] on [n, 2] (opening, width), drawn towards the general mouth_prior."""
    prior = np.stack([mouth_prior.opening_motion(reference), mouth_prior.width_motion(reference)]).reshape(2, -1)
    rest = moved.reshape(len(moved), -1) - features @ prior
    normal = features.T @ features + _RIDGE * len(features) * np.eye(2)
    basis = (prior + np.linalg.solve(normal, features.T @ rest)).reshape(2, -1, 3)
    return basis[0], basis[1]
