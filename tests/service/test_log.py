"""Logs: one JSON object per line on a pipe, and no event that is not listed."""

import io
import json
import re
from pathlib import Path

import pytest

from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.log import StructLog, UnknownEventError

PACKAGE = Path(__file__).parents[2] / "heygem_daemon"


def test_a_pipe_gets_one_json_object_per_line() -> None:
    out = io.StringIO()
    log = StructLog(stream=out)
    log("drop_seen", job="课程 01", inbox="/in", absent=None)
    log("item_failed", level="error", error_code="no_face")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["event"], first["level"], first["job"]) == ("drop_seen", "info", "课程 01")
    assert "absent" not in first
    assert "timestamp" in first
    assert (second["level"], second["error_code"]) == ("error", "no_face")


def test_text_names_the_event_and_its_fields() -> None:
    out = io.StringIO()
    StructLog(style="text", stream=out)("drop_seen", job="a")
    assert "drop_seen" in out.getvalue()
    assert "job=a" in out.getvalue()


def test_lines_below_the_level_are_left_out() -> None:
    out = io.StringIO()
    log = StructLog(stream=out, level="warning")
    log("drop_seen")
    log("inbox_offline", level="warning")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["inbox_offline"]


def test_a_traceback_stays_in_its_line() -> None:
    out = io.StringIO()
    log = StructLog(stream=out)
    try:
        raise ValueError("broken")
    except ValueError:
        log("tick_failed", level="error", exc_info=True)
    (line,) = out.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_an_event_that_is_not_listed_raises() -> None:
    with pytest.raises(UnknownEventError, match="drop_lost"):
        StructLog(stream=io.StringIO())("drop_lost")


def test_every_event_in_the_code_is_listed_and_every_listed_one_is_used() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.name != "events.py")
    called = set(re.findall(r"""(?:\blog|_log)\(\s*"(\w+)""", text))
    assert called <= EVENTS.keys()
    unused = {event for event in EVENTS if f'"{event}"' not in text}
    assert not unused
