import pytest

from heygem_daemon.core.warning_codes import WARNINGS, WarningCode, describe_warning


def test_every_warning_has_its_sentences_and_no_sentence_is_without_its_warning() -> None:
    assert set(WARNINGS) == set(WarningCode)


@pytest.mark.parametrize("code", WarningCode)
def test_a_warning_is_told_in_a_sentence_what_to_do_and_its_code(code: WarningCode) -> None:
    told = describe_warning(str(code))
    spec = WARNINGS[code]
    assert told == f"{spec.message} {spec.hint} ({code.value})"
    assert spec.message.endswith(".")
    assert spec.hint.endswith(".")


def test_a_warning_of_another_version_is_told_as_it_is() -> None:
    assert describe_warning("too_purple") == "too_purple"
