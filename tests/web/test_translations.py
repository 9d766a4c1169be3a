"""Everything that the daemon says in codes and sentences has words in every language of the page."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Final

import pytest

import heygem_daemon
from heygem_daemon.core.error_catalog import CATALOG
from heygem_daemon.core.errors import error
from heygem_daemon.core.job import Failure, Item, State
from heygem_daemon.core.policy import Backoff, Breaker, Policy, after_failure, after_interruption
from heygem_daemon.core.status_builder import STAGES
from heygem_daemon.core.users import UserRules, Waiting
from heygem_daemon.core.warning_codes import WARNINGS
from heygem_daemon.core.work import WorkerState
from heygem_daemon.web.jobs.reasons import translate
from heygem_daemon.web.words import LOCALES, catalog

PACKAGE: Final = Path(heygem_daemon.__file__).parent
HAN: Final = re.compile(r"[\u4e00-\u9fff]")
SPEAKING: Final = ("daemon/candidates.py", "daemon/dispatcher.py", "daemon/requests.py", "daemon/status_reporter.py")
"""The modules that write a reason themselves, besides core/policy.py, whose functions are called here."""
EVENTS: Final = {"drop_restored", "daemon_unwell"}
"""Events of the log whose `reason` never reaches a status."""


def _codes(language: str) -> dict[str, str]:
    texts: dict[str, str] = json.loads((LOCALES / language / "codes.json").read_text(encoding="utf-8"))
    return texts


def test_every_code_has_a_chinese_sentence_and_a_hint_and_none_is_left_over() -> None:
    tables = (("error", CATALOG), ("warning", WARNINGS))
    wanted = {f"{kind}.{code}{hint}" for kind, table in tables for code in table for hint in ("", ".hint")}
    assert set(_codes("zh")) == wanted
    assert all(HAN.search(sentence) for sentence in _codes("zh").values())


def test_every_error_has_a_short_english_sentence_for_the_statistics() -> None:
    assert set(_codes("en")) == {f"error.{code}" for code in CATALOG}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_sentences_of_codes_have_no_details_to_fill_in(language: str) -> None:
    fields = {key: [field for _, field, _, _ in Formatter().parse(text) if field] for key, text in _codes(language).items()}
    assert {key: found for key, found in fields.items() if found} == {}


@pytest.mark.parametrize("area", ["jobs", "system"])
def test_the_screens_have_the_same_texts_with_the_same_fields_in_both_languages(area: str) -> None:
    english, chinese = (
        {
            key: {field for _, field, _, _ in Formatter().parse(text) if field} - {"th"}
            for key, text in json.loads((LOCALES / language / f"{area}.json").read_text(encoding="utf-8")).items()
        }
        for language in ("en", "zh")
    )
    assert english == chinese


def test_every_state_stage_and_state_of_a_device_has_a_word() -> None:
    keys = [f"state.{state}" for state in State] + [f"jobs.stage.{stage}" for stage in STAGES] + [f"system.device.{s}" for s in WorkerState]
    assert [key for key in keys if key not in catalog("en") or key not in catalog("zh")] == []


def _texts_of_screens() -> Iterator[tuple[str, str]]:
    """Yield (file, key) of every literal key that scripts and templates of the screens ask for."""
    web = PACKAGE / "web"
    for path in (*web.glob("static/js/*.js"), *web.glob("templates/*.html")):
        for key in re.findall(r"""\bt\(\s*['"]([a-z]+(?:[._-][A-Za-z_-]+)+)['"]\s*[,)]""", path.read_text(encoding="utf-8")):
            yield path.name, key


def test_every_text_that_a_screen_asks_for_exists() -> None:
    assert sorted({(name, key) for name, key in _texts_of_screens() if key not in catalog("en") or key not in catalog("zh")}) == []


# -- reasons -----------------------------------------------------------------------------------------------------------


def _reasons_in(source: str) -> Iterator[str]:
    """Yield the sentences that a module writes as reasons: second arguments of `waits` and `hold`, keyword `reason`, and what functions
    named after waiting return. A field of an f-string is a name, or another reason where it may be one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and not _is_log(node):
            places = node.args[1:2] if isinstance(node.func, ast.Attribute) and node.func.attr in {"waits", "hold"} else []
            yield from _sentences([*places, *(each.value for each in node.keywords if each.arg == "reason")])
        elif isinstance(node, ast.FunctionDef) and node.name in {"_waiting_for", "_blocked_by"}:
            yield from _sentences([each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value is not None])


def _is_log(node: ast.Call) -> bool:
    return bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value in EVENTS


def _sentences(values: list[ast.expr]) -> Iterator[str]:
    for value in values:
        for part in value.values if isinstance(value, ast.BoolOp) else [value]:
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
                yield part.value
            elif isinstance(part, ast.JoinedStr):
                yield "".join(_filled(each) for each in part.values)


def _filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    return "The graphics card ran out of memory." if ast.unparse(part.value).endswith(".message") else "name"


WRITTEN: Final = sorted({sentence for module in SPEAKING for sentence in _reasons_in((PACKAGE / module).read_text(encoding="utf-8"))})


def _written_by_policy() -> list[str]:
    policy = Policy(attempts=3, backoff=Backoff((30.0,)))
    running = Item(key="a", recording="a.wav", video="a.mp4", output="a.mp4", thumbnail="a.jpg", state=State.RUNNING, attempt=1)
    problem = error("device_memory")
    breaker = Breaker(threshold=1, cool_down=60.0).failed(0.0)
    return [
        after_failure(running, problem.kind, Failure.of(problem), 0.0, policy).reason,
        after_interruption(running, policy).reason,
        after_interruption(running, policy, orderly=True).reason,
        *(words for words in (breaker.describe(1.0), breaker.describe(61.0), breaker.started().describe(61.0)) if words),
        *(words for words in (UserRules(waiting_drops=n).why_not_yet(Waiting(drops=n), 1) for n in (1, 50)) if words),
        UserRules(waiting_bytes=10**9).why_not_yet(Waiting(drops=1, size=10**9), 1) or "",
    ]


def test_the_search_for_reasons_finds_those_that_are_known() -> None:
    assert {
        "Held back by hand",
        "Looking into the files",
        "Cancelled",
        "Paused: PAUSE lies in the inbox",
        "The inbox is offline: name",
    } <= set(WRITTEN)


@pytest.mark.parametrize("sentence", [*WRITTEN, *_written_by_policy()])
def test_every_reason_that_the_daemon_writes_has_chinese_words(sentence: str) -> None:
    translated = translate("zh", sentence)
    assert HAN.search(translated)
    assert "graphics card" not in translated, "the sentence inside is translated too"
    assert translate("en", sentence) == sentence


@pytest.mark.parametrize("code", CATALOG)
def test_every_sentence_of_the_table_of_errors_is_recognised_whatever_its_details(code: str) -> None:
    message = re.sub(r"\{[^}]*\}", "3 <names>.mp4", CATALOG[code].message)
    assert HAN.search(translate("zh", message))


def test_details_stay_in_a_translated_reason() -> None:
    problem = error("disk_full", free="1.5 GB", needed="20.0 GB", path="/srv")
    assert translate("zh", problem.message) == "/srv 的磁盘空间不足：可用 1.5 GB，需要 20.0 GB。"
    assert translate("zh", "Waiting for the copy to finish (1.5 GB so far)") == "正在等待复制完成（已有 1.5 GB）"
    held = translate("zh", "Attempt 1 of 3 failed, trying again: The graphics card ran out of memory.")
    assert held == "第 1 次尝试失败（最多 3 次），将重试：显卡内存不足。"


def test_a_sentence_that_nobody_knows_stays_as_it_is() -> None:
    assert translate("zh", "Something new.") == "Something new."
    assert translate("zh", "{0} {x}") == "{0} {x}"
