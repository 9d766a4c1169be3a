"""An error that nobody foresaw is in the log with its place: from the daemon, a worker, or the process that opens files."""

import pytest

from heygem_daemon.core.errors import MAX_TRACE, HeygemError, error, trace_of, unforeseen
from heygem_daemon.core.work import WorkFailed
from heygem_daemon.intake.inspection_protocol import FileAnswer
from heygem_daemon.worker.loop import failed
from heygem_daemon.worker.protocol import decode, encode
from tests.executors.contract import order


def broken(text: str = "a mistake") -> Exception:
    try:
        raise KeyError(text)
    except KeyError as problem:
        return problem


def test_a_mistake_in_a_worker_travels_with_its_traceback() -> None:
    report = failed(order("t1"), broken())
    assert isinstance(report, WorkFailed)
    assert (report.failure.code, "in broken" in report.trace, "KeyError: 'a mistake'" in report.trace) == ("internal", True, True)
    assert decode(encode(report)) == report
    assert failed(order("t1"), error("no_face", name="a.mp4")).trace == ""


def test_a_mistake_in_the_inspection_travels_with_its_traceback() -> None:
    answer = FileAnswer.decode(FileAnswer.failed(1, unforeseen(broken())).encode())
    with pytest.raises(HeygemError) as raised:
        answer.result()
    assert (raised.value.code, "in broken" in raised.value.trace) == ("internal", True)


def test_a_traceback_is_of_limited_length_and_ends_with_the_error() -> None:
    assert len(trace_of(broken("x" * 10**6))) < MAX_TRACE + 100
    assert trace_of(ValueError("the last words")).endswith("the last words\n")
