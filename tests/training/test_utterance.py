"""Labels give the time at which a viseme is visible, which is not always the time of its phoneme."""

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES
from training.utterance import Phone, utterance, viseme_labels

RATE = 16000


def phones(*spoken: tuple[str, float]) -> list[Phone]:
    """("a", .2), ("p", .3): each phoneme with its end, s."""
    ends = [0.0, *(end for _, end in spoken)]
    return [Phone(ipa=ipa, start=start, end=end) for (ipa, end), start in zip(spoken, ends, strict=False)]


def tones(*parts: float) -> Float32:
    """(0.3, 0.06): a tone of .3 s, silence of .06 s, a tone again ..."""
    pieces = [np.full(round(seconds * RATE), 0.1 if number % 2 == 0 else 0.0, np.float32) for number, seconds in enumerate(parts)]
    return np.concatenate(pieces)


def names(labels: npt.NDArray[np.int8]) -> list[tuple[str, int]]:
    """Return runs of labels: [("aa", 30), ...] in rows of 10 ms."""
    runs: list[tuple[str, int]] = []
    for label in labels:
        name = VISEMES[label]
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + 1)
        else:
            runs.append((name, 1))
    return runs


def test_the_silence_before_a_burst_belongs_to_its_stop() -> None:
    labels = viseme_labels(tones(0.3, 0.06, 0.14), phones(("a", 0.36), ("p", 0.40), ("i", 0.5)))
    assert names(labels) == [("aa", 30), ("PP", 10), ("ih", 10)]


def test_no_more_than_90_milliseconds_of_silence_belong_to_a_stop() -> None:
    labels = viseme_labels(tones(0.3, 0.3, 0.1), phones(("a", 0.3), ("", 0.6), ("t", 0.65), ("i", 0.7)))
    assert names(labels) == [("aa", 30), ("sil", 21), ("DD", 14), ("ih", 5)]


def test_a_stop_in_the_middle_of_voice_takes_nothing_from_the_phoneme_before_it() -> None:
    labels = viseme_labels(tones(0.6), phones(("a", 0.3), ("b", 0.4), ("i", 0.6)))
    assert names(labels) == [("aa", 30), ("PP", 10), ("ih", 20)]


def test_silence_before_a_phoneme_that_is_no_stop_is_no_closure() -> None:
    labels = viseme_labels(tones(0.3, 0.06, 0.14), phones(("a", 0.36), ("s", 0.5)))
    assert names(labels) == [("aa", 36), ("SS", 14)]


def test_a_diphthong_is_two_visemes_and_a_long_vowel_is_longer() -> None:
    assert names(viseme_labels(tones(0.4), phones(("aɪ", 0.4)))) == [("aa", 20), ("ih", 20)]
    assert names(viseme_labels(tones(0.26), phones(("aːɪ", 0.26)))) == [("aa", 16), ("ih", 10)]


@pytest.mark.parametrize(("pause", "runs"), [(0.05, [("aa", 15), ("ih", 10)]), (0.1, [("aa", 10), ("sil", 10), ("ih", 10)])])
def test_a_pause_is_silence_unless_it_lasts_an_instant(pause: float, runs: list[tuple[str, int]]) -> None:
    labels = viseme_labels(tones(0.1, pause, 0.1), phones(("a", 0.1), ("", 0.1 + pause), ("i", 0.2 + pause)))
    assert names(labels) == runs


def test_what_no_phoneme_covers_is_silence() -> None:
    assert names(viseme_labels(tones(0.5), [Phone(ipa="a", start=0.1, end=0.2)])) == [("sil", 10), ("aa", 10), ("sil", 30)]


def test_the_first_instants_before_the_first_phoneme_are_silence() -> None:
    assert names(viseme_labels(tones(0.2), phones(("", 0.02), ("a", 0.2)))) == [("sil", 2), ("aa", 18)]


@pytest.mark.parametrize(("samples", "rows"), [(0, 0), (1, 1), (160, 1), (161, 2), (16000, 100)])
def test_there_is_a_label_for_every_ten_milliseconds_begun(samples: int, rows: int) -> None:
    labels = viseme_labels(np.zeros(samples, np.float32), [])
    assert (labels.shape, labels.dtype) == ((rows,), np.dtype(np.int8))


def test_an_utterance_holds_whole_numbers_and_never_wraps_around() -> None:
    made = utterance(np.array([0.0, 0.5, 1.0, 1.5, -1.5], np.float32), [], language="en", voice="m3")
    assert made.wave.tolist() == [0, 16383, 32767, 32767, -32768]
    assert (made.wave.dtype, made.language, made.voice) == (np.dtype(np.int16), "en", "m3")
    assert made.seconds == 5 / RATE
