"""Draw one frame: the presenter's face, moved to a target shape, with the mouth of atlas frames."""

from typing import Final

import numpy as np

from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec, Planner
from heygem_daemon.lipsync.atlas.face_warp import warp_face
from heygem_daemon.lipsync.atlas.interior import Palette, SourceInterior, draw_interior, skin_colour
from heygem_daemon.lipsync.atlas.source_mouth import SourceMouth, put_mouth
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.triangulation import lip_triangles, triangulate
from heygem_daemon.media.frame import Frame

LEAST_INTERIOR: Final = 0.02
"""Weight up to which no interior is painted."""


class Compositor:
    """Draws on frames of one presenter, on the CPU. Any number of threads may draw at once: what takes time releases the GIL."""

    def __init__(self, presenter: Presenter) -> None:
        self.presenter = presenter
        mesh = triangulate(presenter.reference, presenter.mouth.weight)
        self._planner = Planner(mesh, presenter.mouth.weight)
        self._mouth = np.ascontiguousarray(mesh.mouth)
        self._opening = np.concatenate([lip_triangles(mesh), mesh.inside])

    def draw(self, frame: Frame, face: Face, spec: DrawSpec) -> Frame:
        """Return the frame with `spec` drawn on its `face`; pixels that nothing touches stay bit-identical."""
        plan = self._planner.plan(face, spec)
        sources = [self._source_mouth(row, weight) for row, weight in spec.rows]
        roi = warp_face(frame, plan)
        mouth = roi.part(plan.mouth)
        put_mouth(mouth, plan, sources, self._mouth)
        if spec.interior * spec.strength > LEAST_INTERIOR:
            palette = Palette(skin=skin_colour(frame, face.points), grading=self.presenter.grading, space=frame.space)
            source = None if spec.interior_row is None else self._source_interior(spec.interior_row)
            draw_interior(mouth, plan, rest=self.presenter.mouth.rest, triangles=self._opening, palette=palette, source=source)
        return roi.written_on(frame)

    def _source_mouth(self, row: int, weight: float) -> SourceMouth:
        presenter = self.presenter
        return SourceMouth(crop=presenter.crop(row), points=presenter.faces.points[row] - presenter.origins[row], weight=weight)

    def _source_interior(self, row: int) -> SourceInterior:
        return SourceInterior(mouth=self._source_mouth(row, 1.0), canonical=self.presenter.faces.canonical[row])
