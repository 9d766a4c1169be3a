import json

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
