"""A card draws what the CPU draws: here on the CPU, by torch, from the same plans."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from heygem_daemon.core.errors import DeviceError
from heygem_daemon.lipsync.atlas.card.compositor import CardCompositor
from heygem_daemon.lipsync.atlas.compositor import Compositor
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec
from heygem_daemon.lipsync.geometry.pose import Face, FaceReader
from heygem_daemon.lipsync.imaging.card.device_kernels import TorchKernels
from heygem_daemon.lipsync.imaging.card.rasterising import TriangleTable
from heygem_daemon.lipsync.imaging.card.sampling import Kernel
from heygem_daemon.media.frame import Frame
from tests.lipsync.atlas.conftest import CPU, Scene
from tests.lipsync.conftest import Clip

Item = tuple[Frame, Face, DrawSpec]

SPECS = (
    {"opening": 0.9, "rows": ((3, 1.0),), "interior": 0.0, "strength": 1.0},
    {"opening": 0.0, "rows": ((9, 0.67), (14, 0.33)), "interior": 0.0, "strength": 1.0},
    {"opening": 1.0, "rows": ((20, 1.0),), "interior": 1.0, "strength": 0.6, "interior_row": 4},
    {"opening": 0.6, "rows": ((11, 1.0),), "interior": 1.0, "strength": 1.0},
    {"opening": 0.5, "rows": ((2, 0.5), (18, 0.5)), "interior": 0.7, "strength": 1.0, "interior_row": 12},
)


@pytest.fixture(scope="module")
def items(clip: Clip, scene: Scene) -> list[Item]:
    """Frames of the clip with their faces, one for each of SPECS; shut lips overlap, the face of the last reaches beyond the frame."""
    read, found = FaceReader(clip.tracks, scene.presenter.reference), []
    for index, spec in enumerate(SPECS):
        face = read(index)
        assert face is not None
        if index == len(SPECS) - 1:
            face = replace(face, points=face.points + np.full(2, face.scale))
        target = scene.presenter.mouth.target(float(str(spec["opening"])), 0.5)
        if spec["opening"] == 0:
            target = scene.presenter.mouth.opened_by(target, -0.03)
        drawn = DrawSpec(target=target, **{name: value for name, value in spec.items() if name != "opening"})  # type: ignore[arg-type]
        found.append((clip.frames[index], face, drawn))
    return found


@pytest.fixture(scope="module")
def drawn(items: list[Item], scene: Scene) -> list[Frame]:
    return draw(CardCompositor(scene.presenter, CPU), items)


def draw(compositor: CardCompositor, items: Sequence[Item]) -> list[Frame]:
    return compositor.draw([compositor.plan(*item) for item in items])


def test_a_card_draws_what_the_cpu_draws(items: list[Item], drawn: list[Frame], scene: Scene) -> None:
    on_cpu = Compositor(scene.presenter)
    for item, ours in zip(items, drawn, strict=True):
        expected, source = on_cpu.draw(*item).i420(), item[0].i420()
        changed = (expected != source) | (ours.i420() != source)
        difference = np.abs(ours.i420().astype(int) - expected)[changed]
        assert changed.sum() > 2000
        assert 10 * np.log10(255**2 / (difference**2).mean()) > 55
        assert difference.max() <= 2


def test_what_is_far_from_the_mouth_stays_bit_identical(items: list[Item], drawn: list[Frame]) -> None:
    for (frame, face, _), ours in zip(items, drawn, strict=True):
        above = max(0, int(face.points[:, 1].min()))
        assert np.array_equal(frame.y[:above], ours.y[:above])
        assert np.array_equal(frame.u[: above // 2], ours.u[: above // 2])
        assert (ours.index, ours.space) == (frame.index, frame.space)


def test_a_frame_does_not_depend_on_those_drawn_with_it(items: list[Item], drawn: list[Frame], scene: Scene) -> None:
    compositor = CardCompositor(scene.presenter, CPU)
    for item, together in zip(items, drawn, strict=True):
        (alone,) = draw(compositor, [item])
        assert np.abs(alone.i420().astype(int) - together.i420()).max() <= 1


class _SmallMemory(TorchKernels):
    """Kernels of a device that holds `frames` frames at once."""

    def __init__(self, frames: int) -> None:
        self.frames, self.refused = frames, 0

    def sample(self, texels: Tensor, table: Tensor, places: Tensor, kernel: Kernel) -> Tensor:
        if kernel is Kernel.CUBIC and len(table) > self.frames:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().sample(texels, table, places, kernel)


def test_a_batch_that_does_not_fit_is_halved(items: list[Item], drawn: list[Frame], scene: Scene) -> None:
    kernels = _SmallMemory(1)
    found = draw(CardCompositor(scene.presenter, CPU, kernels), items[:2])
    assert kernels.refused > 0
    for ours, expected in zip(found, drawn, strict=False):
        assert np.abs(ours.i420().astype(int) - expected.i420()).max() <= 1
    with pytest.raises(DeviceError):
        draw(CardCompositor(scene.presenter, CPU, _SmallMemory(0)), items[:1])


class _OnMeta(TorchKernels):
    """Kernels for torch's device without memory, on which whatever needs a value to go on, or a tensor of the CPU, fails."""

    def rasterise(self, triangles: TriangleTable, size: tuple[int, int]) -> Tensor:
        assert triangles.values.is_meta
        assert triangles.boxes.is_meta
        return torch.empty((len(triangles.values), 2, *size), device="meta")

    def sample(self, texels: Tensor, table: Tensor, places: Tensor, kernel: Kernel) -> Tensor:
        assert texels.is_meta
        assert table.is_meta
        return torch.empty((len(places), *places.shape[2:]), device="meta")


def test_drawing_waits_for_nothing_and_needs_nothing_of_the_cpu(items: list[Item], scene: Scene) -> None:
    compositor = CardCompositor(scene.presenter, torch.device("meta"), _OnMeta())
    on_cpu = CardCompositor(scene.presenter, CPU)
    batch = on_cpu.upload([on_cpu.plan(*item) for item in items])
    parts = {name: _to_meta(getattr(batch, name)) for name in ("face", "mouth", "interior", "shown")}
    drawn = compositor.draw_on_device(replace(batch, **parts, sources=tuple(_to_meta(each) for each in batch.sources)))
    height, width = batch.size
    assert drawn.is_meta
    assert drawn.shape == (len(items), height * width * 3 // 2)


def _to_meta(tensors: Any) -> Any:
    """Return a dataclass of tensors on the device without memory."""
    return replace(tensors, **{field.name: getattr(tensors, field.name).to("meta") for field in fields(tensors)})
