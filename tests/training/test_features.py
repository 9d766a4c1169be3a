"""The input of the encoder: copies whose labels stay in time with their audio, and seconds without speech."""

from collections.abc import Callable, Iterable, Sequence
from typing import Self

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.augment import Augmented, augment
from heygem_daemon.lipsync.arrays import Float32
from training import features
from training.features import Rows, rows_of
from training.music import LANGUAGE as MUSIC
from training.utterance import SILENCE, Utterance


def beeps(seed: int) -> Utterance:
    """Two seconds with three loud tones, labelled 10 ("aa"), silence between."""
    labels = np.zeros(200, np.int8)
    for first in (30, 80 + seed, 140):
        labels[first : first + 25] = 10
    t = np.arange(32000) / 16000
    wave = (8000 * np.sin(2 * np.pi * 700 * t) * np.repeat(labels > 0, 160)).astype(np.int16)
    return Utterance(wave=wave, labels=labels, language="en", voice="beeps")


def tune() -> Utterance:
    """Two seconds of a low tone, marked as music."""
    wave = (8000 * np.sin(2 * np.pi * 220 * np.arange(32000) / 16000)).astype(np.int16)
    return Utterance(wave=wave, labels=np.zeros(200, np.int8), language=MUSIC, voice="a piece")


def speak() -> list[Rows]:
    return rows_of([beeps(seed) for seed in range(11)], copies=2, seed=5, workers=1)


@pytest.fixture(scope="module")
def made() -> list[Rows]:
    return speak()


def test_every_utterance_comes_in_copies_and_every_tenth_brings_some_seconds_without_speech(made: list[Rows]) -> None:
    assert len(made) == 11 * 2 + 2
    silent = [place for place, rows in enumerate(made) if (rows.labels == SILENCE).all()]
    assert silent == [2, 23]
    for rows in made:
        assert rows.mel.shape == (len(rows.labels), 80)
        assert (rows.mel.dtype, rows.labels.dtype) == (np.dtype(np.float16), np.dtype(np.int8))


def test_the_labels_of_a_copy_are_in_time_with_its_audio(made: list[Rows]) -> None:
    """Whatever its tempo and its lead, the tone is loudest in the rows that are labelled, and less so 150 ms away from them."""
    gains = []
    for rows in made:
        labelled = rows.labels == 10
        if labelled.any():
            tone = rows.mel.astype(np.float32).max(1)
            away = np.roll(labelled, 15) & ~labelled
            gains.append(tone[labelled].mean() - tone[away].mean())
    assert len(gains) == 22
    assert np.median(gains) > 0.3
    assert np.mean(np.array(gains) > 0) > 0.9


def test_copies_differ_in_tempo(made: list[Rows]) -> None:
    lengths = {int((rows.labels == 10).sum()) for rows in made} - {0}
    assert len(lengths) > 6
    assert min(lengths) >= 75 / 1.18 - 4
    assert max(lengths) <= 75 / 0.85 + 4


class InThisProcess:
    """In the place of the pool of processes."""

    def __init__(self, _workers: int, _context: object, share: Callable[..., None], shared: tuple[object, ...]) -> None:
        share(*shared)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @staticmethod
    def map(function: Callable[..., list[Rows]], *arguments: Iterable[object], chunksize: int) -> Iterable[list[Rows]]:
        return map(function, *arguments)


def test_the_same_seed_gives_the_same_rows_in_whatever_process(made: list[Rows], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "ProcessPoolExecutor", InThisProcess)
    for there, here in zip(made, speak(), strict=True):
        assert np.array_equal(there.mel, here.mel)
        assert np.array_equal(there.labels, here.labels)


def test_music_is_copied_as_silence_and_mixed_below_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never the babble, and nobody talks behind it."""
    mixed_in: list[tuple[int, int]] = []

    def counting(wave: Float32, rng: np.random.Generator, voices: Sequence[Float32], *, tunes: Sequence[Float32]) -> Augmented:
        mixed_in.append((len(voices), len(tunes)))
        return augment(wave, rng, voices, tunes=tunes)

    monkeypatch.setattr(features, "augment", counting)
    features._set_backgrounds(features._backgrounds([beeps(0)]), features._backgrounds([tune()]))
    rows = [features._copies(u, (5, 1), 2) for u in (beeps(0), tune())]
    assert mixed_in == [(1, 1), (1, 1), (0, 1)]
    assert all(one.labels.any() for one in rows[0])
    assert not any(one.labels.any() for one in rows[1])
