"""Measure the mouth in a finished file, in the squares where the tracks of its source have the face.

Drawing moves the lower face only, so each frame is read once, in the square of its source frame, and the decoder gives no more than the
part of the frame that holds all of the squares. Frames in which that shows no face are given to the full tracker, with what is around
them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.mesh import MARGIN, SCORE, FaceMesh, region_of
from heygem_daemon.lipsync.face.tracker import FaceTracker, TrackedFace
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening
from heygem_daemon.media.frame import Box, Frame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo

_MARGIN: Final = 0.2
"""Around the squares this much of the largest is decoded too: a face that lies a little elsewhere is read again in its own square."""
_LEAD_SECONDS: Final = 1.0
"""The tracker begins so much before the frames that it is needed for, and two such stretches nearer than this are one."""


def measure_openings(
    result: MediaInfo, source_frames: Sequence[int], tracks: FaceTracks, models: Path, on_frame: Callable[[int], None]
) -> Float32:
    """Return the lip opening in the first frames of `result`, float32 [n], NaN where the face was not found.

    source_frames: [n], the frame of the source that each shows; tracks: those of the source; on_frame gets the number of frames done.
    Raises SetupError (`models_missing`), and as `VideoReader.frames`.
    """
    faces = _source_faces(source_frames, tracks)
    regions = {i: region_of(face) for i, face in enumerate(faces) if face is not None}
    box = _box(list(regions.values()), tracks.size)
    measured, lost = np.full(len(faces), np.nan, np.float32), []
    if box is None:
        return measured
    mesh = FaceMesh(models)
    with closing(VideoReader(result).cropped(box, len(faces))) as frames:
        for i, frame in enumerate(frames):
            if i in regions:
                measured[i] = _read_opening(mesh, frame, _shifted(regions[i], box))
                if np.isnan(measured[i]):
                    lost.append(i)
            on_frame(i + 1)
    for start, stop in _stretches(lost, tracks.frame_rate):
        _track(result, range(start, stop), faces, measured, FaceTracker(models, frame_rate=tracks.frame_rate))
    return measured


def _read_opening(mesh: FaceMesh, frame: Frame, region: Roi) -> float:
    """Return the lip opening of the face in `region`, NaN where there is none or its centre is elsewhere."""
    landmarks, score = mesh.refine(ImageView(frame), region)
    found = region_of(landmarks)
    is_there = score > SCORE and math.hypot(found.x - region.x, found.y - region.y) < region.size / MARGIN / 2
    return float(lip_opening(landmarks[None])[0]) if is_there else math.nan


def _source_faces(source_frames: Sequence[int], tracks: FaceTracks) -> list[Float32 | None]:
    """Return the landmarks [468, 3] of each frame, None where it has no face. Neighbours show neighbouring frames, forwards or backwards,
    so all of them lie in a stretch of the source no longer than this list."""
    if not source_frames:
        return []
    first = min(source_frames)
    known = tracks.landmarks(first, max(source_frames) + 1)
    return [known[frame - first] if np.isfinite(known[frame - first]).all() else None for frame in source_frames]


def _box(regions: Sequence[Roi], size: tuple[int, int]) -> Box | None:
    """Return the part of the frame, in even pixels, that holds all regions however they are turned; None where there are none."""
    if not regions:
        return None
    margin = _MARGIN * max(region.size for region in regions)
    reach = [region.size / 2 * (abs(np.cos(region.angle)) + abs(np.sin(region.angle))) + margin for region in regions]
    corners = []
    for axis, length in enumerate(size):
        centres = [(region.x, region.y)[axis] for region in regions]
        low = min(centre - half for centre, half in zip(centres, reach, strict=True))
        high = max(centre + half for centre, half in zip(centres, reach, strict=True))
        start = min(max(0, int(low) // 2 * 2), length - 2)
        corners.append((start, max(start + 2, min(length, -(-int(np.ceil(high)) // 2) * 2))))
    (x0, x1), (y0, y1) = corners
    return x0, y0, x1, y1


def _shifted(region: Roi, box: Box) -> Roi:
    return replace(region, x=region.x - box[0], y=region.y - box[1])


def _stretches(frames: Sequence[int], frame_rate: Fraction) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of the stretches in which `frames` (in order) lie, with the lead of the tracker."""
    if not frames:
        return
    lead = round(_LEAD_SECONDS * frame_rate)
    breaks = [place for place, (a, b) in enumerate(pairwise(frames), start=1) if b - a > lead]
    for start, stop in pairwise([0, *breaks, len(frames)]):
        yield max(0, frames[start] - lead), frames[stop - 1] + 1


def _track(result: MediaInfo, stretch: range, faces: Sequence[Float32 | None], measured: Float32, tracker: FaceTracker) -> None:
    """Follow all faces over a stretch; fill in `measured` where it has no number yet."""
    with closing(VideoReader(result).frames(stretch.start, stretch.stop)) as frames:
        for i, frame in zip(stretch, frames, strict=False):
            found, face = tracker.follow(frame), faces[i]
            nearest = None if face is None else _nearest(found, face)
            if nearest is not None and np.isnan(measured[i]):
                measured[i] = lip_opening(nearest.landmarks[None])[0]


def _nearest(faces: Sequence[TrackedFace], source: Float32) -> TrackedFace | None:
    """Return the face that lies within half a face width of that of the source (float32 [468, 3])."""
    reach = 0.5 * float(np.ptp(source[:, 0]))
    distances = [float(np.linalg.norm(face.landmarks[:, :2].mean(0) - source[:, :2].mean(0))) for face in faces]
    best = min(range(len(faces)), key=distances.__getitem__, default=None)
    return None if best is None or distances[best] >= reach else faces[best]
