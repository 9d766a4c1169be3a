"""Recognise a mouth that is covered in most of a clip: what is seen where the lips are tracked does not look like lips.

`occlusion` compares the frames of a clip with each other, so what always lies over the mouth counts as skin there. Here the image is read
along profiles through the mouth, from the skin above the upper lip to the skin below the lower one, and compared with what every mouth
has: a dark line between the lips, or lips redder than the skin around them, the same in all profiles; and colours that lips can have.

All thresholds are measured on 15 clips and portraits of at least nine people, each also mirrored, in black and white, dark, overexposed,
in blue light, blurred, strongly compressed, 64 pixels wide, with lipstick of three colours and with a beard: none of 11,700 windows of
nine frames is beyond any of them. Of the same clips with something drawn over the mouth most frames are recognised in 90 of 90 with masks
of six colours, in 42 of 45 with microphones, 56 of 60 with balls on the lower lip, 27 of 30 with bars, 28 of 30 with scarves, and 22 of 30
with hands. What covers the lower lip and nothing else is recognised in 14 of 15 where it is blue, in 3 where it is black (it looks like an
open mouth) and never where it has the colour of skin. Black, green and blue lipstick on both lips counts as a cover.
"""

from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.polynomial.polynomial import polyfit, polyval
from scipy.ndimage import median_filter

from heygem_daemon.lipsync.arrays import Bool, Float32, Float64, Image
from heygem_daemon.lipsync.geometry.landmarks import (
    BETWEEN_LOWER,
    BETWEEN_UPPER,
    CHIN,
    FOREHEAD,
    INNER_LOWER,
    INNER_UPPER,
    OUTER_LOWER,
    OUTER_UPPER,
    UPPER_FACE,
)
from heygem_daemon.lipsync.imaging.roi import padded_bgr
from heygem_daemon.media.frame import Frame

_COLUMNS: Final = slice(2, 9)
"""Landmarks of a lip edge that a profile goes through: without the corners of the mouth."""
_AWAY: Final = (0.20, 0.16, 0.12, 0.09, 0.06, 0.03)
"""Distances from the lips, in IOD, at which a profile reads the skin."""
_ABOVE, _UPPER, _INSIDE, _LOWER, _BELOW = slice(1, 4), slice(8, 12), slice(13, 16), slice(17, 21), slice(23, 27)
"""Rows of a profile: skin, upper lip, between the lips, lower lip, skin."""
_LIPS, _AROUND = slice(8, 21), slice(3, 26)
"""Rows whose relief is measured: the lips, and the lips with the skin next to them."""
_BLUR, _LEAST_BLUR = 1 / 90, 0.5
"""Sigma of the Gaussian that the image is smoothed with before it is read: in IOD, and at least, in pixels."""
_DARK_LEVEL: Final = 6.0
"""Grey levels added before the logarithm: below, colours are noise."""
_SATURATED: Final = 250.0
_MOST_SATURATED: Final = 0.2
"""Grey level from which a pixel shows nothing, and the fraction of such pixels beyond which a profile is not judged."""

_COVER_RATIO: Final = 5.8
_ANY_FOREIGN, _ANY_RELIEF = 0.08, 0.01
"""A mouth is covered where the colour is this many times as far from that of the upper face as there is relief. The highest ratios of
uncovered mouths: 4.3 around and 4.5 at the lips (faces), 4.9 and 0.8 (a clip blurred by .045 IOD, and any). The second line is added to the
distance of the skin around the lips and to both reliefs: what is nothing but flat has a high ratio as well (a mask of the colour of skin)."""

_WINDOW: Final = 9
"""Frames whose median is judged."""
_FEWEST_COVERED, _FEWEST_CLEAR = 0.2, 0.05
"""Fractions of the frames of a clip. Fewer covered frames count as clear (`occlusion` sees these), fewer clear ones as covered."""
_AS_COVERED, _SPREAD = 1.2, 90
"""A frame that differs from the median of the covered ones by at most so many times as this percentile of them is covered too."""


def read_profiles(frame: Frame, points: Float64, scale: float) -> Float32:
    """Return float32 [30, 7, 3], blue first, 0-255: seven profiles through the mouth, 29 rows from the skin above it to the skin below,
    and in the last row the colour of the upper face.

    points: landmarks [468, 2] in the frame; scale: pixels per IOD.
    """
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    margin = round(_AWAY[0] * scale) + 1
    box = (int(low[0]) - margin, int(low[1]) - margin, int(high[0]) + margin, int(high[1]) + margin)
    local = points - box[:2]
    lips = _profile_points(local, scale)
    colours = _read(padded_bgr(frame, box), np.concatenate([lips.reshape(-1, 2), local[list(UPPER_FACE)]]), scale)
    face = np.median(colours[-len(UPPER_FACE) :], axis=0)
    return np.concatenate([colours[: -len(UPPER_FACE)].reshape(*lips.shape[:2], 3), np.broadcast_to(face, (1, lips.shape[1], 3))])


