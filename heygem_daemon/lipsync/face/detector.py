"""BlazeFace: detect the faces of an image.

The short-range network (Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs") sees 128x128
pixels and finds faces wider than about a seventh of that; smaller ones are found in tiles of the image.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.tflite import TfliteNetwork
from heygem_daemon.lipsync.model_files import model_path

SCORE: Final = 0.5
"""Least score of a detection."""
_REGION_SCALE: Final = 1.5
"""The landmarks of a face are read in a square so many times as wide as its box."""
_INPUT: Final = 128
"""Pixels of a side of the image that the network sees."""
_LAYERS: Final = ((8, 2), (16, 6))
"""Stride in pixels and anchors per cell of the network's two outputs."""
_SAME: Final = 0.3
_INSIDE: Final = 0.6
"""Two boxes show one face from this intersection over union, or this fraction of the smaller box inside the other."""
QUARTER_TURN: Final = math.pi / 2
_TURNED_GAIN: Final = 0.05
"""The network finds faces at any roll, but reads upside-down ones as upright. In one square around the faces of eight people, turned by
every 15 degrees, it scored .86-.99 with the face within 45 degrees of upright in it, and at least .11 less where its angle was wrong."""
_AROUND: Final = 3.0
_RESIZED: Final = 1.25
"""A face is looked at again in a square so many times as wide as its box, and once more where its box changes by this factor."""
_SMALLEST_TILE: Final = 160
_LEVELS: Final = 4
"""Least side of a tile in pixels, and number of levels of tiles."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A detected face: centre and width of its box in pixels, the angle of its eye line in radians, and its score (0-1)."""

    x: float
    y: float
    width: float
    angle: float
    score: float

    @property
    def region(self) -> Roi:
        """The square to read landmarks in: half as wide again as the box, levelled by the eyes."""
        return Roi(x=self.x, y=self.y, size=self.width * _REGION_SCALE, angle=self.angle)


class FaceDetector:
    """Finds every face in a square of an image."""

    def __init__(self, models: Path) -> None:
        """Raises SetupError (`models_missing`)."""
        self._network = TfliteNetwork(model_path(models, "face_detector"), ("regressors", "classificators"))
        self._anchors = anchors()

    def detect(self, view: ImageView, roi: Roi) -> list[Detection]:
        """Return the faces in `roi`, each once, the highest score first. They are found best where they stand upright in it."""
        pixels = view.crop(roi, _INPUT, extend=False)
        boxes, logits = self._network(pixels / np.float32(127.5) - 1)
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -50, 50)))
        likely = np.flatnonzero(scores >= SCORE)
        likely = likely[np.argsort(-scores[likely])]
        found = weighted_nms(_decode(boxes[0, likely], self._anchors[likely]), np.asarray(scores[likely], np.float32))
        return [_detection(box, score, roi) for box, score in found]

    def resolve_roll(self, view: ImageView, face: Detection) -> Detection:
        """Return the face with its roll made sure of: detected again in squares turned by quarters, the clearest detection counts."""
        found = self._clearest(view, face)
        is_far_off = not 1 / _RESIZED < found.width / face.width < _RESIZED
        return self._clearest(view, found) if is_far_off else found

    def _clearest(self, view: ImageView, face: Detection) -> Detection:
        best, best_score = face, 0.0
        for quarter in range(4):
            square = Roi(x=face.x, y=face.y, size=face.width * _AROUND, angle=face.angle + quarter * QUARTER_TURN)
            again = [other for other in self.detect(view, square) if _is_same(_box(other), _box(face))]
            if again and again[0].score > best_score:
                best, best_score = again[0], again[0].score + (_TURNED_GAIN if quarter == 0 else 0)
        return best


def quarter_turn(angle: float) -> float:
    """Return the multiple of 90 degrees that is nearest to `angle`, in radians."""
    return round(angle / QUARTER_TURN) * QUARTER_TURN


