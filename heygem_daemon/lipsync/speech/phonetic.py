"""The driver `phonetic`: our own small networks hear phonemes in the sound and know what real mouths do with them.

speech -> levelled mel (100 Hz) -> encoder: visemes, detector: whether anybody speaks -> mappers: opening, width, "shut"
       -> rules of mouth.py -> frame times
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.speech.mel import BANDS, SILENCE, mel_stream, prepare_filters
from heygem_daemon.lipsync.speech.model import Heard, PhoneticModel, guided, hear, tell
from heygem_daemon.lipsync.speech.network import DETECTOR_REACH, ENCODER_REACH, MAPPER_REACH
from heygem_daemon.lipsync.speech.postprocess import REACH, Rows, mouth_curve
from heygem_daemon.lipsync.speech.sampling import sample
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve, reblock
from heygem_daemon.lipsync.speech.transcript import Alignment, blended, closure_gate

LEAD: Final = Fraction(0)
"""The mappers learnt from real mouths when to be early: nothing is added."""
_CLOSURE_LEAD: Final = 0.06
"""s that the lips are together before the p, b or m is where the alignment puts it (44 of them by a GRID speaker: 50 to 80 ms)."""
_BLOCK: Final = 400
"""Rows at 50 Hz that the networks hear at once: 8 s, for three and a half of context."""
_CONTEXT: Final = max(ENCODER_REACH // 2 + MAPPER_REACH, DETECTOR_REACH // 2) + REACH
"""Even, so that the detector's rows fall on the same instants in every block."""
_INNER: Final = slice(_CONTEXT, _CONTEXT + _BLOCK)


class PhoneticDriver:
    """A Driver (see lipsync.ports) that hears visemes. Any language: it knows sounds, not words."""

    name = "phonetic"

    def __init__(self, model: PhoneticModel) -> None:
        prepare_filters()  # librosa compiles at its first use: that belongs to the start of a worker, not to its first order
        self._model = model
        self.model_hashes: Mapping[str, str] = {"phonetic": model.sha256}

    def motion(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, script: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield motion in blocks of about eight seconds. script: which phoneme is said when, where the words are known."""
        return sample(self.curve(speech, script), frame_rate, frames, LEAD)

    def posteriors(self, speech: Iterable[Float32]) -> Iterator[Float32]:
        """Yield viseme probabilities, float32 [n, 16] at 50 rows a second, to the end of the speech: what a script is aligned with."""
        for stretch in _stretches(speech):
            count = int(stretch.is_sound[_INNER].sum())
            if count:
                yield hear(self._model, stretch.mel).posteriors[_INNER][:count]
            if count < _BLOCK:
                return

    def curve(self, speech: Iterable[Float32], script: Alignment | None = None) -> Iterator[Curve]:
        """Yield the motion at 50 rows per second, in time with the sound, without end: at rest after the speech."""
        for stretch in _stretches(speech):
            heard = hear(self._model, stretch.mel)
            times = (stretch.first_row + np.arange(len(heard.posteriors))) / CURVE_RATE
            gate, posteriors = np.zeros(len(times), np.float32), heard.posteriors
            told = tell(self._model, heard.features)
            if script is not None:
                posteriors, gate = blended(posteriors, script, stretch.first_row), closure_gate(script, times + _CLOSURE_LEAD)
                told = guided(self._model, told, Heard(posteriors=posteriors, features=heard.features))
            rows = Rows(told=told, posteriors=posteriors, is_sound=stretch.is_sound, gate=gate)
            yield _inner(mouth_curve(rows, self._model.calibration), _INNER)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stretch:
    """_BLOCK rows with context: mel float32 [2 n, 80], is_sound bool [n] at 50 Hz, the number of the first row (context included)."""

    mel: Float32
    is_sound: Bool
    first_row: int


def _stretches(speech: Iterable[Float32]) -> Iterator[_Stretch]:
    """Yield stretches without end, each _BLOCK rows after the one before; before and after the speech is silence."""
    mel = np.full((2 * _CONTEXT, BANDS), SILENCE, np.float32)
    is_sound = np.zeros(2 * _CONTEXT, bool)
    first_row, wanted = -_CONTEXT, 2 * (_BLOCK + 2 * _CONTEXT)
    for rows in mel_stream(reblock(speech)):
        mel, is_sound = np.concatenate([mel, rows.mel]), np.concatenate([is_sound, rows.is_sound])
        while len(mel) >= wanted:
            yield _Stretch(mel=mel[:wanted], is_sound=is_sound[:wanted:2], first_row=first_row)
            mel, is_sound, first_row = mel[2 * _BLOCK :], is_sound[2 * _BLOCK :], first_row + _BLOCK


def _inner(curve: Curve, rows: slice) -> Curve:
    return Curve(opening=curve.opening[rows], width=curve.width[rows], visemes=curve.visemes[rows])
