"""Every message survives encoding and decoding, and what is no message is refused."""

import pytest

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.job import Failure
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.work import WorkerReady, WorkFailed, WorkOrder, WorkProgress, WorkSucceeded
from heygem_daemon.worker.protocol import Heartbeat, Message, ProtocolError, decode, decode_order, encode, encode_order

MESSAGES: list[Message] = [
    Heartbeat(),
    WorkerReady(worker="cpu", device="2 CPU cores", models={"face_mesh": "ab" * 32}),
    WorkProgress(token="t", stage="render", done=3, total=7),
    WorkSucceeded(token="t", result={"frames": 25, "frame_rate": "24000/1001", "warnings": ["hdr_toned"], "sync_offset_ms": None}),
    WorkFailed(
        token="t", kind=ErrorKind.INPUT, failure=Failure(code="no_face", message="Kein Gesicht in \n “ü”", hint="", retryable=False)
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_decoded_as_it_was_encoded(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


def test_an_order_is_decoded_as_it_was_encoded() -> None:
    order = WorkOrder(
        token="t",
        job_id="j",
        item="i",
        recording="/in/\udcff odd\n.wav",
        video="/in/vidéo.mp4",
        output="/o.mp4",
        thumbnail="/o.jpg",
        explain="/o.png",
        script=None,
        options=RenderOptions(engine="rewrite", text="你好"),
        limit_seconds=1.5,
    )
    line = encode_order(order)
    assert line.count(b"\n") == 1
    assert decode_order(line) == order


@pytest.mark.parametrize(
    "line", [b"", b"\xff\xfe", b"hello", b"[]", b'"text"', b'{"type":"unknown"}', b'{"type":"progress"}', b'{"type":"failed","failure":3}']
)
def test_a_line_that_is_no_report_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


@pytest.mark.parametrize("line", [b"", b"null", b"{}", b'{"token":"t","surprise":1}'])
def test_a_line_that_is_no_order_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_order(line)
