"""The time of every part of drawing is measured, whatever the size of the batches."""

from dataclasses import asdict

import pytest

from heygem_daemon.lipsync.atlas.card.compositor import CardCompositor
from heygem_daemon.lipsync.atlas.card.timing import drawing_times
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec
from tests.lipsync.atlas.conftest import CPU, Scene


@pytest.mark.parametrize("batch", [1, 2])
def test_every_part_takes_some_time(batch: int, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    compositor, sizes = CardCompositor(scene.presenter, CPU), []
    spec = DrawSpec(target=scene.opened(0.5)[0], rows=((1, 1.0),), interior=0.0, strength=1.0)
    planned = [compositor.plan(scene.frame, scene.face, spec)] * 3
    upload = compositor.upload
    monkeypatch.setattr(compositor, "upload", lambda part: sizes.append(len(part)) or upload(part))  # type: ignore[func-returns-value]
    times = drawing_times(compositor, planned, batch)
    assert sum(sizes) == 3
    assert max(sizes) == batch
    assert all(value > 0 for value in asdict(times).values())
    assert times.device >= times.launch
