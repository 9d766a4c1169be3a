"""Track several faces over consecutive frames, each by its own landmarks."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.face.detection_schedule import DetectionSchedule
from heygem_daemon.lipsync.face.detector import Detection, FaceDetector
from heygem_daemon.lipsync.face.dissolve import DissolveDetector
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.likeness import STRIDE, read_texture
from heygem_daemon.lipsync.face.mesh import SCORE, FaceMesh, region_of
from heygem_daemon.lipsync.face.shot_boundary import is_shot_boundary
from heygem_daemon.media.frame import Frame

MOST_FACES: Final = 12
"""More faces than this are not tracked at once: each costs 4 ms per frame."""

_APART: Final = 1 / 3
"""Two regions whose centres are nearer than this fraction of their mean size show the same face (faces fill 2/3 of a region)."""

_FORGET: Final = 10.0
"""Seconds after which a lost face is no longer expected back."""

_FINEST: Final = 3
"""The level of the smallest tiles: searched only where nothing larger is tracked."""

_LEAST_REACH: Final = 0.5
_LARGEST_REACH: Final = 1.5
_SIZE_RATIO: Final = 0.6
"""A lost face may come back at this distance, in mean sizes: at once, and (one more for each second it was gone) at most; and so much
smaller, or larger."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackedFace:
    """A face in one frame. track: its number, until the next cut; landmarks: float32 [468, 3], pixels; score: 0-1; texture: as
    `likeness.read_texture` gives it, in some frames."""

    track: int
    landmarks: Float32
    score: float
    texture: Image | None = None


@dataclass(frozen=True, kw_only=True)
class _Track:
    """The region where a face was found last, and for how many frames it has been missing since."""

    number: int
    region: Roi
    missing: int = 0


