"""Sentences to speak: from Debian's fortunes where they are, made up where there are none."""

import re
from pathlib import Path

import pytest

from training import texts
from training.texts import sentences

MADE_UP = ("fr", "nl", "sv", "fi", "tr", "id", "vi", "ja", "cmn-latn-pinyin")
FORTUNES = ("en", "de", "es", "it", "cs", "pl", "ru", "pt", "cmn")


@pytest.mark.parametrize("language", MADE_UP)
def test_made_up_sentences_are_many_and_the_same_for_a_seed(language: str) -> None:
    made = sentences(language)
    assert len(made) >= 800
    assert len(set(made)) > 0.95 * len(made)
    assert made == sentences(language)
    assert made != sentences(language, seed=1)
    assert all(4 <= len(sentence.split()) <= 16 for sentence in made)


def test_made_up_words_have_the_letters_of_their_language() -> None:
    assert {sign for sentence in sentences("tr") for sign in sentence} >= set("ışçöü")
    assert {sign for sentence in sentences("fi") for sign in sentence} <= set("pmvdtnlkhjrsaeiouäöy ")
    assert all(re.fullmatch(r"[\u3040-\u309f ]+", sentence) for sentence in sentences("ja"))


def test_pinyin_is_syllables_with_tones() -> None:
    assert all(re.fullmatch(r"([a-z]+[1-5] )*[a-z]+[1-5]", sentence) for sentence in sentences("cmn-latn-pinyin"))


@pytest.mark.parametrize("language", FORTUNES)
def test_fortunes_become_sentences_in_another_order_for_another_seed(language: str) -> None:
    try:
        found = sentences(language)
    except FileNotFoundError:
        pytest.skip(f"the Debian package of fortunes in {language} is not installed")
    assert len(found) == len(set(found)) > 50
    assert sorted(found) == sorted(sentences(language, seed=1))
    assert found != sentences(language, seed=1)


@pytest.fixture
def fortunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(texts, "FORTUNES", tmp_path)
    return tmp_path


@pytest.mark.parametrize("language", FORTUNES)
def test_a_language_without_its_package_is_missed(fortunes: Path, language: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"no sentences for {language}"):
        sentences(language)


def test_only_whole_sentences_of_four_to_sixteen_words_are_taken(fortunes: Path) -> None:
    (fortunes / "wisdom").write_text(
        "The early bird gets\nthe worm. Too short. SHOUTING IS NOT A SENTENCE AT ALL. It cost $ 5 more than last year.\n%\n"
        f"{'And so on ' * 8}.\n%\nNobody knows what comes next, she said.\n"
    )
    (fortunes / "wisdom.dat").write_text("This would be a sentence too.")
    (fortunes / "chinese").write_text("This would be another sentence here.")
    assert sorted(sentences("en")) == ["Nobody knows what comes next, she said", "The early bird gets the worm"]


def test_chinese_sentences_are_cut_at_their_own_full_stops(fortunes: Path) -> None:
    (fortunes / "chinese").write_text("春眠不觉晓，处处闻啼鸟。夜来风雨声！太短。\n%\nsome English words in between\n")
    assert sentences("cmn") == ["春眠不觉晓，处处闻啼鸟"]
