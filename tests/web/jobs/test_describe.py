"""Jobs in words: why they wait, what was measured, what can be done, in both languages."""

import ast
import re
import time
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.error_catalog import CATALOG
from heygem_daemon.core.job import State
from heygem_daemon.core.status import ErrorStatus, JobStatus, WarningStatus
from heygem_daemon.core.warning_codes import WARNINGS, WarningCode
from heygem_daemon.lipsync import driven_frames, evaluation
from heygem_daemon.settings import Keep, Settings
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs import verdicts as limits
from heygem_daemon.web.jobs.daemon_view import daemon_summary
from heygem_daemon.web.jobs.describe import Describer
from heygem_daemon.web.jobs.index import JobIndex
from heygem_daemon.web.jobs.job_record import record_of
from heygem_daemon.web.jobs.reasons import translate
from heygem_daemon.web.jobs.verdicts import sync_level, verdicts
from heygem_daemon.web.models import JobEntry
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.words import LANGUAGES, catalog
from tests.web.site import Daemon, item_status, job_status

PACKAGE = Path(__file__).resolve().parents[3] / "heygem_daemon"


@pytest.fixture
def describer(settings: Settings, outputs: Path) -> Describer:
    return _describer(settings, outputs, "en")


def _describer(settings: Settings, outputs: Path, language: str) -> Describer:
    """Describe to somebody while a daemon runs."""
    index = JobIndex(settings, Shares(1.0))
    Daemon(outputs).beat()
    index.daemon = index.daemon or _daemon_status(outputs)
    return Describer(index=index, settings=settings, caller=Caller(language=language))


def _daemon_status(outputs: Path) -> Any:
    from heygem_daemon.core.status import DaemonStatus  # noqa: PLC0415

    return DaemonStatus.read((outputs / "status.json").read_bytes())


def entry(describer: Describer, status: JobStatus) -> JobEntry:
    return describer.entry(record_of(status, status.output))


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (0.0, ("good", "")),
        (45.0, ("good", "")),
        (-45.0, ("good", "")),
        (46.0, ("fair", ".late")),
        (90.0, ("fair", ".late")),
        (91.0, ("poor", ".late")),
        (-125.0, ("fair", ".early")),
        (-126.0, ("poor", ".early")),
    ],
)
def test_sync_is_judged_by_what_viewers_notice(offset: float, expected: tuple[str, str]) -> None:
    assert sync_level(offset) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_verdict_is_a_sentence_in_every_language(language: str) -> None:
    measurements = ("sync_offset_ms", "closure_rate", "mouth_correlation", "frames_not_driven")
    for values in (
        (0.0, 1.0, 1.0, 0.0),
        (60.0, 0.72, 0.75, 0.2),
        (-60.0, 0.72, 0.75, 0.2),
        (300.0, 0.1, 0.1, 0.9),
        (-300.0, 0.1, 0.1, 0.9),
    ):
        measured: dict[str, Any] = dict(zip(measurements, values, strict=True))
        found = verdicts(item_status(**measured), language)
        assert [each.name for each in found] == ["sync", "closures", "mouth", "driven"]
        for each in found:
            assert not each.text.startswith("verdict.")
            assert each.value


def test_a_result_without_measurements_has_no_verdicts() -> None:
    assert verdicts(item_status(), "en") == []


def test_a_job_that_waits_says_why_in_the_callers_language(settings: Settings, outputs: Path) -> None:
    status = job_status("lesson", State.WAITING, waiting_for="Paused: PAUSE lies in the inbox")
    assert entry(_describer(settings, outputs, "en"), status).why == "Paused: PAUSE lies in the inbox"
    assert "暂停" in entry(_describer(settings, outputs, "zh"), status).why


def test_a_failed_job_says_what_went_wrong_with_details_in_english_and_by_its_code_elsewhere(settings: Settings, outputs: Path) -> None:
    status = job_status("lesson", State.FAILED)
    assert entry(_describer(settings, outputs, "en"), status).why == "No face was found in teacher.mp4."
    chinese = entry(_describer(settings, outputs, "zh"), status)
    assert chinese.why == catalog("zh")["error.no_face"]
    assert chinese.error_code == "no_face"


def test_an_unknown_code_of_a_newer_daemon_is_shown_as_it_is(settings: Settings, outputs: Path) -> None:
    status = job_status("lesson", State.REJECTED, items=(), error=ErrorStatus(code="of_tomorrow", message="Something new."))
    assert entry(_describer(settings, outputs, "zh"), status).why == "Something new."


def test_warnings_have_a_sentence_and_a_hint(settings: Settings, outputs: Path) -> None:
    item = item_status(warnings=("out_of_sync",), warning_details={"out_of_sync": "By 80 ms."})
    status = job_status(
        "lesson", items=(item,), warnings=(WarningStatus(code="file_ignored", message="x.txt was not used.", hint="Move it."),)
    )
    english = _describer(settings, outputs, "en").detail(record_of(status, "lesson"), status, {})
    assert english.items[0].warnings[0].message == f"{WARNINGS[WarningCode.OUT_OF_SYNC].message} By 80 ms."
    assert english.warnings[0].message == "x.txt was not used."
    assert english.entry.warnings == 2
    chinese = _describer(settings, outputs, "zh").detail(record_of(status, "lesson"), status, {})
    assert chinese.items[0].warnings[0].message == catalog("zh")["warning.out_of_sync"]
    assert chinese.warnings[0].hint == catalog("zh")["warning.file_ignored.hint"]


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (State.SETTLING, "", ["cancel", "hold", "priority"]),
        (State.QUEUED, "", ["cancel", "hold", "priority"]),
        (State.RUNNING, "", ["cancel", "hold", "priority"]),
        (State.RUNNING, "Held back by hand", ["cancel", "resume", "priority"]),
        (State.WAITING, "Held back by lesson.hold", ["cancel", "resume", "priority"]),
        (State.SUCCEEDED, "", []),
        (State.PARTIAL, "", ["retry"]),
        (State.FAILED, "", ["retry"]),
        (State.REJECTED, "", ["retry"]),
        (State.CANCELLED, "Cancelled", ["retry"]),
    ],
)
def test_the_state_decides_what_can_be_done(describer: Describer, state: State, reason: str, expected: list[str], inbox: Path) -> None:
    assert entry(describer, job_status("lesson", state, reason=reason, inbox=str(inbox))).actions == expected


