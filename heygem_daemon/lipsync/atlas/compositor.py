"""Draw one frame: the presenter's face, moved to a target shape, with the mouth of atlas frames."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.interior import SourceInterior, draw_interior, skin_colour
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.compositing import SourceMouth, changed_pixels, composite, warp_face
from heygem_daemon.lipsync.imaging.roi import RoiTensor, mouth_region, moving_region, to_bgr, to_tensor
from heygem_daemon.media.frame import Frame

_SHOWS_INTERIOR: Final = 0.025
"""Opening from which a source mouth shows something of its interior, in IOD."""
_LEAST_INTERIOR: Final = 0.02
"""Weight up to which no interior is painted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawSpec:
    """The description of what is drawn on one frame.

    target:   canonical face [468, 3] to show
    rows:     atlas rows and their weights (they sum to 1)
    interior: 0-1, how much of the interior of the mouth is painted rather than taken from the source mouth
    strength: 0-1, 0 leaves the frame as it is
    """

    target: Float64
    rows: tuple[tuple[int, float], ...]
    interior: float
    strength: float


class Compositor:
    """Draws on frames of one presenter, on one device."""

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
        image[:, rows, columns], alpha[rows, columns] = self._mouth(part, part.local(moved), spec, skin)
        return frame.paste(roi.box, to_bgr(image), changed_pixels(difference, alpha))

    def _mouth(self, part: RoiTensor, moved: Float64, spec: DrawSpec, skin: Tensor) -> tuple[Tensor, Tensor]:
        """Return the region with the mouth drawn, float32 [3, h, w], and its alpha [h, w]. skin: [3], its colour."""
        sources = [self._source_mouth(row, weight) for row, weight in spec.rows]
        blended, alpha = composite(part, sources, moved, self._mesh, spec.strength)
        if spec.interior * spec.strength <= _LEAST_INTERIOR:
            return blended, alpha
        row = spec.rows[0][0]
        is_open = self.presenter.shown_opening(row) > _SHOWS_INTERIOR
        painted, painted_alpha = draw_interior(
            part.with_image(blended),
            moved,
            spec.target,
            rest=self.presenter.mouth.rest,
            mesh=self._mesh,
            weight=spec.interior * spec.strength,
            skin=skin,
            grading=self.presenter.grading,
            source=SourceInterior(mouth=sources[0], canonical=self.presenter.faces.canonical[row]) if is_open else None,
        )
        return painted, torch.maximum(alpha, painted_alpha)

    def _source_mouth(self, row: int, weight: float) -> SourceMouth:
        presenter = self.presenter
        points = presenter.faces.points[row] - presenter.origins[row]
        return SourceMouth(image=to_tensor(presenter.crop(row), self._device), points=points, weight=weight)
