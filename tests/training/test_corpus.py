"""The corpus survives its file, and what is held back is never learned."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from training import corpus, festival, flite, music
from training.corpus import HELD_OUT_LANGUAGES, HELD_OUT_PIECES, HELD_OUT_VOICES, TESTS, is_held_out

VOICES = ("base", "m1", "f1", "slt", "rms", "ked_diphone", "msu_ru_nsh", *sorted(HELD_OUT_VOICES))
LANGUAGES = ("en", "cmn", "de", "ru", *sorted(HELD_OUT_LANGUAGES))


@pytest.fixture(scope="module")
def everything(small_corpus):
    """Every voice in every language."""
    return [replace(small_corpus[0], voice=voice, language=language) for voice, language in product(VOICES, LANGUAGES)]


def test_utterances_survive_their_file(small_corpus, tmp_path):
    corpus.save(small_corpus, tmp_path / "corpus.npz")
    read = corpus.load(tmp_path / "corpus.npz")
    assert len(read) == len(small_corpus)
    for there, here in zip(small_corpus, read, strict=True):
        assert np.array_equal(there.wave, here.wave)
        assert np.array_equal(there.labels, here.labels)
        assert (there.voice, there.language) == (here.voice, here.language)


def test_no_held_voice_and_no_held_language_is_learned(everything):
    learned = [u for u in everything if not is_held_out(u)]
    assert {u.voice for u in learned} == set(VOICES) - HELD_OUT_VOICES
    assert {u.language for u in learned} == set(LANGUAGES) - HELD_OUT_LANGUAGES


@pytest.mark.parametrize("name", TESTS)
def test_the_figures_are_measured_on_what_is_never_learned(everything, name):
    judges = [u for u in everything if TESTS[name](u)]
    assert judges
    assert all(is_held_out(u) for u in judges)


def test_some_music_is_held_back_and_judges_no_voice(small_corpus):
    pieces = [replace(small_corpus[0], voice=music.piece(number), language=music.LANGUAGE) for number in range(5)]
    assert [is_held_out(piece) for piece in pieces] == [True, True, False, False, False]
    assert {piece.voice for piece in pieces[:2]} == HELD_OUT_PIECES
    assert not any(judges(piece) for piece in pieces for judges in TESTS.values())


def test_a_man_who_is_recorded_in_two_systems_is_held_in_both():
    assert {"kal16", "kal_diphone"} <= HELD_OUT_VOICES


def test_every_voice_that_is_held_is_one_that_can_speak():
    there = {*corpus._VARIANTS.split(), *flite.VOICES, *(voice.name for voice in festival.VOICES)}
    assert there >= HELD_OUT_VOICES


def test_the_shares_of_the_hours_are_a_whole():
    assert sum(share for _, share in corpus._ESPEAK_LANGUAGES.values()) == pytest.approx(1)


def test_a_voice_that_is_not_there_is_no_reason_to_stop_saving(tmp_path, small_corpus):
    """The file holds as many waves as labels, also of a single utterance."""
    corpus.save(small_corpus[:1], Path(tmp_path / "one.npz"))
    (one,) = corpus.load(tmp_path / "one.npz")
    assert len(one.labels) == -(-len(one.wave) // 160)