class FaceTracker:
    """Tracks every face over consecutive frames of one video; `shot` counts its scene cuts.

    A face that is lost (a hand, a profile) and found again near its last place keeps its track; at a cut all tracks end. dissolve: the
    cross-dissolve that was seen to end shortly before the last frame, see `DissolveDetector.find`.
    """

    def __init__(self, models: Path, *, frame_rate: Fraction = Fraction(25), first: int = 0) -> None:
        """first: the number of the first frame to follow. Raises SetupError (`models_missing`)."""
        self._detector, self._mesh = FaceDetector(models), FaceMesh(models)
        self._frame_rate, self._first = frame_rate, first
        self._schedule: DetectionSchedule | None = None
        self._thumbnail: Float32 | None = None
        self._tracks: list[_Track] = []
        self._next = 0
        self._frame = first - 1
        self._dissolves = DissolveDetector(frame_rate)
        self.shot = 0
        self.dissolve: tuple[int, int] | None = None

    def follow(self, image: Image | Frame) -> tuple[TrackedFace, ...]:
        """Return the faces of the next frame (BGR uint8 [h, w, 3], or a decoded frame), the oldest track first."""
        self._frame += 1
        view = ImageView(image)
        thumbnail = view.thumbnail()
        schedule = self._start_frame(view, thumbnail)
        faces = self._follow_tracks(view)
        self._recover_lost(view, schedule, faces)
        levels = schedule.due(is_following=bool(faces))
        for level in levels:
            if level < _FINEST or not faces:
                found = schedule.detect_level(level, view, thumbnail, [region_of(face.landmarks) for face in faces.values()])
                self._add_detections(view, found, faces)
        for level in levels:
            if not faces:
                self._add_detections(view, schedule.detect_turned(level, view, thumbnail), faces)
        self._update_tracks(faces)
        return tuple(faces[number] for number in sorted(faces))

    def _start_frame(self, view: ImageView, thumbnail: Float32) -> DetectionSchedule:
        """Return the schedule of detections; at the first frame and after a scene cut it starts anew, with no tracks."""
        if self._schedule is None:
            self._schedule = DetectionSchedule(
                self._detector, width=view.width, height=view.height, frame_rate=self._frame_rate, first=self._first
            )
        elif self._thumbnail is not None and is_shot_boundary(self._thumbnail, thumbnail):
            self._schedule.restart()
            self._dissolves.restart()
            self._tracks = []
            self.shot += 1
        self._thumbnail = thumbnail
        self._dissolves.push(thumbnail)
        self.dissolve = None if self._frame % STRIDE else self._dissolves.find()
        return self._schedule

    def _follow_tracks(self, view: ImageView) -> dict[int, TrackedFace]:
        """Read the landmarks of the faces of the frame before, the oldest first: of two on one face the oldest stays."""
        faces: dict[int, TrackedFace] = {}
        for track in self._tracks:
            if not track.missing:
                self._read(view, track.region, track.number, faces)
        return faces

    def _recover_lost(self, view: ImageView, schedule: DetectionSchedule, faces: dict[int, TrackedFace]) -> None:
        """Search around the last regions of the faces that were lost less than a second ago."""
        for track in self._tracks:
            if track.number not in faces and track.missing < self._frame_rate:
                self._add_detections(view, schedule.detect_near(view, track.region), faces)

    def _add_detections(self, view: ImageView, found: Iterable[Detection], faces: dict[int, TrackedFace]) -> None:
        """Add the detected faces that are not tracked yet, under their old number where they come back."""
        for detection in found:
            if len(faces) < MOST_FACES and not _is_taken(detection.region, faces):
                region = self._detector.resolve_roll(view, detection).region
                number = self._track_number(region, faces)
                if self._read(view, region, number, faces) and number == self._next:
                    self._next += 1

    def _read(self, view: ImageView, region: Roi, number: int, faces: dict[int, TrackedFace]) -> bool:
        """Add the face in `region` to `faces`; return whether there is one that is not in them yet."""
        landmarks, score = self._mesh.refine(view, region)
        if score <= SCORE or _is_taken(region_of(landmarks), faces):
            return False
        texture = None if self._frame % STRIDE else read_texture(view, landmarks)
        faces[number] = TrackedFace(track=number, landmarks=landmarks, score=score, texture=texture)
        return True

    def _track_number(self, region: Roi, faces: dict[int, TrackedFace]) -> int:
        """Return the track of the missing face that this may be, or a new one."""
        missing = [track for track in self._tracks if track.number not in faces and self._may_be_same(track, region)]
        nearest = min(missing, key=lambda track: distance(track.region, region), default=None)
        return self._next if nearest is None else nearest.number

    def _may_be_same(self, track: _Track, region: Roi) -> bool:
        """Return whether the lost face may be the one in `region`: the longer it was gone, the further away it may come back."""
        reach = min(_LARGEST_REACH, _LEAST_REACH + track.missing / float(self._frame_rate))
        return distance(track.region, region) < reach and _SIZE_RATIO < track.region.size / region.size < 1 / _SIZE_RATIO

    def _update_tracks(self, faces: dict[int, TrackedFace]) -> None:
        """Take the regions of this frame's faces into the tracks, and drop those that are missing for too long."""
        gone = [replace(track, missing=track.missing + 1) for track in self._tracks if track.number not in faces]
        here = [_Track(number=number, region=region_of(face.landmarks)) for number, face in faces.items()]
        self._tracks = sorted(
            [*here, *(track for track in gone if track.missing < _FORGET * self._frame_rate)], key=lambda track: track.number
        )


def distance(a: Roi, b: Roi) -> float:
    """Return the distance of the centres in mean sizes of the two."""
    return float(np.hypot(a.x - b.x, a.y - b.y)) * 2 / (a.size + b.size)


def _is_taken(region: Roi, faces: dict[int, TrackedFace]) -> bool:
    """Return whether one of `faces` lies in the region."""
    return any(distance(region, region_of(face.landmarks)) < _APART for face in faces.values())
