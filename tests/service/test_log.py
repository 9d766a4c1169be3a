"""Logs: one JSON object per line on a pipe, the journal as a service, and no event that is not listed."""

import io
import json
import os
import re
import threading
from pathlib import Path

import pytest

from heygem_daemon.service import systemd
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


def test_the_level_can_be_changed_at_any_time() -> None:
    out = io.StringIO()
    log = StructLog(stream=out, level="error")
    log("drop_seen")
    log.set_level("info")
    log("drop_claimed")
    log.set_level("error")
    log("drop_restored")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["drop_claimed"]


def test_a_traceback_stays_in_its_line_and_the_sentence_names_the_exception() -> None:
    out = io.StringIO()
    log = StructLog(stream=out)
    try:
        raise ValueError("broken")
    except ValueError:
        log("tick_failed", level="error", exc_info=True)
    (line,) = out.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]
    assert json.loads(line)["message"] == "one round of the daemon failed: ValueError: broken"


def test_a_line_has_a_sentence_for_people() -> None:
    out = io.StringIO()
    StructLog(stream=out)("item_published", job="lesson-01", item="teacher-a", seconds=12.34)
    assert json.loads(out.getvalue())["message"] == "lesson-01/teacher-a: published after 12.3 s"


def test_a_name_that_is_no_utf_8_is_written_to_a_stream_that_takes_nothing_else(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8", errors="strict") as out:
        StructLog(style="json", stream=out)("drop_seen", job=os.fsdecode(b"b\xffd"))
    assert os.fsencode(json.loads((tmp_path / "log").read_bytes())["job"]) == b"b\xffd"


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("name", ["a\nb", "a\u2028b", "a\x85b", "\x1b[2Jx", "a\udcffb", "\u202ebidi", "n" * 200_000])
def test_whatever_a_name_holds_its_line_is_one_line_of_limited_length(style: str, name: str, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8", errors="strict" if style == "json" else "backslashreplace") as out:
        StructLog(style=style, stream=out)("item_failed", level="error", job=name, item=name, reason=name, error_code="x")
    written = (tmp_path / "log").read_text(encoding="utf-8")
    assert len(written.splitlines()) == 1
    assert len(written) < 150_000
    assert not set(written) & {"\x1b", "\x85"}
    if style == "json" and len(name) < 1000:
        assert json.loads(written)["job"] == name


def test_a_broken_stream_raises_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    StructLog(style="json", stream=Gone())("drop_seen", job="a")


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as out:
        log = StructLog(style="json", stream=out)

        def work() -> None:
            for _ in range(50):
                log("item_late", token="t" * 5000)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [json.loads(line)["event"] for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()] == ["item_late"] * 200


@pytest.mark.parametrize(("matches", "there", "style"), [(True, True, "journal"), (True, False, "json"), (False, True, "json")])
def test_auto_is_the_journal_where_standard_error_leads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matches: bool, there: bool, style: str
) -> None:
    with (tmp_path / "stderr").open("w", encoding="utf-8") as out:
        found = os.fstat(out.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + (not matches)}")
        monkeypatch.setattr("heygem_daemon.service.log.journal_is_there", lambda: there)
        assert StructLog(stream=out).style == style


def test_without_a_journal_its_style_writes_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "journal", None)
    out = io.StringIO()
    StructLog(style="journal", stream=out)("drop_seen", job="a", inbox="/in")
    assert json.loads(out.getvalue())["message"] == "a: a new folder in /in"


def test_an_event_that_is_not_listed_raises() -> None:
    with pytest.raises(UnknownEventError, match="drop_lost"):
        StructLog(stream=io.StringIO())("drop_lost")


def test_every_event_in_the_code_is_listed_and_every_listed_one_is_used() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.name != "events.py")
    called = set(re.findall(r"""(?:\blog|_log)\(\s*"(\w+)""", text))
    assert called <= EVENTS.keys()
    unused = {event for event in EVENTS if f'"{event}"' not in text}
    assert not unused
