"""Harvest an atlas, the second pass over a video: store the mouths of the selected frames."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.arrays import Bool, Float32, Float64, Image
from heygem_daemon.lipsync.atlas.face_warp import sample_luma
from heygem_daemon.lipsync.atlas.selection import select_rows
from heygem_daemon.lipsync.atlas.store import CropWriter, Presenter
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.drift import without_drift
from heygem_daemon.lipsync.geometry.landmarks import INNER_LOWER, INNER_UPPER, OUTER_OUTLINE
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.geometry.samples import FaceSample, sample_faces
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.grading import learn_grading, lip_colour
from heygem_daemon.lipsync.imaging.mouth_cover import cover_means, covered_rows, read_profiles
from heygem_daemon.lipsync.imaging.occlusion import SkinSampler, clear_rows
from heygem_daemon.lipsync.imaging.planes import cut_out, mouth_box
from heygem_daemon.lipsync.imaging.polygons import grow_polygon
from heygem_daemon.media.frame import Frame

FrameSource = Callable[[int, int], Iterable[Frame]]
"""Yields the frames start to stop of the video."""
OnFrame = Callable[[int, int, Frame], None]

_SEEK_GAP: Final = 50
"""Frames further apart than this are reached by seeking, nearer ones by decoding what lies between."""
_INTERIOR_HEIGHTS: Final = (0.15, 0.4, 0.6, 0.85)
_INTERIOR_BLUR: Final = 0.008
"""From the upper to the lower lip: where the interior is read; sigma of the Gaussian before, in IOD."""
_LIP_MARGIN: Final = 4
"""Sharpness is measured up to this far around the lips, in pixels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """What the tracks alone show of a presenter. reference: [468, 3], mean canonical face; mouth: how it moves; faces: of atlas frames."""

    reference: Float64
    mouth: MouthModel
    faces: FaceSample


def select_faces(tracks: FaceTracks, name: str) -> Selection:
    """Return the faces that go into the atlas. name: of the video in errors. Raises InputError (`no_face`) when no frame has a face."""
    if not tracks.valid.any():
        raise error("no_face", name=name)
    reference = mean_face(tracks)
    sample = sample_faces(tracks, reference)
    mouth = learn_mouth(sample.frontal().canonical, reference)
    steady = without_drift(sample, mouth)
    return Selection(reference=reference, mouth=mouth, faces=steady.take(select_rows(steady)))


def harvest(selection: Selection, frames: FrameSource, workspace: Path, on_frame: OnFrame) -> Presenter:
    """Learn how the presenter looks, from the selected frames; their mouths go to `workspace`.

    on_frame: gets the number of frames done, that of all, and the frame.
    """
    reference, mouth, faces = selection.reference, selection.mouth, selection.faces
    sampler = SkinSampler(mouth.rest, triangulate(reference, mouth.weight))
    boxes, sharpness, skin_samples, lips, profiles, interiors = [], [], [], [], [], []
    with closing(CropWriter(workspace)) as writer:
        for row, (frame, face) in enumerate(_selected_frames(frames, faces)):
            scale = float(faces.scale[row])
            box = mouth_box(face, scale)
            crop, points = cut_out(frame, box), face - box[:2]
            writer.append(crop)
            boxes.append(box)
            sharpness.append(_sharpness(crop, points))
            skin_samples.append(sampler(crop, points, scale))
            interiors.append(_interior(crop, points, scale) / max(1.0, float(skin_samples[-1].mean())))
            lips.append(lip_colour(crop, points))
            profiles.append(read_profiles(frame, face, scale))
            on_frame(row + 1, len(faces), frame)
    taken = faces.take(np.arange(len(boxes)))
    covered = covered_rows(np.array(profiles))
    clear, limit = _clear_rows(np.array(skin_samples), taken, covered)
    seen = clear if clear.any() else np.ones_like(clear)
    return Presenter(
        reference=reference,
        mouth=mouth,
        faces=taken,
        sharpness=np.array(sharpness),
        interiors=np.array(interiors, np.float32),
        origins=np.array(boxes, np.int64)[:, :2],
        crop_sizes=np.array(boxes, np.int64)[:, 2:] - np.array(boxes, np.int64)[:, :2],
        space=frame.space,
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


def _interior(crop: Frame, points: Float64, scale: float) -> Float32:
    """Return float32 [k]: the luma at places between the lips, the same ones of every mouth."""
    upper, lower = points[list(INNER_UPPER[1:-1])], points[list(INNER_LOWER[1:-1])]
    places = np.concatenate([upper + down * (lower - upper) for down in _INTERIOR_HEIGHTS]).astype(np.float32)
    smooth = cv2.GaussianBlur(crop.y, (0, 0), max(0.5, _INTERIOR_BLUR * scale)).astype(np.float32)
    return sample_luma(smooth, places[:, :1], places[:, 1:])[:, 0]


def _sharpness(crop: Frame, points: Float64) -> float:
    """Return the variance of the Laplacian over the lips, plus one."""
    lips = np.zeros(crop.y.shape, np.uint8)
    cv2.fillPoly(lips, [np.round(grow_polygon(points[list(OUTER_OUTLINE)], _LIP_MARGIN)).astype(np.int32)], 1)
    grey = cv2.cvtColor(crop.bgr(), cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F)[lips > 0].var()) + 1
