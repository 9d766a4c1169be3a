"""Draws one frame: the presenter's face, moved to a target shape, with the mouth of atlas frames."""

from dataclasses import dataclass
from typing import Final

import torch

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.interior import Inside, draw_interior
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.triangulation import triangulated
from heygem_daemon.lipsync.imaging.compositing import Lent, changed, lay_over, mouth_canvas, open_canvas, to_bgr, to_tensor, warp_face
from heygem_daemon.media.frame import Frame

_SHOWS_INSIDE: Final = 0.025
"""Opening from which a lent mouth shows something of its inside, in IOD."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """What to draw on one frame.

    target:   canonical face [468, 3] to show
    rows:     atlas rows and their shares (they sum to 1)
    interior: 0-1, how much of the inside of the mouth is painted rather than lent
    strength: 0-1, 0 leaves the frame as it is
    """

    target: Float64
    rows: tuple[tuple[int, float], ...]
    interior: float
    strength: float


class Painter:
    """Draws on frames of one presenter, on one device."""

    def __init__(self, presenter: Presenter, device: torch.device) -> None:
        self.presenter, self._device = presenter, device
        self._mesh = triangulated(presenter.reference, presenter.mouth.weight)

    def draw(self, frame: Frame, face: Face, drawing: Drawing) -> Frame:
        """Return the frame with `drawing` on its `face`; pixels that nothing touches stay bit-identical."""
        mouth = self.presenter.mouth
        change = mouth.weight[:, None] * (drawing.target - face.canonical)
        moved_in_picture = face.shifted(drawing.strength * change)
        canvas = open_canvas(frame, face.picture, moved_in_picture, face.scale, self._device)
        image, difference = warp_face(canvas, canvas.local(face.picture), canvas.local(moved_in_picture), self._mesh)
        part = mouth_canvas(canvas, image, moved_in_picture)
        moved = part.local(moved_in_picture)
        lent = [self._lent(row, share) for row, share in drawing.rows]
        blended, alpha = lay_over(part, lent, moved, self._mesh, drawing.strength)
        if drawing.interior * drawing.strength > 0.02:
            row = drawing.rows[0][0]
            is_open = self.presenter.shown_opening(row) > _SHOWS_INSIDE
            blended, painted = draw_interior(
                part.showing(blended),
                moved,
                drawing.target,
                rest=mouth.rest,
                mesh=self._mesh,
                share=drawing.interior * drawing.strength,
                inside=Inside(lent=lent[0], canonical=self.presenter.faces.canonical[row]) if is_open else None,
            )
            alpha = torch.maximum(alpha, painted)
        rows, columns = part.within(canvas)
        image[:, rows, columns] = blended
        whole = torch.zeros(canvas.size, device=self._device)
        whole[rows, columns] = alpha
        return frame.paste(canvas.box, to_bgr(image), changed(difference, whole))

    def _lent(self, row: int, share: float) -> Lent:
        presenter = self.presenter
        points = presenter.faces.picture[row] - presenter.origins[row]
        return Lent(image=to_tensor(presenter.crop(row), self._device), points=points, share=share)