def covered_rows(profiles: Float32) -> Bool:
    """Return bool [n]: the frames of a clip, in order, whose mouth is covered. profiles: float32 [n, 30, 7, 3]."""
    middle = median_filter(profiles, size=(min(_WINDOW, len(profiles)), 1, 1, 1), mode="nearest")
    covered = np.array([not may_be_mouth(each) for each in middle], bool)
    if covered.mean() < _FEWEST_COVERED:
        return np.zeros(len(covered), bool)
    colours = relative_colours(middle)
    distance = np.abs(colours - np.median(colours[covered], axis=0)).mean((1, 2, 3))
    covered |= distance <= _AS_COVERED * np.percentile(distance[covered], _SPREAD)
    return np.asarray(covered | (covered.mean() > 1 - _FEWEST_CLEAR))


def may_be_mouth(profiles: Float32) -> bool:
    """Return whether profiles [30, 7, 3] can show a mouth; True also where they are too bright to say."""
    lips, face = profiles[_AROUND], profiles[-1, 0]
    if float((lips >= _SATURATED).all(-1).mean()) > _MOST_SATURATED or float(face.max()) >= _SATURATED:
        return True
    return _cover_ratio(relative_colours(profiles).mean(1)) < _COVER_RATIO


def relative_colours(profiles: Float32) -> Float32:
    """Return float32 [..., 29, 7, 3] of profiles [..., 30, 7, 3]: lightness, log(red/green) and log(green/blue) relative to the face."""
    levels = np.log(profiles + _DARK_LEVEL)
    colours = np.stack([levels.mean(-1), levels[..., 2] - levels[..., 1], levels[..., 1] - levels[..., 0]], axis=-1)
    return np.asarray(colours[..., :-1, :, :] - colours[..., -1:, :, :], np.float32)


class CoverTest:
    """Tells the frames of a clip with a covered mouth from those with a clear one. means: float32 [2, 29, 7, 3], the mean relative
    colours of the clear and of the covered frames."""

    def __init__(self, means: Float32) -> None:
        self._clear, self._covered = means

    def is_covered(self, profiles: Float32) -> bool:
        """Return whether profiles [30, 7, 3] resemble those of the covered frames more than those of the clear ones."""
        colours = relative_colours(profiles)
        return bool(np.abs(colours - self._covered).mean() < np.abs(colours - self._clear).mean())


def cover_means(profiles: Float32, covered: Bool) -> Float32:
    """Return the means of a `CoverTest` of profiles [n, 30, 7, 3]; empty [0, 29, 7, 3] where all frames are clear, or all covered."""
    colours = relative_colours(profiles)
    if covered.all() or not covered.any():
        return colours[:0]
    return np.stack([np.median(colours[~covered], axis=0), np.median(colours[covered], axis=0)])


def _cover_ratio(colours: Float32) -> float:
    """Return how far the mean profile [29, 3] is from skin and lips, in multiples of its relief: around the lips, or at them."""
    foreign = min(float(np.hypot(*colours[rows].mean(0)[1:])) for rows in (_ABOVE, _BELOW))
    redness = max(float(colours[rows, 1].mean()) for rows in (_UPPER, _INSIDE, _LOWER))
    around, lips = (_relief(colours[rows]) + _ANY_RELIEF for rows in (_AROUND, _LIPS))
    return max((foreign + _ANY_FOREIGN) / around, -redness / lips)


def _relief(colours: Float32) -> float:
    """Return the standard deviation along [rows, 3], all channels together, without a linear slope (light from above)."""
    rows = np.arange(len(colours))
    residuals = colours - polyval(rows, polyfit(rows, colours, 1)).T
    return float(np.sqrt(np.square(residuals).mean(0).sum()))


def _profile_points(points: Float64, scale: float) -> Float64:
    """Return [29, 7, 2]: where profiles through the mouth are read, of landmarks [468, 2]."""
    upper = [points[np.array(row)[_COLUMNS]] for row in (OUTER_UPPER, *BETWEEN_UPPER, INNER_UPPER)]
    lower = [points[np.array(row)[_COLUMNS]] for row in (INNER_LOWER, *reversed(BETWEEN_LOWER), OUTER_LOWER)]
    down = points[CHIN] - points[FOREHEAD]
    away = np.array(_AWAY)[:, None, None] * scale * down / np.linalg.norm(down)
    between = [upper[-1] + part * (lower[0] - upper[-1]) for part in (0.25, 0.5, 0.75)]
    return np.concatenate([upper[0] - away, _with_middles(upper), between, _with_middles(lower), lower[-1] + away[::-1]])


def _with_middles(rows: list[Float64]) -> Float64:
    """Return the rows [n, 7, 2] with the middle between any two of them."""
    pairs = [part for row, following in pairwise(rows) for part in (row, (row + following) / 2)]
    return np.stack([*pairs, rows[-1]])


def _read(image: Image, places: Float64, scale: float) -> Float32:
    """Return float32 [n, 3]: the smoothed image at the places [n, 2]."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), max(_LEAST_BLUR, _BLUR * scale))
    x, y = places.T[:, None].astype(np.float32)
    return np.asarray(cv2.remap(smooth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0], np.float32)
