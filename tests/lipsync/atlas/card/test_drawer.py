"""A stream of frames drawn in batches comes out in order, and whole."""

from collections.abc import Iterator

import numpy as np
import pytest

from heygem_daemon.lipsync.atlas.card import drawer
from heygem_daemon.lipsync.atlas.card.drawer import BatchDrawer
from heygem_daemon.lipsync.atlas.compositor import Compositor
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec
from heygem_daemon.lipsync.atlas.drawers import DrawTask
from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.lipsync.ports import NotDriven
from tests.lipsync.atlas.conftest import Scene
from tests.lipsync.conftest import Clip
from tests.lipsync.renderer_contract import RendererContract, Stage, same, syllables

NUMBERED = "cpu:0"
"""A device that is not the CPU by its name, so that batches are drawn on it."""


def tasks(clip: Clip, scene: Scene, count: int) -> Iterator[DrawTask]:
    """Frames of which every third has no face."""
    target, _ = scene.opened(0.8)
    spec = DrawSpec(target=target, rows=((4, 1.0),), interior=0.0, strength=1.0)
    for index in range(count):
        if index % 3 == 1:
            yield DrawTask(frame=clip.frames[index], not_driven=NotDriven.NO_FACE)
        else:
            yield DrawTask(frame=clip.frames[index], face=scene.face, spec=spec, target_opening=index / 10)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_task_gives_its_frame_whatever_the_batches(count: int, clip: Clip, scene: Scene) -> None:
    on_cpu, taken = Compositor(scene.presenter), list(tasks(clip, scene, count))
    drawn = list(BatchDrawer(scene.presenter, "cpu", batch=3).draw(iter(taken)))
    assert len(drawn) == count
    for task, found in zip(taken, drawn, strict=True):
        assert found.not_driven is task.not_driven
        if task.face is None or task.spec is None:
            assert found.frame is task.frame
            assert not found.is_drawn
        else:
            expected = on_cpu.draw(task.frame, task.face, task.spec)
            assert found.target_opening == task.target_opening
            assert np.abs(found.frame.i420().astype(int) - expected.i420()).max() <= 2


def test_no_more_than_two_batches_are_taken_ahead_and_large_frames_in_small_ones(
    clip: Clip, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawer, "_HELD_BYTES", 2 * clip.frames[0].i420().nbytes)
    taken = 0

    def counted() -> Iterator[DrawTask]:
        nonlocal taken
        for task in tasks(clip, scene, 20):
            taken += 1
            yield task

    drawn = BatchDrawer(scene.presenter, "cpu").draw(counted())
    for number in range(3):
        next(drawn)
        assert taken <= number + 2 * 2


def test_a_video_rendered_on_a_card_is_that_of_the_cpu(clip: Clip, prepared: PreparedAtlas) -> None:
    frames, motion = clip.frames[12:33], [syllables(21)]
    on_cpu = list(AtlasRenderer("cpu", threads=1).render(prepared, frames, motion))
    on_card = list(AtlasRenderer(NUMBERED, batch=4).render(prepared, frames, motion))
    assert sum(done.is_drawn for done in on_card) > 10
    for theirs, ours, source in zip(on_cpu, on_card, frames, strict=True):
        assert (ours.not_driven, ours.is_drawn) == (theirs.not_driven, theirs.is_drawn)
        assert same(ours.frame, source) == same(theirs.frame, source)
        assert np.abs(ours.frame.i420().astype(int) - theirs.frame.i420()).max() <= 2


@pytest.mark.slow
class TestACardIsARenderer(RendererContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls, clip: Clip, prepared: PreparedAtlas) -> Stage:
        renderer = AtlasRenderer(NUMBERED, batch=4)
        points = clip.tracks.landmarks(0, clip.tracks.frames)[..., :2]
        (x0, y0), (x1, y1) = np.nanmin(points, (0, 1)), np.nanmax(points, (0, 1))
        margin = 0.6 * (x1 - x0)
        box = (max(0, int(x0 - margin / 2)), int(y0), min(384, int(x1 + margin / 2)), min(384, int(y1 + margin)))
        return Stage(renderer=renderer, prepared=prepared, frames=clip.frames, faceless=frozenset(clip.gap), face=box, at_once=2 * 4)
