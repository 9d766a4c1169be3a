"""Voices made of recordings of people: where their Debian packages are installed, they give the times of their phonemes."""

import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.speech.phonemes import visemes_of_ipa
from training import festival, flite
from training.corpus import HELD_OUT_VOICES
from training.phone_sets import RADIO, RUSSIAN
from training.utterance import SILENCE

RATE = 16000


@pytest.mark.parametrize("names", [RADIO, RUSSIAN], ids=["radio", "Russian"])
def test_every_phoneme_name_is_a_phoneme_with_a_viseme(names: Mapping[str, str]) -> None:
    assert len(names) > 35
    assert [name for name, ipa in names.items() if not visemes_of_ipa(ipa)] == []


def test_some_recorded_voices_are_held_out() -> None:
    assert HELD_OUT_VOICES & set(flite.VOICES)
    assert HELD_OUT_VOICES & {voice.name for voice in festival.VOICES}
    assert {"slt", "rms"} & set(flite.VOICES) - HELD_OUT_VOICES


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite (Debian package flite) is not installed")
def test_flite_gives_the_time_of_each_phoneme(tmp_path: Path) -> None:
    wave, phones = flite.speak("Bob bought a map.", "slt", tmp_path)
    assert [phone.ipa for phone in phones if phone.ipa][:3] == ["b", "ɑ", "b"]
    assert all(a.end == b.start for a, b in pairwise(phones))
    assert phones[-1].end == pytest.approx(len(wave) / RATE, abs=0.05)
    vowel = next(phone for phone in phones if phone.ipa == "ɑ")
    pause = phones[0]
    loud, soft = (np.abs(wave[round(p.start * RATE) : round(p.end * RATE)]).mean() for p in (vowel, pause))
    assert loud > 5 * soft


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite (Debian package flite) is not installed")
def test_flite_speaks_slower_on_request(tmp_path: Path) -> None:
    usual, slow = (len(flite.speak("Nobody knows.", "slt", tmp_path, stretch=stretch)[0]) for stretch in (1.0, 1.5))
    assert slow > 1.2 * usual


def test_festival_speaks_what_it_can_and_leaves_out_the_rest(tmp_path: Path) -> None:
    voice = festival.VOICES[0]
    if shutil.which("festival") is None or not Path("/usr/share/festival/voices/english", voice.name).is_dir():
        pytest.skip(f"festival and its voice {voice.name} (Debian packages festival, festvox-kallpc16k) are not installed")
    spoken = list(festival.speak(voice, [('He said "go" to me.', 1.0), ("Эти слова не для него", 1.0), ("Open the map.", 1.2)], tmp_path))
    assert len(spoken) == 2
    for each in spoken:
        assert each.voice == voice.name
        assert each.seconds > 0.5
        assert len(each.labels) == -(-len(each.wave) // 160)
        assert len(set(each.labels.tolist())) > 4
    assert list(tmp_path.glob("*.wav")) == []


def test_the_recorded_russian_speaker_moves_and_rests() -> None:
    spoken = list(festival.recorded_russian(2))
    if not spoken:
        pytest.skip("the recordings inside Debian's festvox-ru are not installed")
    assert len(spoken) == 2
    for each in spoken:
        assert (each.language, each.voice) == ("ru", "msu_ru_nsh")
        assert 0.02 < (each.labels == SILENCE).mean() < 0.6
        assert np.abs(each.wave).max() == pytest.approx(0.5 * 32767, rel=0.01)
