"""Draw batches of frames on a card: the same plans as on the CPU, every stage for all frames at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.lipsync.atlas.card.batch import Batch, PlannedFrame, upload_batch
from heygem_daemon.lipsync.atlas.card.canvas import Canvas, block_means
from heygem_daemon.lipsync.atlas.card.face import original, warp_faces
from heygem_daemon.lipsync.atlas.card.interior import draw_interiors
from heygem_daemon.lipsync.atlas.card.mouth import put_mouths
from heygem_daemon.lipsync.atlas.card.resident import BATCH, resident
from heygem_daemon.lipsync.atlas.compositor import LEAST_INTERIOR
from heygem_daemon.lipsync.atlas.draw_plan import DrawPlan, DrawSpec, Planner
from heygem_daemon.lipsync.atlas.interior import InteriorPlan, Palette, plan_interior, plan_source, skin_colour
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.device import is_out_of_memory
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.geometry.triangulation import triangulate
from heygem_daemon.lipsync.imaging.card.device_kernels import TorchKernels, kernels_for
from heygem_daemon.lipsync.imaging.card.staging import Download
from heygem_daemon.media.frame import Frame


@dataclass(frozen=True, kw_only=True, eq=False)
class StartedBatch:
    """Frames that are being drawn on. size: height and width of the largest part; pixels: uint8 [b, h * w * 3 / 2], their parts."""

    planned: tuple[PlannedFrame, ...]
    size: tuple[int, int]
    pixels: Download

    def frames(self) -> list[Frame]:
        """Wait until they are drawn; return them, in order."""
        return [_written(each, part, self.size) for each, part in zip(self.planned, self.pixels.result(), strict=True)]


class CardCompositor:
    """Draws on frames of one presenter, on one device. One thread at a time draws; any number may plan.

    kernels: how the device rasterises and samples; None: the fastest it has
    """

    def __init__(self, presenter: Presenter, device: torch.device, kernels: TorchKernels | None = None) -> None:
        self.presenter = presenter
        mesh = triangulate(presenter.reference, presenter.mouth.weight)
        self._planner = Planner(mesh, presenter.mouth.weight)
        self._there = resident(presenter, mesh, device, kernels or kernels_for(device))
        self._batch = BATCH

    @property
    def device(self) -> torch.device:
        return self._there.device

    def plan(self, frame: Frame, face: Face, spec: DrawSpec) -> PlannedFrame:
        """Return the plan of `spec` on the `face` of a frame."""
        plan = self._planner.plan(face, spec)
        is_painted = spec.interior * spec.strength > LEAST_INTERIOR
        return PlannedFrame(frame=frame, plan=plan, interior=self._plan_interior(frame, face, plan) if is_painted else None)

    def draw(self, planned: Sequence[PlannedFrame]) -> list[Frame]:
        """Return the frames, drawn on, in order; pixels that nothing touches stay bit-identical. Raises as `start`."""
        return [frame for started in self.start(planned) for frame in started.frames()]

    def start(self, planned: Sequence[PlannedFrame]) -> list["StartedBatch"]:
        """Start to draw on frames, without waiting for the end of it.

        Where the device runs out of memory the batches are halved for good. Raises DeviceError (`device_memory`) where not even one frame
        fits.
        """
        started: list[StartedBatch] = []
        done = 0
        while done < len(planned):
            batch = planned[done : done + self._batch]
            try:
                there = self.upload(batch)
                pixels = Download(self.draw_on_device(there))
            except RuntimeError as problem:
                if not is_out_of_memory(problem):
                    raise
                self._shrink()
                continue
            started.append(StartedBatch(planned=tuple(batch), size=there.size, pixels=pixels))
            done += len(batch)
        return started

    def _shrink(self) -> None:
        if self._batch == 1:
            raise error("device_memory")
        self._batch //= 2
        if self._there.device.type == "cuda":
            torch.cuda.empty_cache()

    def upload(self, planned: Sequence[PlannedFrame]) -> Batch:
        """Move the plans and frames of a batch to the device."""
        return upload_batch(planned, self._there)

    def draw_on_device(self, batch: Batch) -> Tensor:
        """Return uint8 [b, h * w * 3 / 2]: the drawn parts of the frames as I420, on the device; nothing waits for their end."""
        with torch.inference_mode():
            canvas = warp_faces(batch.face, batch.size, self._there.kernels)
            canvas = self._with_mouths(canvas, batch)
            canvas = self._with_interiors(canvas, batch)
            return _codes(canvas, original(batch.face, batch.size, self._there.kernels))

    def _with_mouths(self, canvas: Canvas, batch: Batch) -> Canvas:
        mouth = batch.mouth
        frames = torch.arange(len(mouth.corner), device=self._there.device)
        part = canvas.part(frames, mouth.corner, batch.mouth_size)
        part = put_mouths(part, mouth, batch.sources, self._there)
        return canvas.with_part(part, frames, mouth.corner, mouth.sizes)

    def _with_interiors(self, canvas: Canvas, batch: Batch) -> Canvas:
        interior = batch.interior
        if interior is None:
            return canvas
        part = canvas.part(interior.frames, interior.corner, batch.hole_size)
        part = draw_interiors(part, interior, batch.shown, self._there)
        return canvas.with_part(part, interior.frames, interior.corner, interior.sizes)

    def _plan_interior(self, frame: Frame, face: Face, plan: DrawPlan) -> InteriorPlan:
        presenter = self.presenter
        palette = Palette(skin=skin_colour(frame, face.points), grading=presenter.grading, space=frame.space)
        row, source = plan.spec.interior_row, None
        if row is not None:
            source = plan_source(presenter.faces.points[row] - presenter.origins[row], presenter.faces.canonical[row])
        return plan_interior(plan, rest=presenter.mouth.rest, palette=palette, source=source)


def _codes(canvas: Canvas, source: Canvas) -> Tensor:
    """Return uint8 [b, h * w * 3 / 2] of what changed, rounded, and of the source elsewhere; see `kernels.blend.write_back`."""
    luma = torch.where(canvas.changed, canvas.luma, source.luma)
    share = block_means(canvas.changed.float())[:, None]
    colour = canvas.colour * share + source.colour * (1 - share)
    planes = torch.cat([luma.flatten(1), colour.flatten(1)], dim=1)
    return (planes.clamp(0, 255) + 0.5).to(torch.uint8)


def _written(planned: PlannedFrame, pixels: Image, size: tuple[int, int]) -> Frame:
    """Return the frame with its drawn part, the first of `pixels` [h * w * 3 / 2], which has the size of the largest in its batch."""
    frame, (height, width) = planned.frame, size
    out = Frame.from_i420(frame.i420().copy(), width=frame.width, height=frame.height, index=frame.index, space=frame.space)
    x0, y0, x1, y1 = frame.clip(planned.plan.box)
    left, top = x0 - planned.plan.box[0], y0 - planned.plan.box[1]
    luma, colour = pixels[: height * width].reshape(height, width), pixels[height * width :].reshape(2, height // 2, width // 2)
    out.y[y0:y1, x0:x1] = luma[top : top + y1 - y0, left : left + x1 - x0]
    for plane, drawn in zip((out.u, out.v), colour, strict=True):
        there = plane[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
        there[:] = drawn[top // 2 :, left // 2 :][: there.shape[0], : there.shape[1]]
    return out
