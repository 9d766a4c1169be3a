"""Schedule the detection of faces that are not tracked yet: often enough to lose none, seldom enough to cost little.

A whole search of a 1080p frame is 115 squares of 3 ms. So the levels (whole frame, tiles of its short side, of a half, of a quarter)
have each their own interval, and a tile is searched again only after its content has changed: a slide that stands still for a minute
costs one search. Intervals are counted from the beginning of the video, not from the last search: so a pass that begins in the middle
soon searches the same frames as one from the beginning.

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
"""While no face is tracked, the other three quarter turns are searched at intervals so many times as long: the fourfold search of a
faceless film would take longer than decoding it."""

_CHANGED: Final = 4.0
"""Change of a thumbnail's pixel (0-255) from which its tiles are searched again; coding noise stays below 2."""

_NEAR: Final = 2.0
"""A lost face is searched in a square so many times as large as its last region."""


class DetectionSchedule:
    """Searches the consecutive frames of one video for faces."""

    def __init__(self, detector: FaceDetector, *, width: int, height: int, frame_rate: Fraction, first: int = 0) -> None:
        """first: the number of the first frame in the video."""
        self._detector, self._size = detector, (width, height)
        self._frame = first - 1
        self._levels = tile_levels(width, height)
        self._frame_rate = float(frame_rate)
        self._turn = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget earlier searches: a new shot begins, every level is due."""
        self._searched: list[Float32 | None] = [None] * len(self._levels)
        self._searched_turned: list[Float32 | None] = [None] * len(self._levels)
        self._last = [-1] * len(self._levels)
        self._last_turned = [-1] * len(self._levels)

    def due(self, *, is_following: bool) -> list[int]:
        """Count one frame more and return the levels to search now, the coarsest first."""
        self._frame += 1
        intervals = FOLLOWING if is_following else SEARCHING
        return [level for level, last in enumerate(self._last) if self._is_due(last, intervals[level])]

    def detect_level(self, level: int, view: ImageView, thumbnail: Float32, followed: Iterable[Roi]) -> list[Detection]:
        """Search the tiles of one level that changed since their last search; return each face found once.

        Changes under the faces that are `followed` already do not count. Squares are turned as the faces tracked last stand.
        """
        regions = list(followed)
        if regions:
            self._turn = quarter_turn(regions[0].angle)
        before, self._searched[level], self._last[level] = self._searched[level], thumbnail, self._frame
        return self._detect_changed(level, view, self._changed(before, thumbnail, regions), [self._turn])

    def detect_turned(self, level: int, view: ImageView, thumbnail: Float32) -> list[Detection]:
        """Search the tiles of one level in the other three quarter turns, after `detect_level` of all; nothing where that is not due."""
        if not self._is_due(self._last_turned[level], _TURNED_EVERY * SEARCHING[level]):
            return []
        before, self._searched_turned[level], self._last_turned[level] = self._searched_turned[level], thumbnail, self._frame
        turns = [math.remainder(self._turn + quarter * QUARTER_TURN, math.tau) for quarter in (1, -1, 2)]
        return self._detect_changed(level, view, self._changed(before, thumbnail, []), turns)

    def detect_near(self, view: ImageView, region: Roi) -> list[Detection]:
        """Search around the `region` where a face was a frame ago, turned as it was."""
        return self._detector.detect(view, Roi(x=region.x, y=region.y, size=region.size * _NEAR, angle=region.angle))

    def _is_due(self, last: int, seconds: float) -> bool:
        """Return whether an interval of the video ends after frame `last` (-1: there was none), and at or before this one."""
        frames = max(1.0, seconds * self._frame_rate)
        return last < 0 or self._frame // frames > last // frames

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
