"""espeak-ng gives the phonemes of a text."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.transcript.align import align
from heygem_daemon.lipsync.speech.transcript.espeak import parse, phonemes_command, pieces, pronounce
from heygem_daemon.lipsync.speech.transcript.language import MANDARIN
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem
from heygem_daemon.media import run
from tests.lipsync.speech.transcript.recordings import words_of
from tests.media import sick_tools


def visemes(text: str, voice: str) -> list[list[str]]:
    return [[VISEMES[phone.viseme] for phone in word.phones] for word in words_of(text, voice)]


def test_the_text_is_no_part_of_the_command() -> None:
    assert phonemes_command("de") == ("espeak-ng", "-q", "--ipa", "--sep=_", "--stdin", "-b", "1", "-v", "de")


def test_words_come_with_their_phonemes_and_the_beginnings_of_clauses() -> None:
    words = words_of("Bob may, Pam.")
    assert [word.phonemes for word in words] == [("b", "ɒ", "b"), ("m", "eɪ"), ("p", "a", "m")]
    assert [word.starts_clause for word in words] == [True, False, True]
    assert visemes("may", "en") == [["PP", "E", "ih"]]


def test_characters_of_mandarin_are_read_as_syllables_and_not_spelt_in_english() -> None:
    assert visemes("八妈不怕", MANDARIN) == [["PP", "aa"], ["PP", "aa"], ["PP", "ou"], ["PP", "aa"]]
    assert visemes("ba1 ma1", MANDARIN) == [["PP", "aa"], ["PP", "aa"]]


def test_an_english_word_among_characters_is_read_as_english() -> None:
    assert visemes("我用Python", MANDARIN)[-1] == visemes("Python", "en")[0]


def test_tones_and_changes_of_language_are_no_phonemes() -> None:
    (first, second) = parse("χ_ˈəɜ_n_ _(en)_t_iː_(cmn)_", "cmn")
    assert (first.phonemes, second.phonemes) == (("χ", "ə", "n"), ("t", "iː"))


def test_a_text_is_cut_at_sentences_and_long_sentences_between_words() -> None:
    text = "One two three. " * 50 + "word " * 100 + "一" * 200
    cut = list(pieces(text, 80))
    assert max(map(len, cut)) <= 80
    assert "".join("".join(cut).split()) == "".join(text.split())
    assert list(pieces("One line\nof a paragraph.\n\nAnother", 80)) == ["One line of a paragraph.\nAnother"]


def test_the_words_do_not_depend_on_how_the_text_is_cut() -> None:
    text = "The first lesson is about the moon. People went up there. Please bring a map of Bombay! " * 60
    whole = words_of(text)
    assert len(whole) == 60 * len(words_of(text[: len(text) // 60]))


def test_a_voice_that_does_not_exist_is_reported() -> None:
    with pytest.raises(TranscriptProblem) as unknown:
        list(pronounce("hello", "xx"))
    assert unknown.value.code == WarningCode.SCRIPT_LANGUAGE_UNKNOWN


@pytest.mark.parametrize("signal", ["KILL", "SEGV"])
def test_an_espeak_that_is_ended_says_nothing_about_the_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: str) -> None:
    monkeypatch.setattr(run, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    tool = sick_tools.sicken(tmp_path, "espeak-ng", sick_tools.KILLED.format(signal=signal))
    with pytest.raises(TranscriptProblem) as ended:
        list(pronounce("hello", "en"))
    assert ended.value.code == WarningCode.SCRIPT_WITHOUT_ESPEAK
    assert tool.calls == (1 if signal == "KILL" else run.TRIES)


@pytest.mark.parametrize("action", ["echo 'phontab: No such file or directory' >&2; exit 1", "exit 0"], ids=["no voices", "silent"])
@pytest.mark.parametrize("language", ["de", None], ids=["named", "detected"])
def test_an_espeak_that_reads_nothing_at_all_says_nothing_about_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, language: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    sick_tools.sicken(tmp_path, "espeak-ng", action)
    assert align("Guten Tag, liebe Leute", language, [], seconds=60).warning == WarningCode.SCRIPT_WITHOUT_ESPEAK
    sick_tools.sicken(tmp_path, "espeak-ng", action, at='[[ "$*" == *"-v de"* ]]')
    expected = WarningCode.SCRIPT_MISMATCH if action == "exit 0" else WarningCode.SCRIPT_LANGUAGE_UNKNOWN
    assert align("Guten Tag, liebe Leute", "de", [], seconds=60).warning == expected


def test_without_espeak_the_transcript_is_ignored_with_a_warning_and_the_recording_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    read: list[Float32] = []

    def posteriors() -> Iterator[Float32]:
        read.append(np.zeros((50, 16), np.float32))
        yield read[-1]

    result = align("Hello there", "en", posteriors())
    assert not read
    assert (result.alignment, result.warning) == (None, WarningCode.SCRIPT_WITHOUT_ESPEAK)
