"""Every place that logs gives the fields that the sentence of its event cannot do without."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.message_template import names_in, sentence

PACKAGE: Final = Path(__file__).parents[2] / "heygem_daemon"
LOGS: Final = frozenset({"log", "_log", "counting_log"})
CONTEXTS: Final = {"log_context": {"job_id", "job"}}
"""Methods whose result is given as `**x.log_context()`, and the fields in it."""


class CallSite(NamedTuple):
    """One call of a log. fields: what it gives; constants: of these the ones that are None, or "", for ever."""

    place: str
    event: str
    fields: frozenset[str]


def needed(template: str) -> set[str]:
    """Return the fields outside brackets: without one of them the sentence has a question mark."""
    return names_in(re.sub(r"\[[^\]]*\]", "", template))


def _is_log(function: ast.expr) -> bool:
    return (isinstance(function, ast.Attribute) and function.attr in LOGS) or (isinstance(function, ast.Name) and function.id in LOGS)


def _names(expression: ast.expr, scope: ast.AST) -> set[str]:
    """Return the events that the first argument may be: constants, a choice of two, or what the variable is given in its function."""
    if isinstance(expression, ast.Constant):
        return {str(expression.value)}
    if isinstance(expression, ast.IfExp):
        return _names(expression.body, scope) | _names(expression.orelse, scope)
    return {str(node.value) for node in ast.walk(scope) if isinstance(node, ast.Constant) and node.value in EVENTS}


def _given(call: ast.Call, scope: ast.AST) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            if not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None):
                yield keyword.arg
        else:
            yield from _spread(keyword.value, scope)


def _spread(value: ast.expr, scope: ast.AST) -> Iterator[str]:
    """Yield the fields that `**value` gives."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        yield from CONTEXTS.get(value.func.attr, set())
    elif isinstance(value, ast.Dict):
        for key, inner in zip(value.keys, value.values, strict=True):
            if key is None:
                yield from _spread(inner, scope)
            elif isinstance(key, ast.Constant):
                yield str(key.value)
    elif isinstance(value, ast.Name):
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and any(isinstance(each, ast.Name) and each.id == value.id for each in node.targets):
                yield from _spread(node.value, scope)


def call_sites() -> list[CallSite]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        for scope in scopes:
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and _is_log(node.func) and node.args:
                    place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                    found += [
                        CallSite(place, name, frozenset(_given(node, scope))) for name in _names(node.args[0], scope) if name in EVENTS
                    ]
    return found


@pytest.fixture(scope="module")
def calls() -> list[CallSite]:
    return call_sites()


def test_the_places_that_log_are_found(calls: list[CallSite]) -> None:
    assert {call.event for call in calls} >= EVENTS.keys() - {"web_login_refused"}
    assert len({call.place for call in calls}) > 60


@pytest.mark.parametrize("event", EVENTS)
def test_every_place_gives_what_the_sentence_needs(calls: list[CallSite], event: str) -> None:
    wanted = needed(EVENTS[event].message)
    assert {call.place: sorted(wanted - call.fields) for call in calls if call.event == event and wanted - call.fields} == {}


@pytest.mark.parametrize("event", EVENTS)
def test_a_sentence_with_what_it_needs_has_no_question_mark(event: str) -> None:
    assert "?" not in sentence(EVENTS[event].message, dict.fromkeys(needed(EVENTS[event].message), "x"))
