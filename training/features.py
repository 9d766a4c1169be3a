"""Turn the corpus into the input of the viseme head: augmented copies as the encoder gives them, with a viseme per row."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
import torch

from heygem_daemon.lipsync.adaptation.augment import augment, coloured_noise, hum, mix, music
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.mel import normalised_mel
from heygem_daemon.lipsync.speech.whisper import LONGEST, SpeechEncoder
from training.utterance import LABEL_RATE, SAMPLE_RATE, SILENCE, Utterance

_BACKGROUNDS = 60
"""Voices for the babble, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """One utterance: stream float16 [n, STREAM] at 50 Hz, labels int8 [2 n] at 100 Hz."""

    stream: npt.NDArray[np.float16]
    labels: npt.NDArray[np.int8]


def stream_of(encoder: SpeechEncoder, wave: Float32) -> npt.NDArray[np.float16]:
    """Return the residual stream of a wave of half a minute at most, float16 [n, STREAM]; what is longer is cut off."""
    mel = normalised_mel(wave)
    mel = mel[: min(len(mel) // 2, LONGEST) * 2]
    with torch.inference_mode():
        stream = encoder(torch.from_numpy(np.ascontiguousarray(mel.T))[None])[0]
    return np.asarray(stream.numpy(), np.float16)


def rows_of(encoder: SpeechEncoder, spoken: Sequence[Utterance], *, copies: int, seed: int, workers: int) -> list[Rows]:
    """Return `copies` augmented versions of every utterance, and some seconds of noise, tones or chords for every tenth."""
    seeds = [(seed, i) for i in range(len(spoken))]
    voices = [_wave(u) for u in spoken[:: max(1, len(spoken) // _BACKGROUNDS)]]
    with ProcessPoolExecutor(workers, get_context("spawn"), _share, (encoder, voices)) as pool:
        made = pool.map(_copies, spoken, seeds, repeat(copies), chunksize=32)
        return [rows for some in made for rows in some]


_ENCODERS: list[SpeechEncoder] = []
_VOICES: list[Float32] = []


def _share(encoder: SpeechEncoder, voices: list[Float32]) -> None:
    torch.set_num_threads(1)
    _ENCODERS[:], _VOICES[:] = [encoder], voices


def _wave(spoken: Utterance) -> Float32:
    return np.asarray(spoken.wave / np.float32(32768), np.float32)


def _copies(spoken: Utterance, seed: tuple[int, int], copies: int) -> list[Rows]:
    rng = np.random.default_rng(seed)
    made = [_copy(spoken, rng) for _ in range(copies)]
    if seed[1] % 10 == 0:
        made.append(_no_speech(rng))
    return made


def _copy(spoken: Utterance, rng: np.random.Generator) -> Rows:
    varied = augment(_wave(spoken), rng, _VOICES)
    stream = stream_of(_ENCODERS[0], varied.wave)
    original = (np.arange(2 * len(stream)) / LABEL_RATE - varied.lead) * varied.speed
    rows = np.floor(original * LABEL_RATE).astype(np.int64)
    inside = (rows >= 0) & (rows < len(spoken.labels))
    shifted = np.where(inside, spoken.labels[rows.clip(0, len(spoken.labels) - 1)], SILENCE)
    return Rows(stream=stream, labels=shifted.astype(np.int8))


def _no_speech(rng: np.random.Generator) -> Rows:
    """Return some seconds of noise or tones: no mouth moves to them."""
    samples = int(rng.uniform(3, 6) * SAMPLE_RATE)
    kind = rng.random()
    audio = music(samples, rng) if kind < 0.3 else hum(samples, rng) if kind < 0.5 else coloured_noise(samples, rng)
    audio = audio / max(1e-6, float(audio.std())) * 10 ** (rng.uniform(-45, -15) / 20)
    if rng.random() < 0.5:
        audio = mix(audio.astype(np.float32), coloured_noise(samples, rng), float(rng.uniform(0, 30)))
    stream = stream_of(_ENCODERS[0], np.asarray(audio, np.float32))
    return Rows(stream=stream, labels=np.full(2 * len(stream), SILENCE, np.int8))
