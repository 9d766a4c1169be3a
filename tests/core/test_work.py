import json
from pathlib import Path

import pytest

from heygem_daemon.core.job import Item, Job
from heygem_daemon.core.publication import StagingPaths
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.work import WorkOrder


def test_a_work_order_travels_as_json() -> None:
    order = WorkOrder(
        token="t",
        job_id="j",
        item="a",
        recording="/in/s.wav",
        video="/in/a.mp4",
        output="/st/a.mp4",
        thumbnail="/st/a.jpg",
        explain="/st/a.png",
        script=None,
        options=RenderOptions(engine="wav2lip", text="你好"),
        limit_seconds=1.5,
    )
    assert WorkOrder.from_json(json.loads(json.dumps(order.to_json()))) == order


@pytest.mark.parametrize(("script", "path"), [("speech.txt", "/in/lesson/speech.txt"), ("", None)])
def test_an_order_for_an_attempt_names_the_claimed_inputs_and_the_staged_files(script: str, path: str | None) -> None:
    job = Job(id="j", name="lesson", inbox="/in", claimed="/in/lesson", output="lesson")
    item = Item(key="a", recording="speech.wav", video="videos/a.mp4", output="a.mp4", thumbnail="thumbnails/a.jpg", script=script)
    staged = StagingPaths(result=Path("/st/a.mp4"), thumbnail=Path("/st/a.jpg"), explain=Path("/st/a.png"))
    options = RenderOptions(quality=20)
    order = WorkOrder.for_attempt(job, item, root=Path("/in/lesson"), staged=staged, token="t", options=options, limit_seconds=2.0)
    assert (order.job_id, order.item, order.token, order.options, order.limit_seconds) == ("j", "a", "t", options, 2.0)
    assert (order.recording, order.video, order.script) == ("/in/lesson/speech.wav", "/in/lesson/videos/a.mp4", path)
    assert (order.output, order.thumbnail, order.explain) == ("/st/a.mp4", "/st/a.jpg", "/st/a.png")
