"""Schedule the detection of faces that are not tracked yet: often enough to lose none, seldom enough to cost little.

A whole search of a 1080p frame is 115 squares of 3 ms. So the levels (whole frame, tiles of its short side, of a half, of a quarter)
have each their own interval, and a tile is searched again only after its content has changed: a slide that stands still for a minute
costs one search.

Video filmed sideways shows faces on their side or upside down: while no face is tracked, squares are searched turned by quarters too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.face.detector import QUARTER_TURN, Detection, FaceDetector, distinct, quarter_turn, tile_levels
from heygem_daemon.lipsync.face.image_view import ImageView, Roi

SEARCHING: Final = (0.2, 0.2, 0.2, 0.8)
"""Seconds between two searches of each level while no face is tracked."""

FOLLOWING: Final = (0.5, 2.0, 5.0, float("inf"))
"""Seconds between two searches of each level while at least one face is tracked: others may enter, and are about as large."""

_TURNED_EVERY: Final = 4
"""While no face is tracked, every so many searches of a level the other three quarter turns are searched too: the fourfold search of a
faceless film would take longer than decoding it."""

_CHANGED: Final = 4.0
"""Change of a thumbnail's pixel (0-255) from which its tiles are searched again; coding noise stays below 2."""

_NEAR: Final = 2.0
"""A lost face is searched in a square so many times as large as its last region."""


class DetectionSchedule:
    """Searches the consecutive frames of one video for faces."""

    def __init__(self, detector: FaceDetector, *, width: int, height: int, frame_rate: Fraction) -> None:
        self._detector, self._size = detector, (width, height)
        self._levels = tile_levels(width, height)
        self._frame_rate = float(frame_rate)
        self._turn = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget earlier searches: a new shot begins, every level is due."""
        self._searched: list[Float32 | None] = [None] * len(self._levels)
        self._searched_turned: list[Float32 | None] = [None] * len(self._levels)
        self._searches = [0] * len(self._levels)
        self._waited = [float("inf")] * len(self._levels)

    def due(self, *, is_following: bool) -> list[int]:
        """Count one frame more and return the levels to search now, the coarsest first."""
        interval = FOLLOWING if is_following else SEARCHING
        self._waited = [frames + 1 for frames in self._waited]
        return [level for level, frames in enumerate(self._waited) if frames >= max(1.0, interval[level] * self._frame_rate)]

    def detect_level(self, level: int, view: ImageView, thumbnail: Float32, followed: Iterable[Roi]) -> list[Detection]:
        """Search the tiles of one level that changed since their last search; return each face found once.

        Changes under the faces that are `followed` already do not count. Squares are turned as the faces tracked last stand.
        """
        regions = list(followed)
        if regions:
            self._turn = quarter_turn(regions[0].angle)
        before, self._searched[level], self._waited[level] = self._searched[level], thumbnail, 0.0
        return self._detect_changed(level, view, self._changed(before, thumbnail, regions), [self._turn])

    def detect_turned(self, level: int, view: ImageView, thumbnail: Float32) -> list[Detection]:
        """Search the tiles of one level in the other three quarter turns, after `detect_level` of all; nothing where that is not due."""
        self._searches[level] += 1
        if self._searches[level] % _TURNED_EVERY != 1:
            return []
        before, self._searched_turned[level] = self._searched_turned[level], thumbnail
        turns = [math.remainder(self._turn + quarter * QUARTER_TURN, math.tau) for quarter in (1, -1, 2)]
        return self._detect_changed(level, view, self._changed(before, thumbnail, []), turns)

    def detect_near(self, view: ImageView, region: Roi) -> list[Detection]:
        """Search around the `region` where a face was a frame ago, turned as it was."""
        return self._detector.detect(view, Roi(x=region.x, y=region.y, size=region.size * _NEAR, angle=region.angle))

    def _detect_changed(self, level: int, view: ImageView, changed: Bool, turns: Sequence[float]) -> list[Detection]:
        """Search the tiles of one level over `changed` pixels of the thumbnail, in each of the turns; return each face found once."""
        tiles = [tile for tile in self._levels[level] if changed[self._window(tile, changed.shape)].any()]
        squares = [replace(tile, angle=turn) for tile in tiles for turn in turns]
        return distinct(face for square in squares for face in self._detector.detect(view, square))

    def _changed(self, before: Float32 | None, thumbnail: Float32, followed: Iterable[Roi]) -> Bool:
        if before is None:
            return np.ones(thumbnail.shape, np.bool_)
        changed: Bool = np.abs(thumbnail - before) > _CHANGED
        for face in followed:
            changed[self._window(face, changed.shape)] = False
        return changed

    def _window(self, roi: Roi, shape: Sequence[int]) -> tuple[slice, slice]:
        """Return the rows and columns of the thumbnail under a square of the frame, at least one of each."""
        width, height = self._size
        across, down = shape[1] / width, shape[0] / height
        x0, x1 = (roi.x - roi.size / 2) * across, (roi.x + roi.size / 2) * across
        y0, y1 = (roi.y - roi.size / 2) * down, (roi.y + roi.size / 2) * down
        return slice(max(0, int(y0)), max(1, int(np.ceil(y1)))), slice(max(0, int(x0)), max(1, int(np.ceil(x1))))
