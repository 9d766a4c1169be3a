"""Harvest an atlas, the second pass over a video: store the mouths of the selected frames."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.arrays import Bool, Float64, Image
from heygem_daemon.lipsync.atlas.selection import select_rows
from heygem_daemon.lipsync.atlas.store import CropWriter, Presenter
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.landmarks import OUTER_OUTLINE
from heygem_daemon.lipsync.geometry.mouth_model import learn_mouth
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.geometry.samples import FaceSample, sample_faces
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.compositing import grow_polygon
from heygem_daemon.lipsync.imaging.grading import learn_grading, lip_colour
from heygem_daemon.lipsync.imaging.mouth_cover import cover_means, covered_rows, read_profiles
from heygem_daemon.lipsync.imaging.occlusion import SkinSampler, clear_rows
from heygem_daemon.lipsync.imaging.roi import mouth_box, padded_bgr
from heygem_daemon.media.frame import Frame

FrameSource = Callable[[int, int], Iterable[Frame]]
"""Yields the frames start to stop of the video."""

_SEEK_GAP: Final = 50
"""Frames further apart than this are reached by seeking, nearer ones by decoding what lies between."""
_LIP_MARGIN: Final = 4
"""Sharpness is measured up to this far around the lips, in pixels."""


def harvest(tracks: FaceTracks, frames: FrameSource, workspace: Path, name: str, on_frame: Callable[[int, int], None]) -> Presenter:
    """Learn the presenter of a video: statistics from the tracks, mouths from the frames; crops go to `workspace`.

    name: the name of the video in errors. Raises InputError (`no_face`) when no frame has a face.
    """
    if not tracks.valid.any():
        raise error("no_face", name=name)
    reference = mean_face(tracks)
    sample = sample_faces(tracks, reference)
    mouth = learn_mouth(sample.canonical, reference)
    faces = sample.take(select_rows(sample))
    sampler = SkinSampler(mouth.rest, triangulate(reference, mouth.weight))
    origins, sharpness, skin_samples, lips, profiles, writer = [], [], [], [], [], CropWriter(workspace)
    for row, (frame, face) in enumerate(_selected_frames(frames, faces)):
        box = mouth_box(face, float(faces.scale[row]))
        image, points = padded_bgr(frame, box), face - box[:2]
        writer.append(image)
        origins.append(box[:2])
        sharpness.append(_sharpness(image, points))
        skin_samples.append(sampler(image, points, float(faces.scale[row])))
        lips.append(lip_colour(image, points))
        profiles.append(read_profiles(frame, face, float(faces.scale[row])))
        on_frame(row + 1, len(faces))
    writer.close()
    taken = faces.take(np.arange(len(origins)))
    covered = covered_rows(np.array(profiles))
    clear, limit = _clear_rows(np.array(skin_samples), taken, covered)
    seen = clear if clear.any() else np.ones_like(clear)
    return Presenter(
        reference=reference,
        mouth=mouth,
        faces=taken,
        sharpness=np.array(sharpness),
        origins=np.array(origins, np.int64),
        crop_offsets=np.array(writer.crop_offsets, np.int64),
        skin_samples=np.array(skin_samples),
        is_clear=clear,
        skin_limit=limit,
        cover_means=cover_means(np.array(profiles), covered),
        grading=learn_grading(np.array(skin_samples)[seen], np.array(lips)[seen]),
        correction=np.zeros((0, 0)),
        workspace=workspace,
    )


def _clear_rows(skin_samples: Image, faces: FaceSample, covered: Bool) -> tuple[Bool, float]:
    """Return `occlusion.clear_rows` of the frames that are not `covered` (bool [n]), with the others as not clear."""
    free = np.flatnonzero(~covered)
    clear, limit = clear_rows(skin_samples[free], faces.angles[free], faces.index[free])
    return np.isin(np.arange(len(faces)), free[clear]), limit


def _selected_frames(frames: FrameSource, faces: FaceSample) -> Iterator[tuple[Frame, Float64]]:
    """Yield the atlas frames with their landmarks, in order."""
    breaks = np.flatnonzero(np.diff(faces.index) > _SEEK_GAP) + 1
    for rows in np.split(np.arange(len(faces)), breaks):
        wanted = {int(faces.index[row]): row for row in rows}
        for frame in frames(min(wanted), max(wanted) + 1):
            if frame.index in wanted:
                yield frame, faces.points[wanted[frame.index]]


def _sharpness(image: Image, points: Float64) -> float:
    """Return the variance of the Laplacian over the lips, plus one."""
    lips = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(lips, [np.round(grow_polygon(points[list(OUTER_OUTLINE)], _LIP_MARGIN)).astype(np.int32)], 1)
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F)[lips > 0].var()) + 1
