"""The driver `phonetic`: small networks recognise visemes in the audio and predict the motion of a real mouth from them.

speech -> normalised mel (100 Hz) -> encoder: visemes, detector: whether anybody speaks -> mappers: opening, width, "shut" (50 Hz)
       -> postprocess -> frame times
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.speech.mel import BANDS, SILENCE, mel_stream, prepare_filters
from heygem_daemon.lipsync.speech.model import AcousticFeatures, PhoneticModel, blend_with_transcript, encode, predict
from heygem_daemon.lipsync.speech.network import DETECTOR_REACH, ENCODER_REACH, MAPPER_REACH
from heygem_daemon.lipsync.speech.postprocess import REACH, PredictedRows, mouth_curve
from heygem_daemon.lipsync.speech.sampling import sample
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve, reblock
from heygem_daemon.lipsync.speech.transcript import Alignment, blend_posteriors, closure_gate

LEAD: Final = Fraction(0)
"""s by which the curve is read early: the mappers learned the timing of real mouths, so nothing is added."""
_CLOSURE_LEAD: Final = 0.06
"""s that the lips are together before the p, b or m is where the alignment puts it (44 of them by a GRID speaker: 50 to 80 ms)."""
_BLOCK: Final = 400
"""Rows at 50 Hz of one run of the networks: 8 s, with three and a half of context."""
_CONTEXT: Final = max(ENCODER_REACH // 2 + MAPPER_REACH, DETECTOR_REACH // 2) + REACH
"""Even, so that the detector's rows fall on the same instants in every block."""
_INNER: Final = slice(_CONTEXT, _CONTEXT + _BLOCK)
"""The rows of a window without its context."""


class PhoneticDriver:
    """A Driver (see lipsync.ports) that recognises visemes, in any language: it knows phones, not words."""

    name = "phonetic"

    def __init__(self, model: PhoneticModel) -> None:
        prepare_filters()  # librosa compiles code at its first use: better when a worker starts than in its first job
        self._model = model
        self.model_hashes: Mapping[str, str] = {"phonetic": model.sha256}

    def motion(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield motion in blocks of about eight seconds. alignment: when each phoneme is spoken, where the words are known."""
        return sample(self.curve(speech, alignment), frame_rate, frames, LEAD)

    def posteriors(self, speech: Iterable[Float32]) -> Iterator[Float32]:
        """Yield viseme probabilities, float32 [n, 16] at 50 rows a second, to the end of the speech, for the alignment of a transcript."""
        for window in _windows(speech):
            count = int(window.in_recording[_INNER].sum())
            if count:
                yield encode(self._model, window.mel).posteriors[_INNER][:count]
            if count < _BLOCK:
                return

    def curve(self, speech: Iterable[Float32], alignment: Alignment | None = None) -> Iterator[Curve]:
        """Yield the motion at 50 rows per second, in time with the audio, without end: at rest after the speech."""
        for window in _windows(speech):
            acoustic = encode(self._model, window.mel)
            times = (window.first_row + np.arange(len(acoustic.posteriors))) / CURVE_RATE
            gate, posteriors = np.zeros(len(times), np.float32), acoustic.posteriors
            prediction = predict(self._model, acoustic.features)
            if alignment is not None:
                posteriors, gate = blend_posteriors(posteriors, alignment, window.first_row), closure_gate(alignment, times + _CLOSURE_LEAD)
                prediction = blend_with_transcript(
                    self._model, prediction, AcousticFeatures(posteriors=posteriors, features=acoustic.features)
                )
            rows = PredictedRows(prediction=prediction, posteriors=posteriors, in_recording=window.in_recording, gate=gate)
            yield _slice(mouth_curve(rows, self._model.calibration), _INNER)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """_BLOCK rows with context: mel float32 [2 n, 80], in_recording bool [n] at 50 Hz, the number of the first row (context included)."""

    mel: Float32
    in_recording: Bool
    first_row: int


def _windows(speech: Iterable[Float32]) -> Iterator[_Window]:
    """Yield windows without end, each _BLOCK rows after the one before; before and after the speech is silence."""
    mel = np.full((2 * _CONTEXT, BANDS), SILENCE, np.float32)
    in_recording = np.zeros(2 * _CONTEXT, bool)
    first_row, length = -_CONTEXT, 2 * (_BLOCK + 2 * _CONTEXT)
    for rows in mel_stream(reblock(speech)):
        mel, in_recording = np.concatenate([mel, rows.mel]), np.concatenate([in_recording, rows.in_recording])
        while len(mel) >= length:
            yield _Window(mel=mel[:length], in_recording=in_recording[:length:2], first_row=first_row)
            mel, in_recording, first_row = mel[2 * _BLOCK :], in_recording[2 * _BLOCK :], first_row + _BLOCK


def _slice(curve: Curve, rows: slice) -> Curve:
    return Curve(opening=curve.opening[rows], width=curve.width[rows], visemes=curve.visemes[rows])
