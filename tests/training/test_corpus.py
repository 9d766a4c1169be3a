"""The corpus survives its file, and what is held out is never trained on."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from training import corpus, festival, flite
from training.corpus import HELD_OUT_LANGUAGES, HELD_OUT_VOICES, TESTS, is_held_out
from training.utterance import Utterance

VOICES = ("base", "m1", "f1", "slt", "rms", "ked_diphone", "msu_ru_nsh", *sorted(HELD_OUT_VOICES))
LANGUAGES = ("en", "cmn", "de", "ru", *sorted(HELD_OUT_LANGUAGES))


@pytest.fixture(scope="module")
def everything(small_corpus: list[Utterance]) -> list[Utterance]:
    """Every voice in every language."""
    return [replace(small_corpus[0], voice=voice, language=language) for voice, language in product(VOICES, LANGUAGES)]


def test_utterances_survive_their_file(small_corpus: list[Utterance], tmp_path: Path) -> None:
    corpus.save(small_corpus, tmp_path / "corpus.npz")
    read = corpus.load(tmp_path / "corpus.npz")
    assert len(read) == len(small_corpus)
    for there, here in zip(small_corpus, read, strict=True):
        assert np.array_equal(there.wave, here.wave)
        assert np.array_equal(there.labels, here.labels)
        assert (there.voice, there.language) == (here.voice, here.language)


def test_no_held_out_voice_or_language_is_trained_on(everything: list[Utterance]) -> None:
    learned = [u for u in everything if not is_held_out(u)]
    assert {u.voice for u in learned} == set(VOICES) - HELD_OUT_VOICES
    assert {u.language for u in learned} == set(LANGUAGES) - HELD_OUT_LANGUAGES


@pytest.mark.parametrize("name", TESTS)
def test_the_metrics_are_measured_on_what_is_never_trained_on(everything: list[Utterance], name: str) -> None:
    chosen = [u for u in everything if TESTS[name](u)]
    assert chosen
    assert all(is_held_out(u) for u in chosen)


def test_a_man_who_is_recorded_in_two_systems_is_held_out_in_both() -> None:
    assert {"kal16", "kal_diphone"} <= HELD_OUT_VOICES


def test_every_voice_that_is_held_out_is_one_that_can_speak() -> None:
    there = {*corpus._VARIANTS.split(), *flite.VOICES, *(voice.name for voice in festival.VOICES)}
    assert there >= HELD_OUT_VOICES


def test_the_weights_of_the_languages_add_up_to_one() -> None:
    assert sum(weight for _, weight in corpus._ESPEAK_LANGUAGES.values()) == pytest.approx(1)


def test_a_single_utterance_survives_its_file(tmp_path: Path, small_corpus: list[Utterance]) -> None:
    """The file holds as many waves as labels, also of a single utterance."""
    corpus.save(small_corpus[:1], Path(tmp_path / "one.npz"))
    (one,) = corpus.load(tmp_path / "one.npz")
    assert len(one.labels) == -(-len(one.wave) // 160)
