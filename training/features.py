"""Turn the corpus into the input of the encoder: augmented copies as normalised mel, with a viseme per row."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.adaptation.augment import augment, coloured_noise, hum, mix, music
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.mel import normalised_mel
from training.music import LANGUAGE as MUSIC
from training.utterance import LABEL_RATE, SAMPLE_RATE, SILENCE, Utterance

_BACKGROUNDS = 60
"""Voices for the babble, and tunes, that are mixed below speech, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """One utterance: mel float16 [n, 80] at 100 Hz, labels int8 [n]."""

    mel: npt.NDArray[np.float16]
    labels: npt.NDArray[np.int8]


def rows_of(spoken: Sequence[Utterance], *, copies: int, seed: int, workers: int) -> list[Rows]:
    """Return `copies` augmented versions of every utterance, one of every piece of music, and some seconds of noise or tones for every
    tenth of all. The music is also mixed below the speech.
    """
    seeds = [(seed, i) for i in range(len(spoken))]
    voices = _backgrounds([u for u in spoken if u.language != MUSIC])
    tunes = _backgrounds([u for u in spoken if u.language == MUSIC])
    with ProcessPoolExecutor(workers, get_context("spawn"), _set_backgrounds, (voices, tunes)) as pool:
        made = pool.map(_copies, spoken, seeds, repeat(copies), chunksize=32)
        return [rows for some in made for rows in some]


_VOICES: list[Float32] = []
_TUNES: list[Float32] = []


def _set_backgrounds(voices: list[Float32], tunes: list[Float32]) -> None:
    _VOICES[:], _TUNES[:] = voices, tunes


def _backgrounds(utterances: Sequence[Utterance]) -> list[Float32]:
    return [_wave(u) for u in utterances[:: max(1, len(utterances) // _BACKGROUNDS)]]


def _wave(spoken: Utterance) -> Float32:
    return np.asarray(spoken.wave / np.float32(32768), np.float32)


def _copies(spoken: Utterance, seed: tuple[int, int], copies: int) -> list[Rows]:
    rng = np.random.default_rng(seed)
    made = [_copy(spoken, rng) for _ in range(1 if spoken.language == MUSIC else copies)]
    if seed[1] % 10 == 0:
        made.append(_no_speech(rng))
    return made


def _copy(spoken: Utterance, rng: np.random.Generator) -> Rows:
    voices = _VOICES if spoken.language != MUSIC else []
    varied = augment(_wave(spoken), rng, voices, tunes=_TUNES)
    labels = spoken.labels
    mel = normalised_mel(varied.wave)
    original = (np.arange(len(mel)) / LABEL_RATE - varied.lead) * varied.speed
    rows = np.floor(original * LABEL_RATE).astype(np.int64)
    inside = (rows >= 0) & (rows < len(labels))
    shifted = np.where(inside, labels[rows.clip(0, len(labels) - 1)], SILENCE)
    return Rows(mel=mel.astype(np.float16), labels=shifted.astype(np.int8))


def _no_speech(rng: np.random.Generator) -> Rows:
    """Return some seconds of noise or tones: no mouth moves to them."""
    samples = int(rng.uniform(3, 6) * SAMPLE_RATE)
    kind = rng.random()
    audio = music(samples, rng) if kind < 0.3 else hum(samples, rng) if kind < 0.5 else coloured_noise(samples, rng)
    audio = audio / max(1e-6, float(audio.std())) * 10 ** (rng.uniform(-45, -15) / 20)
    if rng.random() < 0.5:
        audio = mix(audio.astype(np.float32), coloured_noise(samples, rng), float(rng.uniform(0, 30)))
    mel = normalised_mel(np.asarray(audio, np.float32))
    return Rows(mel=mel.astype(np.float16), labels=np.full(len(mel), SILENCE, np.int8))
