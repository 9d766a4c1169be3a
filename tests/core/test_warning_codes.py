import pytest

from heygem_daemon.core.warning_codes import WARNINGS, WarningCode, describe_warning


def test_every_warning_has_its_sentences_and_no_sentence_is_without_its_warning() -> None:
    assert set(WARNINGS) == set(WarningCode)


@pytest.mark.parametrize("code", WarningCode)
def test_a_warning_is_described_by_its_sentence_its_hint_and_its_code(code: WarningCode) -> None:
    described = describe_warning(str(code))
    spec = WARNINGS[code]
    assert described == f"{spec.message} {spec.hint} ({code.value})"
    assert spec.message.endswith(".")
    assert spec.hint.endswith(".")


def test_an_unknown_warning_is_described_by_its_code() -> None:
    assert describe_warning("too_purple") == "too_purple"
