"""The presenter's mouth: how it rests, how far it opens, how the lower face follows, and the target shape for a motion."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.geometry import mouth_prior
from heygem_daemon.lipsync.geometry.articulation import LABIODENTAL_OPENING, ROUNDED_NARROWING, Articulation, lip_displacement
from heygem_daemon.lipsync.geometry.landmarks import (
    INNER_LOWER,
    INNER_MIDDLE,
    INNER_UPPER,
    LIP_AREA,
    LIPS,
    OUTER_CORNERS,
    lower_face_weight,
)

_REST_PERCENTILE: Final = 12
"""The mean of the frames whose opening is at most this percentile is the mouth at rest."""
_OPEN_PERCENTILE: Final = 95
_WIDTH_PERCENTILES: Final = (5, 95)
_RIDGE: Final = 1e-4
"""Weight of the general prior, in squared IOD: it equals a presenter whose opening varies by .01 IOD."""
_KNEE: Final = 0.9
CEILING: Final = 1.25
"""Openings as a fraction of the person's range: above the knee they are bent softly, and stay below the ceiling."""
_LARGEST_PERCENTILE: Final = 98
_OWN_STRETCH: Final = 1.3
"""Who speaks with a small range is given `mouth_prior.LEAST_OPENING`, but no more than this many times their own largest opening."""
_INFLUENCE_RADIUS: Final = 0.06
"""How far the displacement of a lip landmark reaches to the points around it, in IOD."""
_NEARLY_CLOSED: Final = 0.1
"""Opening, as a fraction of the person's range, from which lips no longer press together."""
_NEUTRAL: Final = Articulation()


