"""The plain reference for `atlas.compositor`: the face moved to a target shape, with the mouth of atlas frames, by torch and in BGR."""

from typing import Final

import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.geometry.drift import turned_weight
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.media.frame import Frame
from tests.lipsync.atlas.reference.compositing import SourceMouth, changed_pixels, composite, warp_face
from tests.lipsync.atlas.reference.interior import SourceInterior, draw_interior, skin_colour
from tests.lipsync.atlas.reference.roi import RoiTensor, mouth_region, moving_region, padded_bgr, to_bgr, to_tensor

_LEAST_INTERIOR: Final = 0.02
"""Weight up to which no interior is painted."""


class ReferenceCompositor:
    """Draws on frames of one presenter with torch, in BGR, one frame after the other."""

    def __init__(self, presenter: Presenter, device: torch.device) -> None:
        self.presenter, self._device = presenter, device
        self._mesh = triangulate(presenter.reference, presenter.mouth.weight)

    def draw(self, frame: Frame, face: Face, spec: DrawSpec) -> Frame:
        """Return the frame with `spec` drawn on its `face`; pixels that nothing touches stay bit-identical."""
        change = self.presenter.mouth.weight[:, None] * (spec.target - face.canonical)
        moved = face.shifted(spec.strength * change)
        roi = moving_region(frame, face.points, moved, mesh=self._mesh, scale=face.scale, device=self._device)
        image, difference = warp_face(roi, roi.local(face.points), roi.local(moved), self._mesh)
        skin = skin_colour(roi, roi.local(face.points))
        part = mouth_region(roi, image, moved)
        rows, columns = part.slices_in(roi)
        alpha = torch.zeros(roi.size, device=self._device)
        turned = turned_weight(face.angles[0])
        image[:, rows, columns], alpha[rows, columns] = self._mouth(part, part.local(moved), spec, skin, turned)
        return frame.paste(roi.box, to_bgr(image, frame.space), changed_pixels(difference, alpha))  # type: ignore[arg-type]  # not rounded before

    def _mouth(self, part: RoiTensor, moved: Float64, spec: DrawSpec, skin: Tensor, turned: float) -> tuple[Tensor, Tensor]:
        """Return the region with the mouth drawn, float32 [3, h, w], and its alpha [h, w]. skin: [3], its colour."""
        sources = [self._source_mouth(row, weight) for row, weight in spec.rows]
        blended, alpha = composite(part, sources, moved, self._mesh, spec.strength, turned)
        if spec.interior * spec.strength <= _LEAST_INTERIOR:
            return blended, alpha
        row = spec.interior_row
        shown = None if row is None else SourceInterior(mouth=self._source_mouth(row, 1.0), canonical=self.presenter.faces.canonical[row])
        painted, painted_alpha = draw_interior(
            part.with_image(blended),
            moved,
            spec.target,
            rest=self.presenter.mouth.rest,
            mesh=self._mesh,
            weight=spec.interior * spec.strength,
            skin=skin,
            grading=self.presenter.grading,
            source=shown,
        )
        return painted, torch.maximum(alpha, painted_alpha)

    def _source_mouth(self, row: int, weight: float) -> SourceMouth:
        presenter, crop = self.presenter, self.presenter.crop(row)
        points = presenter.faces.points[row] - presenter.origins[row]
        return SourceMouth(image=to_tensor(padded_bgr(crop, (0, 0, crop.width, crop.height)), self._device), points=points, weight=weight)
