"""espeak-ng speaks, and gives the time of each phoneme."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from training.espeak import espeak, is_installed
from training.utterance import Phone

RATE = 16000
ROOT = Path(__file__).resolve().parents[2]
TEXT = "Pack my box with five dozen liquor jugs."


def test_espeak_is_installed() -> None:
    assert is_installed()


@pytest.mark.parametrize(
    ("voice", "text"), [("en-us", TEXT), ("en-us+f3", TEXT), ("de", "Guten Morgen, meine Damen."), ("cmn", "今天天气很好")]
)
def test_phonemes_follow_each_other_in_time(voice: str, text: str) -> None:
    wave, phones = espeak().speak(text, voice)
    assert wave.dtype == np.float32
    assert 0.05 < np.abs(wave).max() <= 1
    assert len(phones) > 8
    assert all(0 <= phone.start < phone.end <= len(wave) / RATE + 0.001 for phone in phones)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(phones))
    assert phones[-1].end == pytest.approx(len(wave) / RATE, abs=0.001)


def test_the_audio_of_a_phoneme_is_at_its_time() -> None:
    wave, phones = espeak().speak("Sa, sa, sa, sa.", "en-us")

    def hiss(phone: Phone) -> float:
        part = np.diff(wave[round(phone.start * RATE) : round(phone.end * RATE)])
        return float(np.mean(part**2)) / float(np.mean(wave[round(phone.start * RATE) : round(phone.end * RATE)] ** 2))

    hisses = [hiss(phone) for phone in phones if phone.ipa == "s"]
    vowels = [hiss(phone) for phone in phones if phone.ipa.startswith("ɑ")]
    assert len(hisses) == len(vowels) == 4
    assert min(hisses) > 2 * max(vowels)


def test_a_voice_is_left_behind_with_its_pitch_and_its_speed() -> None:
    first, phones = espeak().speak(TEXT, "en-us+m3", rate=150)
    espeak().speak("Something else altogether.", "de", rate=230, pitch=80)
    again, phones_again = espeak().speak(TEXT, "en-us+m3", rate=150)
    assert len(again) == pytest.approx(len(first), rel=0.01)  # its flutter is never the same twice
    assert [phone.ipa for phone in phones] == [phone.ipa for phone in phones_again]


def test_a_new_process_speaks_the_same_words_with_the_same_samples() -> None:
    """What the corpus builds on: each piece of it is spoken by a process of its own."""
    script = "import zlib; from training.espeak import espeak; print(zlib.crc32(espeak().speak('{}', 'en-us+m3')[0].tobytes()))"
    command = (sys.executable, "-c", script.format(TEXT))
    checksums = {subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout for _ in range(2)}
    assert len(checksums) == 1


def test_more_words_a_minute_are_less_audio() -> None:
    slow, fast = (len(espeak().speak(TEXT, "en-us", rate=rate)[0]) for rate in (120, 220))
    assert fast < 0.75 * slow


def test_no_text_gives_no_phonemes() -> None:
    wave, phones = espeak().speak("", "en-us")
    assert len(wave) < RATE
    assert [phone for phone in phones if phone.ipa.isalpha()] == []


@pytest.mark.parametrize("voice", ["atlantean", "xx+f9"])
def test_an_unknown_voice_is_refused_by_name(voice: str) -> None:
    with pytest.raises(ValueError, match="espeak-ng has no voice"):
        espeak().speak(TEXT, voice)
