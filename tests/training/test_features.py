"""The input of the viseme head: copies whose labels stay in time with their audio, and seconds without speech."""

from collections.abc import Callable, Iterable
from typing import Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.speech.mel import LEVEL, SILENCE, normalised_mel
from heygem_daemon.lipsync.speech.model import encode_recording, load
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.lipsync.speech.whisper import LONGEST, STREAM, SpeechEncoder
from training import features
from training.features import Rows, rows_of, stream_of
from training.utterance import SILENCE as SILENT
from training.utterance import Utterance


class MelEncoder(SpeechEncoder):
    """In the place of the encoder: its stream is the mel itself, a row for two."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, mel: Tensor) -> Tensor:
        rows = functional.avg_pool1d(mel, 2).transpose(1, 2)
        return functional.pad(rows, (0, STREAM - rows.shape[2]))


def beeps(seed: int) -> Utterance:
    """Two seconds with three loud tones, labelled 10 ("aa"), silence between."""
    labels = np.zeros(200, np.int8)
    for first in (30, 80 + seed, 140):
        labels[first : first + 25] = 10
    t = np.arange(32000) / 16000
    wave = (8000 * np.sin(2 * np.pi * 700 * t) * np.repeat(labels > 0, 160)).astype(np.int16)
    return Utterance(wave=wave, labels=labels, language="en", voice="beeps")


def speak() -> list[Rows]:
    return rows_of(MelEncoder(), [beeps(seed) for seed in range(11)], copies=2, seed=5, workers=1)


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


@pytest.fixture(scope="module")
def made() -> list[Rows]:
    """Made in this process: another one takes longer to start than all that it does."""
    threads = torch.get_num_threads()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(features, "ProcessPoolExecutor", InThisProcess)
            return speak()
    finally:
        torch.set_num_threads(threads)


def test_every_utterance_comes_in_copies_and_every_tenth_brings_some_seconds_without_speech(made: list[Rows]) -> None:
    assert len(made) == 11 * 2 + 2
    silent = [place for place, rows in enumerate(made) if (rows.labels == SILENT).all()]
    assert silent == [2, 23]
    for rows in made:
        assert rows.stream.shape == (len(rows.labels) // 2, STREAM)
        assert (rows.stream.dtype, rows.labels.dtype) == (np.dtype(np.float16), np.dtype(np.int8))


def test_what_is_not_speech_is_heard_by_the_encoder_too(made: list[Rows]) -> None:
    """Noise and tones, three seconds at least, and not digital silence: that would be no lesson."""
    for rows in (made[2], made[23]):
        assert len(rows.stream) >= 150
        assert rows.stream[:, :80].max() > (LEVEL + SILENCE) / 2


def test_the_labels_of_a_copy_are_in_time_with_its_audio(made: list[Rows]) -> None:
    """Whatever its tempo and its lead, the tone is loudest in the rows that are labelled, and less so 160 ms away from them."""
    gains = []
    for rows in made:
        labelled = rows.labels[::2] == 10
        if labelled.any():
            tone = rows.stream[:, :80].astype(np.float32).max(1)
            away = np.roll(labelled, 8) & ~labelled
            gains.append(tone[labelled].mean() - tone[away].mean())
    assert len(gains) == 22
    assert np.median(gains) > 0.3
    assert np.mean(np.array(gains) > 0) > 0.9


def test_copies_differ_in_tempo(made: list[Rows]) -> None:
    lengths = {int((rows.labels == 10).sum()) for rows in made} - {0}
    assert len(lengths) > 6
    assert min(lengths) >= 75 / 1.18 - 4
    assert max(lengths) <= 75 / 0.85 + 4


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rows_in_whatever_process(made: list[Rows]) -> None:
    for there, here in zip(made, speak(), strict=True):
        assert np.array_equal(there.stream, here.stream)
        assert np.array_equal(there.labels, here.labels)


@pytest.mark.parametrize("samples", [16000, 16160, 16319])
def test_two_rows_of_the_mel_are_one_of_the_stream(samples: int) -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, samples).astype(np.float32)
    rows = len(normalised_mel(wave)) // 2
    assert stream_of(MelEncoder(), wave).shape == (rows, STREAM)


def test_what_is_longer_than_half_a_minute_is_cut_off() -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, 31 * 16000).astype(np.float32)
    stream = stream_of(MelEncoder(), wave)
    assert stream.shape == (LONGEST, STREAM)


def test_the_viseme_head_is_trained_on_what_it_hears_in_the_driver() -> None:
    model = load(shipped_weights())
    wave = (beeps(0).wave / 32768).astype(np.float32)
    stream = stream_of(model.encoder, wave)
    with torch.inference_mode():
        mapped = model.projection(torch.from_numpy(stream.astype(np.float32))).numpy()
    np.testing.assert_allclose(mapped, encode_recording(model, wave).features, atol=0.03)