@dataclass(frozen=True, kw_only=True, eq=False)
class MouthModel:
    """The shape and the range of one presenter's mouth, in canonical space.

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

    @property
    def widest_opening(self) -> float:
        """The opening, in IOD, that no target exceeds."""
        shut, wide = self.openings
        return shut + CEILING * (wide - shut)

    def target(
        self, opening: float, width: float, lips: npt.NDArray[np.floating] | None = None, articulation: Articulation = _NEUTRAL
    ) -> Float64:
        """Return the target canonical face [468, 3]: rest plus what opening and width (fractions of the person's range) and the
        articulation, or the explicit displacement `lips` [40, 3], do to the lower face."""
        if lips is not None:
            return self._target_of_lips(np.asarray(lips, np.float64))
        aperture = self._aperture(opening, articulation)
        spread = float(np.interp(width - articulation.rounded * ROUNDED_NARROWING, (0, 0.5, 1), self.widths)) - self.widths[1]
        moved = aperture * self.open_basis + spread * self.width_basis
        if articulation.labiodental or articulation.rounded:
            moved = moved + self._lip_influence @ lip_displacement(self.rest, articulation)
        return prevent_crossing(self.rest + self.weight[:, None] * moved)

    def opened_by(self, face: Float64, more: float) -> Float64:
        """Return the canonical face [468, 3] with lips that are `more` IOD further apart; the jaw follows."""
        return np.asarray(face + more * self.weight[:, None] * self.open_basis)

    def _aperture(self, opening: float, articulation: Articulation) -> float:
        """Return by how much the lips part, in IOD: little at the teeth, nothing where they press together."""
        shut, wide = self.openings
        part = soft_clip(opening)
        part += articulation.labiodental * (min(part, LABIODENTAL_OPENING) - part)
        pressed = articulation.bilabial * max(0.0, 1 - part / _NEARLY_CLOSED)
        return (wide - shut) * part - pressed * max(0.0, shut)

    def _target_of_lips(self, lips: Float64) -> Float64:
        """Return the target face for explicit lips [40, 3]; what exceeds the person's range is bent as an opening is.

        Their depth is the presenter's own: what the face mesh sees of it differs between people, by up to an eighth of the opening.
        """
        rows = {landmark: row for row, landmark in enumerate(LIPS)}
        top, bottom = (rows[i] for i in INNER_MIDDLE)
        left, right = (rows[i] for i in OUTER_CORNERS)
        span = self.openings[1] - self.openings[0]
        aperture = lips[bottom, 1] - lips[top, 1]
        kept = soft_clip(aperture / span) * span / aperture if aperture > _KNEE * span else 1.0
        spread = lips[right, 0] - lips[left, 0]
        general = aperture * kept * self.open_basis + spread * self.width_basis
        beyond = (lips * (1.0, kept, 1.0) - general[list(LIPS)]) * (1.0, 1.0, 0.0)
        return prevent_crossing(self.rest + self.weight[:, None] * (general + self._lip_influence @ beyond))

    @cached_property
    def _lip_influence(self) -> Float64:
        """Return [468, 40]: the weight with which each landmark follows each lip landmark beyond the general motion."""
        lips = self.rest[list(LIPS), :2]
        distance = np.linalg.norm(self.rest[:, None, :2] - lips[None], axis=2)
        near = np.exp(-((distance / _INFLUENCE_RADIUS) ** 2)) + 1e-12
        weights = near / near.sum(1, keepdims=True)
        falloff = np.exp(-((distance.min(1) / (2 * _INFLUENCE_RADIUS)) ** 2))
        falloff[list(LIP_AREA)] = 1.0
        weights *= falloff[:, None]
        weights[list(LIPS)] = np.eye(len(LIPS))
        return np.asarray(weights)


def soft_clip(amount: float) -> float:
    """Return `amount` as it is up to .9 and bent softly below 1.25: far beyond the presenter's own range the drawn teeth break."""
    if amount <= _KNEE:
        return amount
    room = CEILING - _KNEE
    return float(_KNEE + room * np.tanh((amount - _KNEE) / room))


def opening_of(faces: Float64) -> Float64:
    """Return the lip opening of canonical faces [..., 468, 3], in IOD: inner lips, vertically."""
    return np.asarray(faces[..., INNER_MIDDLE[1], 1] - faces[..., INNER_MIDDLE[0], 1])


def width_of(faces: Float64) -> Float64:
    """Return the mouth width of canonical faces [..., 468, 3], in IOD."""
    return np.asarray(np.linalg.norm(faces[..., OUTER_CORNERS[1], :] - faces[..., OUTER_CORNERS[0], :], axis=-1))


def prevent_crossing(face: Float64) -> Float64:
    """Return the face with inner lips that do not cross: where the lower one is above the upper, both meet half way."""
    upper, lower = list(INNER_UPPER[1:-1]), list(INNER_LOWER[1:-1])
    overlap = np.maximum(0, face[upper, 1] - face[lower, 1]) / 2
    result = face.copy()
    result[upper, 1] -= overlap
    result[lower, 1] += overlap
    return result


def learn_mouth(faces: Float64, reference: Float64) -> MouthModel:
    """Return the mouth learnt from canonical faces [n, 468, 3] of one person (n may be 1) whose mean face is `reference`."""
    weight = lower_face_weight(reference)
    opening, width = opening_of(faces), width_of(faces)
    calm = opening <= np.percentile(opening, _REST_PERCENTILE)
    rest = mouth_prior.close_lips(faces[calm].mean(0), weight)
    aperture, spread = opening - opening_of(rest), width - width_of(rest)
    open_basis, width_basis = _fit_bases(np.stack([aperture, spread], 1), faces - rest, reference)
    open_basis = open_basis / opening_of(open_basis)
    width_basis = width_basis - opening_of(width_basis) * open_basis
    own = float(np.percentile(opening, _OPEN_PERCENTILE))
    is_talking = own - float(opening[calm].mean()) > mouth_prior.LEAST_OPENING / 3
    least = min(mouth_prior.LEAST_OPENING, _OWN_STRETCH * float(np.percentile(opening, _LARGEST_PERCENTILE)))
    widest = max(own, least if is_talking else mouth_prior.TYPICAL_OPENING)
    at_rest, step = float(width_of(rest)), mouth_prior.LEAST_WIDTH_RANGE
    low, high = (float(np.percentile(width, p)) for p in _WIDTH_PERCENTILES)
    return MouthModel(
        rest=rest,
        weight=weight,
        open_basis=open_basis,
        width_basis=width_basis,
        openings=(float(opening_of(rest)), widest),
        widths=(min(low, at_rest - step), at_rest, max(high, at_rest + step)),
        is_talking=is_talking,
    )


def _fit_bases(features: Float64, moved: Float64, reference: Float64) -> tuple[Float64, Float64]:
    """Return the displacements [468, 3] per unit of opening and of width: a ridge regression of `moved` [n, 468, 3] on `features`
    [n, 2], drawn towards the general prior."""
    prior = np.stack([mouth_prior.opening_motion(reference), mouth_prior.width_motion(reference)]).reshape(2, -1)
    residual = moved.reshape(len(moved), -1) - features @ prior
    normal = features.T @ features + _RIDGE * len(features) * np.eye(2)
    basis = (prior + np.linalg.solve(normal, features.T @ residual)).reshape(2, -1, 3)
    return basis[0], basis[1]
