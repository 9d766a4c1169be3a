"""Several faces followed over consecutive frames, each by its own landmarks."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.face.detection_schedule import DetectionSchedule
from heygem_daemon.lipsync.face.detector import Detection, FaceDetector
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.mesh import SCORE, FaceMesh, region_of
from heygem_daemon.lipsync.face.shot_boundary import is_shot_boundary
from heygem_daemon.media.frame import Frame

MOST_FACES: Final = 6
"""More faces than this are not followed at once: each costs 4 ms per frame."""

_APART: Final = 1 / 3
"""Two regions whose centres are nearer than this part of their mean size show the same face (faces fill 2/3 of a region)."""

_FORGET: Final = 10.0
"""Seconds after which a lost face is no longer expected back."""

_FINEST: Final = 3
"""The level of the smallest tiles: searched only where nothing larger is followed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackedFace:
    """A face in one frame. track: who it is, until the next cut; landmarks: float32 [468, 3], pixels; score: 0-1."""

    track: int
    landmarks: Float32
    score: float


@dataclass(frozen=True, kw_only=True)
class _Track:
    """Where a face was last seen, and for how many frames it has not been since."""

    number: int
    region: Roi
    missing: int = 0


class FaceTracker:
    """Follow every face over consecutive frames of one video; `shot` counts its scene cuts.

    A face that is lost (a hand, a profile) and found again near its last place keeps its track; at a cut all tracks end.
    """

    def __init__(self, models: Path, *, frame_rate: Fraction = Fraction(25)) -> None:
        """Raises SetupError (`models_missing`)."""
        self._detector, self._mesh = FaceDetector(models), FaceMesh(models)
        self._frame_rate = frame_rate
        self._search: DetectionSchedule | None = None
        self._thumbnail: Float32 | None = None
        self._tracks: list[_Track] = []
        self._next = 0
        self.shot = 0

    def follow(self, image: Image | Frame) -> tuple[TrackedFace, ...]:
        """Return the faces of the next frame (BGR uint8 [h, w, 3], or a decoded frame), the oldest track first."""
        view = ImageView(image)
        thumbnail = view.thumbnail()
        search = self._begin(view, thumbnail)
        faces = self._keep_up(view)
        self._recover(view, search, faces)
        for level in search.due(is_following=bool(faces)):
            if level < _FINEST or not faces:
                found = search.level(level, view, thumbnail, [region_of(face.landmarks) for face in faces.values()])
                self._adopt(view, found, faces)
        self._remember(faces)
        return tuple(faces[number] for number in sorted(faces))

    def _begin(self, view: ImageView, thumbnail: Float32) -> DetectionSchedule:
        """Set out for a new video, or for a new shot where the picture was cut."""
        if self._search is None:
            self._search = DetectionSchedule(self._detector, width=view.width, height=view.height, frame_rate=self._frame_rate)
        elif self._thumbnail is not None and is_shot_boundary(self._thumbnail, thumbnail):
            self._search.restart()
            self._tracks = []
            self.shot += 1
        self._thumbnail = thumbnail
        return self._search

    def _keep_up(self, view: ImageView) -> dict[int, TrackedFace]:
        """Read the landmarks of the faces of the frame before, the oldest first: of two on one face the oldest stays."""
        faces: dict[int, TrackedFace] = {}
        for track in self._tracks:
            if not track.missing:
                self._read(view, track.region, track.number, faces)
        return faces

    def _recover(self, view: ImageView, search: DetectionSchedule, faces: dict[int, TrackedFace]) -> None:
        """Look around for the faces lost since less than a second."""
        for track in self._tracks:
            if track.number not in faces and track.missing < self._frame_rate:
                self._adopt(view, search.near(view, track.region), faces)

    def _adopt(self, view: ImageView, found: Iterable[Detection], faces: dict[int, TrackedFace]) -> None:
        """Follow the faces that were detected and are not followed yet, under their old number where they come back."""
        for detection in found:
            region = detection.region
            if len(faces) < MOST_FACES and not _is_taken(region, faces):
                number = self._number(region, faces)
                if self._read(view, region, number, faces) and number == self._next:
                    self._next += 1

    def _read(self, view: ImageView, region: Roi, number: int, faces: dict[int, TrackedFace]) -> bool:
        landmarks, score = self._mesh.refine(view, region)
        if score <= SCORE or _is_taken(region_of(landmarks), faces):
            return False
        faces[number] = TrackedFace(track=number, landmarks=landmarks, score=score)
        return True

    def _number(self, region: Roi, faces: dict[int, TrackedFace]) -> int:
        """Return the track of the missing face that this may be, or a new one."""
        missing = [track for track in self._tracks if track.number not in faces and self._may_be(track, region)]
        nearest = min(missing, key=lambda track: _distance(track.region, region), default=None)
        return self._next if nearest is None else nearest.number

    def _may_be(self, track: _Track, region: Roi) -> bool:
        """A face that was lost may come back the further away, the longer it was gone."""
        reach = min(1.5, 0.5 + track.missing / float(self._frame_rate))
        return _distance(track.region, region) < reach and 0.6 < track.region.size / region.size < 1 / 0.6

    def _remember(self, faces: dict[int, TrackedFace]) -> None:
        gone = [replace(track, missing=track.missing + 1) for track in self._tracks if track.number not in faces]
        here = [_Track(number=number, region=region_of(face.landmarks)) for number, face in faces.items()]
        self._tracks = sorted(
            [*here, *(track for track in gone if track.missing < _FORGET * self._frame_rate)], key=lambda track: track.number
        )


def _distance(a: Roi, b: Roi) -> float:
    """Return the distance of the centres in mean sizes."""
    return float(np.hypot(a.x - b.x, a.y - b.y)) * 2 / (a.size + b.size)


def _is_taken(region: Roi, faces: dict[int, TrackedFace]) -> bool:
    return any(_distance(region, region_of(face.landmarks)) < _APART for face in faces.values())