def anchors() -> Float32:
    """Return the centres of the 896 anchors, float32 [896, 2], x and y in 0-1; every anchor has the size of the input."""
    centres: list[Float32] = []
    for stride, per_cell in _LAYERS:
        cells = _INPUT // stride
        axis = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, per_cell, axis=0))
    return np.concatenate(centres)


def weighted_nms(boxes: Float32, scores: Float32) -> list[tuple[Float32, float]]:
    """Return the boxes after non-maximum suppression by averaging: boxes that overlap the best one are merged into it by score.

    boxes: float32 [n, 8] (centre, width, height, two eyes), the highest score first. Averaging jitters less than picking.
    """
    found: list[tuple[Float32, float]] = []
    left = np.arange(len(boxes))
    while len(left):
        same = np.array([overlap(tuple(boxes[left[0], :3]), tuple(boxes[i, :3])) > _SAME for i in left])
        group = left[same]
        weights = scores[group] / scores[group].sum()
        found.append((np.asarray(weights @ boxes[group], np.float32), float(scores[group[0]])))
        left = left[~same]
    return found


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return intersection over union of two upright squares given as centre x, centre y, side."""
    common = _intersection(a, b)
    return common / (a[2] ** 2 + b[2] ** 2 - common) if common else 0.0


def distinct(found: Iterable[Detection]) -> list[Detection]:
    """Return the detections of several tiles, each face once: of those that overlap or lie in each other
    the one with the highest score stays."""
    kept: list[Detection] = []
    for face in sorted(found, key=lambda face: -face.score):
        if not any(_is_same(_box(face), _box(other)) for other in kept):
            kept.append(face)
    return kept


def tile_levels(width: int, height: int) -> list[list[Roi]]:
    """Return the squares to search, level by level: the whole image; tiles of the short side; of 1/2 and 1/4 of it.

    Tiles of a level overlap by at least half. A level with tiles below 160 pixels is empty (their faces are too small to use).
    """
    levels = [[Roi(x=width / 2, y=height / 2, size=float(max(width, height)))]]
    for level in range(1, _LEVELS):
        side = min(width, height) / 2 ** (level - 1)
        if side < _SMALLEST_TILE or (level == 1 and width == height):
            levels.append([])
            continue
        levels.append([Roi(x=x, y=y, size=side) for y in _centres(height, side) for x in _centres(width, side)])
    return levels


def _centres(length: int, side: float) -> Float32:
    """Return the centres of tiles along one side of the image."""
    count = int(np.ceil(round((length - side) / (side / 2), 6))) + 1
    return np.linspace(side / 2, length - side / 2, max(1, count), dtype=np.float32)


def _decode(raw: Float32, centres: Float32) -> Float32:
    """Return float32 [n, 8] in fractions of the input: centre, width, height, eyes. The network's output is in pixels from the anchor."""
    decoded = raw[:, :8] / _INPUT
    for column in (0, 4, 6):
        decoded[:, column : column + 2] += centres
    return np.asarray(decoded, np.float32)


def _detection(box: Float32, score: float, roi: Roi) -> Detection:
    """Return the detection of a box in fractions of `roi`."""
    cos, sin = math.cos(roi.angle), math.sin(roi.angle)
    across, down = (float(value - 0.5) * roi.size for value in box[:2])
    eyes = box[6:8] - box[4:6]
    return Detection(
        x=roi.x + cos * across - sin * down,
        y=roi.y + sin * across + cos * down,
        width=float(box[2] * roi.size),
        angle=math.remainder(roi.angle + math.atan2(eyes[1], eyes[0]), math.tau),
        score=score,
    )


def _box(face: Detection) -> tuple[float, float, float]:
    return face.x, face.y, face.width


def _intersection(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the area that two squares have in common."""
    sides = [min(a[i] + a[2] / 2, b[i] + b[2] / 2) - max(a[i] - a[2] / 2, b[i] - b[2] / 2) for i in (0, 1)]
    return sides[0] * sides[1] if min(sides) > 0 else 0.0


def _is_same(a: Sequence[float], b: Sequence[float]) -> bool:
    return overlap(a, b) > _SAME or _intersection(a, b) > _INSIDE * min(a[2], b[2]) ** 2
