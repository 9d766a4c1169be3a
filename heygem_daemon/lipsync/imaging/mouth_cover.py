"""Recognise a mouth that is covered in most of a clip: what is seen where the lips are tracked does not look like lips.

`occlusion` compares the frames of a clip with each other, so what always lies over the mouth counts as skin there. Here the image is read
along profiles through the mouth, from the skin above the upper lip to the skin below the lower one. Two signs must agree that something
covers it: a colour that is not that of the upper face, and next to no relief (lips, the line between them, teeth). The colour is that of
the skin above and below the lips, or of the lips themselves where these are less red than the face, as no lips are. Only a lower lip that
is plainly green, blue or yellow proves it alone; other colours prove nothing (lipstick, beards, coloured light), nor does little relief
(small, soft and dark faces).

The form and the threshold were chosen on 874 faces of stills from public collections (500 of them for the threshold), among them paintings,
cartoons, statues, black-and-white photos, beards and sunglasses, and on 15 clips, all also recoloured, darkened, overexposed and softened,
with lipstick of nine colours and beards of four: none is taken for covered, but for 14 of all 1343 faces with blue lipstick. Then 469 faces
of further stills were read (some photos are in there more than once): only one, cut off above the mouth, was taken for covered; since then,
what lies outside the frame is not judged.

The price: of faces with a real mask, 147 of the 224 that the form was chosen on are recognised, and 83 of 163 others. Plain surgical, cloth
and cup masks mostly are; masks with prints, valves or bright folds, or in glaring light, mostly not. Of covers drawn on the 15 clips, plain
masks are recognised nearly always, black bars and grey scarves in nine of ten windows of nine frames, yellow balls on the lower lip
likewise, green ones in four of ten, foam microphones that move along in one of four, blue polygons on the lower lip in one of six, hands
and patterned cloth in one of ten; red scarves, and red, white, black and skin-coloured things on a part of the mouth, never. In
black-and-white only what is quite flat is.
"""

from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.polynomial.polynomial import polyfit, polyval
from scipy.ndimage import median_filter

from heygem_daemon.lipsync.arrays import Bool, Float32, Float64
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
from heygem_daemon.lipsync.imaging.planes import colour_plane, cut_out, even_box, to_bgr
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
_SATURATED, _NOT_SEEN = 250.0, 255.0
_MOST_SATURATED: Final = 0.2
"""Grey level from which a pixel shows nothing, that of pixels outside the frame, and the fraction of such pixels beyond which a profile is
not judged."""

_COVER_RATIO: Final = 6.2
_ANY_FOREIGN, _ANY_RELIEF = 0.08, 0.01
"""A mouth is covered where the colour is this many times as far from that of the upper face as there is relief. The highest ratios of
uncovered mouths: 4.3 around and 4.5 at the lips (faces), 4.9 and 0.8 (clips, softened by .045 IOD), 5.8 and 5.3 (softened faces).
The second line is added to the distance of the skin around the lips, and to both reliefs: what is nothing but flat has a high ratio as
well (a mask of the colour of skin)."""

_GREENEST, _YELLOWEST = 0.72, 0.77
"""How much less log(red/green), and more log(green/blue), than the upper face the lower lip cannot have: no flesh is green, blue or yellow.
The highest values of uncovered mouths: .46 and .63, with lipstick, beards and coloured light painted on .65 and .70; of blue lipstick 1 %
is beyond."""

_WINDOW: Final = 9
"""Frames whose median is judged."""
_FEWEST_COVERED, _FEWEST_CLEAR = 0.2, 0.05
"""Fractions of the frames of a clip. Fewer covered frames count as clear (`occlusion` sees these), fewer clear ones as covered."""
_AS_COVERED, _SPREAD = 1.2, 90
"""A frame that differs from the median of the covered ones by at most so many times as this percentile of them is covered too."""


def read_profiles(frame: Frame, points: Float64, scale: float) -> Float32:
    """Return float32 [30, 7, 3], blue first, 0-255: seven profiles through the mouth, 29 rows from the skin above it to the skin below,
    and in the last row the colour of the upper face. What lies outside the frame is 255.

    points: landmarks [468, 2] in the frame; scale: pixels per IOD.
    """
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    margin = round(_AWAY[0] * scale) + 1
    box = even_box(low - margin, high + margin)
    local = points - box[:2]
    lips = _profile_points(local, scale)
    places = np.concatenate([lips.reshape(-1, 2), local[list(UPPER_FACE)]])
    colours = _read(cut_out(frame, box), places, scale)
    colours[((places + box[:2] < 0) | (places + box[:2] > (frame.width - 1, frame.height - 1))).any(1)] = _NOT_SEEN
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
    colours = relative_colours(profiles)
    return _may_be_flesh(colours[_LOWER]) and _cover_ratio(colours.mean(1)) < _COVER_RATIO


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


def _may_be_flesh(lip: Float32) -> bool:
    """Return whether the lower lip [4, 7, 3] has a colour that lips can have."""
    _, redness, yellowness = np.median(lip, axis=(0, 1))
    return bool(-redness < _GREENEST and yellowness < _YELLOWEST)


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


def _read(crop: Frame, places: Float64, scale: float) -> Float32:
    """Return float32 [n, 3], blue first, 0-255: the smoothed crop at the places [n, 2]."""
    sigma = max(_LEAST_BLUR, _BLUR * scale)
    x, y = places.T[:, None].astype(np.float32)
    codes = []
    for plane, step in ((crop.y.astype(np.float32), 1), (colour_plane(crop), 2)):
        smooth = cv2.GaussianBlur(plane, (0, 0), sigma / step)
        across, down = ((value + 0.5) / step - 0.5 for value in (x, y))
        codes.append(np.atleast_3d(cv2.remap(smooth, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))[0])
    return to_bgr(np.concatenate(codes, axis=1), crop.space)