def test_inputs_that_were_kept_long_enough_offer_no_retry_and_no_source(settings: Settings, outputs: Path, inbox: Path) -> None:
    settings = settings.model_copy(update={"keep": Keep(done_days=1, failed_days=2)})
    describer = _describer(settings, outputs, "en")
    old, older = 60 * 30, 60 * 60
    for status, is_kept in (
        (job_status("a", State.FAILED, minutes=old, inbox=str(inbox)), True),
        (job_status("b", State.FAILED, minutes=older, inbox=str(inbox)), False),
        (job_status("c", minutes=old, inbox=str(inbox)), False),
        (job_status("d", minutes=5, inbox=str(inbox)), True),
    ):
        detail = describer.detail(record_of(status, status.output), status, {})
        assert (detail.items[0].source_url is not None) == is_kept
        if status.state is State.FAILED:
            assert detail.entry.actions == (["retry"] if is_kept else [])


def test_names_in_addresses_are_escaped(describer: Describer) -> None:
    status = job_status("lesson", items=(item_status(key="a/b#c?", output="a/b#c?.mp4"),))
    item = describer.detail(record_of(status, "lesson"), status, {}).items[0]
    assert item.result_url is not None
    assert item.result_url.endswith("/files/a/b%23c%3F.mp4")
    assert item.source_url is not None
    assert item.source_url.endswith("/sources/a%2Fb%23c%3F")


def test_the_head_of_the_screens_says_whether_the_history_is_read(describer: Describer) -> None:
    assert daemon_summary(describer.index, "en").outputs == "reading"
    describer.index.ready = True
    assert daemon_summary(describer.index, "en").outputs == "online"
    describer.index.online = False
    assert daemon_summary(describer.index, "en").outputs == "offline"


def test_a_record_is_small(describer: Describer) -> None:
    items = tuple(item_status(key=f"teacher-{number}") for number in range(500))
    record = record_of(job_status("lesson", items=items), "lesson")
    assert len(record.searched) <= 4000
    assert record.engines == (("rewrite", 500),)
    assert record.total == record.done == 500
    assert entry(describer, job_status("lesson", since=job_status("x").since)).since.timestamp() < time.time()


# -- the daemon's own sentences ----------------------------------------------------------------------------------------

_REASONS = (
    ("daemon/candidates.py", "waits"),
    ("daemon/candidate.py", "waits"),
    ("daemon/dispatcher.py", "hold"),
    ("daemon/requests.py", "hold"),
)
"""Calls whose second argument is a sentence that the status shows."""


def _sentences() -> list[str]:
    """Return the sentences that the daemon writes as reasons, from its sources, with `x` for what is filled in."""
    found = []
    for path, call in _REASONS:
        for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == call and len(node.args) > 1:
                found += [text for text in [_constant(node.args[1])] if text]
    for path in ("daemon/status_reporter.py", "core/policy.py", "daemon/dispatcher.py", "daemon/candidates.py"):
        tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name in {"_blocked_by", "_waiting_for"}:
                found += [
                    text
                    for node in ast.walk(function)
                    if isinstance(node, ast.Return) and node.value
                    for text in [_constant(node.value)]
                    if text
                ]
            if isinstance(function, ast.keyword) and function.arg == "reason":
                found += [text for text in [_constant(function.value)] if text]
    return sorted({text for text in found if not re.fullmatch(r"[x\s]*", text)})


def _constant(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "1" for part in node.values)
    return ""


@pytest.mark.parametrize("sentence", _sentences())
def test_every_reason_that_the_daemon_writes_is_known_in_chinese(sentence: str) -> None:
    assert re.search(r"[\u4e00-\u9fff]", translate("zh", sentence)), sentence


def test_there_are_reasons_in_the_daemons_sources() -> None:
    assert len(_sentences()) >= 10


@pytest.mark.parametrize("code", CATALOG)
def test_every_error_that_a_job_may_wait_for_is_known_in_chinese(code: str, settings: Settings, outputs: Path) -> None:
    error = ErrorStatus(code=code, message="Words of the moment.", hint="Do something.")
    found = entry(_describer(settings, outputs, "zh"), job_status("lesson", State.FAILED, items=(item_status(State.FAILED, error=error),)))
    assert re.search(r"[\u4e00-\u9fff]", found.why)


def test_the_words_begin_where_the_warnings_do() -> None:
    """The page may not import what measures: its limits are the same numbers."""
    assert (limits.SYNC_MS, limits.MOUTH_FAIR, limits.CLOSURES_FAIR) == (
        evaluation._SYNC_MS,
        evaluation._CORRELATION,
        evaluation._CLOSURE_RATE,
    )
    assert pytest.approx(1 - driven_frames._NOTICED) == limits.DRIVEN_GOOD
