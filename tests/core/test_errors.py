import pickle
import re
import string

import pytest

from heygem_daemon.core.error_catalog import CATALOG, ErrorKind
from heygem_daemon.core.errors import (
    MAX_TRACE,
    DeviceError,
    EngineError,
    InputError,
    SetupError,
    TransientError,
    error,
    restored_error,
    trace_of,
    unforeseen,
)


class _Any(float):
    """Formats as whatever a sentence asks for."""


def _details(code: str) -> dict[str, object]:
    spec = CATALOG[code]
    names = {name for text in (spec.message, spec.hint) for _, name, _, _ in string.Formatter().parse(text) if name}
    return {name: _Any(7) for name in names}


@pytest.mark.parametrize("code", CATALOG)
def test_every_error_is_a_sentence_with_a_hint(code: str) -> None:
    problem = error(code, **_details(code))
    assert problem.code == code
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
    assert str(problem) == problem.message
    assert "{" not in problem.message + problem.hint
    assert CATALOG[code].message.endswith((".", "}"))
    assert problem.hint


@pytest.mark.parametrize("code", CATALOG)
def test_every_error_travels_between_processes(code: str) -> None:
    problem = error(code, **_details(code))
    copy = pickle.loads(pickle.dumps(problem))  # noqa: S301  (our own bytes)
    assert type(copy) is type(problem)
    assert (copy.code, copy.message, copy.hint, copy.retryable) == (code, problem.message, problem.hint, problem.retryable)


def test_every_kind_has_errors_and_a_class_of_its_own() -> None:
    assert {spec.kind for spec in CATALOG.values()} == set(ErrorKind)
    assert {kind: type(error(code, **_details(code))) for code, spec in CATALOG.items() for kind in [spec.kind]} == {
        ErrorKind.INPUT: InputError,
        ErrorKind.TRANSIENT: TransientError,
        ErrorKind.SETUP: SetupError,
        ErrorKind.ENGINE: EngineError,
        ErrorKind.DEVICE: DeviceError,
    }
    assert all(error(code, **_details(code)).kind is spec.kind for code, spec in CATALOG.items())


def test_the_tree_decides_what_is_tried_again() -> None:
    assert not InputError.retryable
    assert TransientError.retryable
    assert issubclass(SetupError, TransientError)
    assert EngineError.retryable
    assert issubclass(DeviceError, EngineError)


def test_an_error_from_another_process_is_the_same_one() -> None:
    sent = error("share_offline", path="/srv/inbox")
    restored = restored_error(sent.code, sent.message, sent.hint)
    assert type(restored) is type(sent)
    assert (restored.code, restored.message, restored.hint, restored.retryable) == (sent.code, sent.message, sent.hint, sent.retryable)


def test_what_nobody_foresaw_is_internal_and_has_its_traceback() -> None:
    problem = unforeseen(_raised(ZeroDivisionError("by nothing")))
    assert problem.code == "internal"
    assert "ZeroDivisionError: by nothing" in problem.message
    assert "in _raised" in problem.trace
    known = error("share_offline", path="/srv/inbox")
    assert unforeseen(_raised(ValueError("x")), known) is known
    assert "ValueError: x" in known.trace


def test_a_long_traceback_keeps_its_beginning_and_its_end() -> None:
    text = trace_of(_raised(ValueError("x" * 50_000 + "the end")))
    assert text.startswith("Traceback")
    assert text.endswith("the end\n")
    assert len(text) < MAX_TRACE + 20


def _raised(problem: Exception) -> Exception:
    try:
        raise problem
    except type(problem) as caught:
        return caught
