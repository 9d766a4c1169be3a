"""Speech whose phonemes are known: the unit of the corpus."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.phonemes import visemes_of_ipa

SAMPLE_RATE: Final = 16000
LABEL_RATE: Final = 100
SILENCE: Final = VISEMES.index("sil")
_STOPS: Final = frozenset(VISEMES.index(name) for name in ("PP", "DD", "kk", "CH"))
_LONGEST_CLOSURE_S: Final = 0.09
_QUIET: Final = 0.0012
"""Samples of a synthetic closure stay below this."""
_SHORT_PAUSE_S: Final = 0.06


@dataclass(frozen=True, kw_only=True, eq=False)
class Phone:
    """One phoneme: `ipa` ("" = pause) from `start` to `end`, s."""

    ipa: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Utterance:
    """wave: int16 [n], 16 kHz mono; labels: int8 [m], the viseme at every 10 ms (index into VISEMES), m = n / 160 rounded up."""

    wave: npt.NDArray[np.int16]
    labels: npt.NDArray[np.int8]
    language: str
    voice: str

    @property
    def seconds(self) -> float:
        return len(self.wave) / SAMPLE_RATE


def utterance(samples: Float32, phones: Sequence[Phone], *, language: str, voice: str) -> Utterance:
    """Return an utterance with labels made of its phonemes. samples: float32 [n], -1..1."""
    wave = np.clip(np.asarray(samples) * 32767, -32768, 32767).astype(np.int16)
    labels = viseme_labels(samples, phones)
    return Utterance(wave=wave, labels=labels, language=language, voice=voice)


def viseme_labels(samples: Float32, phones: Sequence[Phone]) -> npt.NDArray[np.int8]:
    """Return int8 [ceil(n / 160)]: the viseme at every 10 ms.

    A stop's phoneme is often timed at its burst; the silence of the closure before it belongs to it (up to 90 ms), because that
    is when the lips are shut.
    """
    labels = np.full(-(-len(samples) * LABEL_RATE // SAMPLE_RATE), SILENCE, np.int8)
    for phone in phones:
        visemes = visemes_of_ipa(phone.ipa)
        if not visemes:
            if phone.end - phone.start >= _SHORT_PAUSE_S or phone.start == 0:
                _fill(labels, phone.start, phone.end, SILENCE)
            else:  # a gap of an instant does not move the mouth
                before = labels[max(0, round(phone.start * LABEL_RATE) - 1)]
                _fill(labels, phone.start, phone.end, int(before))
            continue
        start = phone.start
        if visemes[0][0] in _STOPS:
            _fill(labels, _closure_start(samples, phone.start), phone.start, visemes[0][0])
        whole = sum(part for _, part in visemes)
        for viseme, part in visemes:
            end = start + (phone.end - phone.start) * part / whole
            _fill(labels, start, end, viseme)
            start = end
    return labels


def _fill(labels: npt.NDArray[np.int8], start: float, end: float, viseme: int) -> None:
    labels[int(np.ceil(start * LABEL_RATE - 1e-6)) : int(np.ceil(end * LABEL_RATE - 1e-6))] = viseme


def _closure_start(samples: Float32, burst: float) -> float:
    """Return when the silence before `burst` began, or `burst` where there is none."""
    last = min(round(burst * SAMPLE_RATE), len(samples))
    first = max(0, last - round(_LONGEST_CLOSURE_S * SAMPLE_RATE))
    loud = np.flatnonzero(np.abs(samples[first:last]) > _QUIET)
    quiet_from = first + (int(loud[-1]) + 1 if len(loud) else 0)
    return quiet_from / SAMPLE_RATE if last - quiet_from > 0.008 * SAMPLE_RATE else burst
