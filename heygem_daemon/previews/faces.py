"""Say who could speak in a video, as the engine will see it, from a few frames of its beginning.

The faces are found, distinguished and counted by the same code as in a render, so that a number here is the number of the option `face`.
Only the beginning is looked at: who enters later is not counted yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.face.selection import Tracklet, persons_by_place
from heygem_daemon.lipsync.face.tracker import FaceTracker, TrackedFace
from heygem_daemon.lipsync.geometry.pose import fit_pose, upright
from heygem_daemon.media.frame import Frame
from heygem_daemon.previews.stills import SAMPLE_RATE, Sampled, Shown, sharpest

SMALLEST_FACE: Final = 40.0
"""Pixels between the outer eye corners, as in lipsync.style.speech_track: the lips of a smaller face open by less than the noise of the
tracker, so its mouth is drawn, but soft and unsteady. A face is about 1.6 times as wide."""
LARGEST_YAW: Final = 19.0
"""Degrees from which less of the mouth is seen, and the quality of the drawn one depends on how often the video shows it so."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenFace:
    """A person. box: left, top, right, bottom in pixels of the frame that is shown, None where the person is in another frame only;
    eyes: pixels between the outer eye corners; yaw: degrees, the median of the frames."""

    number: int
    box: tuple[float, float, float, float] | None
    eyes: float
    yaw: float

    @property
    def verdict(self) -> str:
        if self.eyes < SMALLEST_FACE:
            return "too_small"
        return "turned" if abs(self.yaw) >= LARGEST_YAW else "good"


@dataclass(frozen=True, kw_only=True, eq=False)
class FacesFound:
    """The persons of a video from left to right, and the frame that shows them best. scale: pixels of the video in one of the frame."""

    faces: Sequence[SeenFace]
    shown: Shown
    scale: float


def check_faces(sampled: Sampled, models: Path, *, scale: float = 1.0) -> FacesFound:
    """Find the persons of the sampled frames. scale: pixels of the video in one of these frames.

    Raises SetupError (`models_missing`).
    """
    tracker = FaceTracker(models, frame_rate=Fraction(SAMPLE_RATE))
    shots: dict[int, list[tuple[Frame, tuple[TrackedFace, ...]]]] = {}
    for frame in sampled.frames:
        faces = tracker.follow(frame)
        shots.setdefault(tracker.shot, []).append((frame, faces))
    shot = max(shots.values(), key=lambda seen: sum(bool(faces) for _, faces in seen))
    persons = _persons(shot)
    if not persons:
        return FacesFound(faces=(), shown=sharpest(sampled), scale=scale)
    frame, faces = max(shot, key=lambda seen: _clearness(seen[1], persons))
    shown = Shown(frame=frame, sample_aspect=sampled.sample_aspect)
    return FacesFound(faces=[_seen(number, person, faces, shot, scale) for number, person in enumerate(persons)], shown=shown, scale=scale)


def _persons(shot: Sequence[tuple[Frame, tuple[TrackedFace, ...]]]) -> list[Tracklet]:
    tracklets: dict[int, Tracklet] = {}
    for index, (frame, faces) in enumerate(shot):
        for face in faces:
            tracklets.setdefault(face.track, Tracklet([face.track])).add(index, face.landmarks, (frame.width, frame.height), face.texture)
    return persons_by_place(tracklets.values())


def _clearness(faces: Sequence[TrackedFace], persons: Sequence[Tracklet]) -> tuple[int, float]:
    """Return what the frames are compared by: how many of the persons it has, and how little they are turned."""
    present = [face for face in faces if any(face.track in person.tracks for person in persons)]
    return len(present), -sum(abs(_pose(face.landmarks)[1]) for face in present)


def _seen(
    number: int, person: Tracklet, shown: Sequence[TrackedFace], shot: Sequence[tuple[Frame, tuple[TrackedFace, ...]]], scale: float
) -> SeenFace:
    poses = [_pose(face.landmarks) for _, faces in shot for face in faces if face.track in person.tracks]
    here = next((face for face in shown if face.track in person.tracks), None)
    eyes, yaw = (float(np.median(values)) for values in zip(*poses, strict=True))
    return SeenFace(number=number, box=None if here is None else _box(here.landmarks), eyes=eyes * scale, yaw=yaw)


def _pose(landmarks: Float32) -> tuple[float, float]:
    """Return the distance of the outer eye corners in pixels, as if seen from the front, and the yaw in degrees."""
    points = landmarks.astype(np.float64)
    pose = fit_pose(points[None], upright(points))
    return float(pose.scale[0]), float(pose.angles()[0, 0])


def _box(landmarks: Float32) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def report(found: FacesFound) -> Mapping[str, Any]:
    """Return the check as the fields of web.models.FaceCheck."""
    frame = found.shown.frame
    boxed = [(face, face.box) for face in found.faces if face.box is not None]
    faces = [
        {
            "number": face.number,
            "x": _fraction(box[0], frame.width),
            "y": _fraction(box[1], frame.height),
            "width": round(_fraction(box[2], frame.width) - _fraction(box[0], frame.width), 5),
            "height": round(_fraction(box[3], frame.height) - _fraction(box[1], frame.height), 5),
            "pixels": round((box[2] - box[0]) * found.scale),
            "yaw": round(face.yaw, 1),
            "verdict": face.verdict,
        }
        for face, box in boxed
    ]
    return {"verdict": _verdict(found.faces), "faces": faces, "width": found.shown.width, "height": found.shown.height}


def _verdict(faces: Sequence[SeenFace]) -> str:
    if not faces:
        return "none"
    return "several" if len(faces) > 1 else faces[0].verdict


def _fraction(value: float, length: int) -> float:
    return round(min(max(value / length, 0.0), 1.0), 5)
