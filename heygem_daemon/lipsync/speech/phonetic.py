"""The driver `phonetic`: a pretrained encoder hears the speech, and small networks predict the motion of a real mouth from that.

speech without the hum of the mains
       -> normalised mel (100 Hz) -> encoder (50 Hz) -> mappers: opening, width, "shut" -> rules -> frame times
       -> voice activity             -> visemes: p b m, silence, the alignment of a transcript
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, tee
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.replay import Replay
from heygem_daemon.lipsync.speech.hum import without_hum
from heygem_daemon.lipsync.speech.mel import BANDS, SILENCE, mel_stream
from heygem_daemon.lipsync.speech.model import AcousticFeatures, PhoneticModel, blend_with_transcript, encode, predict
from heygem_daemon.lipsync.speech.network import MAPPER_REACH
from heygem_daemon.lipsync.speech.postprocess import REACH, PredictedRows, mouth_curve
from heygem_daemon.lipsync.speech.sampling import sample
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve
from heygem_daemon.lipsync.speech.transcript import Alignment, blend_posteriors, closure_gate
from heygem_daemon.lipsync.speech.voice_activity import REACH as ACTIVITY_REACH
from heygem_daemon.lipsync.speech.voice_activity import SPEECH, speech_probability, widen

LEAD: Final = Fraction(0)
"""s by which the curve is read early: the mappers learned the timing of real mouths, so nothing is added."""
BLOCK: Final = 400
"""Rows at 50 Hz that one run of the encoder adds: 8 s."""
CONTEXT: Final = 50
"""Rows on each side that the encoder also sees: 1 s. Whole recordings gave the same r (.725) as these windows (.726) on people held out."""

_CLOSURE_LEAD: Final = 0.06
"""s that the lips are together before the p, b or m is where the alignment puts it (44 of them by a GRID speaker: 50 to 80 ms)."""
_MARGIN: Final = MAPPER_REACH + REACH
"""Rows before and after a row that its mouth depends on, given the features."""
_WINDOWS_AT_ONCE: Final = {"cpu": 1, "cuda": 8}


class PhoneticDriver:
    """A Driver (see lipsync.ports) that recognises visemes, in any language: it knows phones, not words."""

    name = "phonetic"

    def __init__(self, model: PhoneticModel, device: str = "cpu") -> None:
        self._model = model.on(device) if device != "cpu" else model
        self._windows_at_once = _WINDOWS_AT_ONCE.get(device.partition(":")[0], 1)
        self._kept: _Kept | None = None
        self.model_hashes: Mapping[str, str] = {"phonetic": model.sha256}

    def motion(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield motion in blocks of about eight seconds. alignment: when each phoneme is spoken, where the words are known."""
        return sample(self.curve(speech, alignment), frame_rate, frames, LEAD)

    def speech_activity(self, speech: Iterable[Float32], frame_rate: Fraction, frames: int) -> Bool:
        """Return bool [frames]: whether somebody speaks at i / frame_rate, by the voice activity alone."""
        rows, probability, known = math.ceil(frames * CURVE_RATE / frame_rate) + ACTIVITY_REACH, [], 0
        for part in self._kept.activity if self._kept else speech_probability(self._model.activity, without_hum(speech)):
            probability.append(part)
            known += len(part)
            if known >= rows:
                break
        at = (np.arange(frames) * float(CURVE_RATE / frame_rate)).astype(np.int64)
        return np.asarray(widen(np.concatenate(probability))[at] > sum(SPEECH) / 2)

    def for_presenter(self, shut_share: float) -> "PhoneticDriver":
        """Return the driver for a person whose lips are shut in `shut_share` of the time of speech; the networks are shared."""
        adapted = copy.copy(self)
        adapted._model = self._model.with_(calibration=replace(self._model.calibration, shut_share=shut_share))
        return adapted

    def for_recording(self, read: Callable[[], Iterable[Float32]], seconds: int) -> "PhoneticDriver":
        """Return the driver for one recording (see ports.RecordingDriver). What depends on a presenter comes after what is kept."""
        activity = Replay(lambda: speech_probability(self._model.activity, without_hum(read())), seconds)
        rows = Replay(lambda: self._encode(without_hum(read()), iter(activity)), seconds * CURVE_RATE // BLOCK + 1)
        own = copy.copy(self)
        own._kept = _Kept(activity=activity, rows=rows)
        return own

    def posteriors(self, speech: Iterable[Float32]) -> Iterator[Float32]:
        """Yield viseme probabilities, float32 [n, 16] at 50 rows a second, to the end of the speech, for the alignment of a transcript."""
        for part in self._encoded(speech):
            found = part.acoustic.posteriors[part.in_recording]
            if len(found):
                yield found
            if not part.in_recording[-1]:
                return

    def curve(self, speech: Iterable[Float32], alignment: Alignment | None = None) -> Iterator[Curve]:
        """Yield the motion at 50 rows per second, in time with the audio, without end: at rest after the speech."""
        parts = self._encoded(speech)
        rows = next(parts)
        while True:
            if (known := len(rows.acoustic) - 2 * _MARGIN) > 0:
                yield _slice(self._mouth(rows, alignment), slice(_MARGIN, _MARGIN + known))
                rows = rows.from_row(known)
            rows = rows.concatenate(next(parts))

    def _mouth(self, rows: "_Rows", alignment: Alignment | None) -> Curve:
        """Return the curve of all rows; the first and last _MARGIN of them lack context."""
        acoustic = rows.acoustic
        prediction, gate = predict(self._model, acoustic.features), np.zeros(len(acoustic), np.float32)
        if alignment is not None:
            times = (rows.first + np.arange(len(acoustic))) / CURVE_RATE
            gate = closure_gate(alignment, times + _CLOSURE_LEAD)
            acoustic = replace(acoustic, posteriors=blend_posteriors(acoustic.posteriors, alignment, rows.first))
            prediction = blend_with_transcript(self._model, prediction, acoustic)
        predicted = PredictedRows(prediction=prediction, acoustic=acoustic, in_recording=rows.in_recording, gate=gate)
        return mouth_curve(predicted, self._model.calibration)

    def _encoded(self, speech: Iterable[Float32]) -> Iterator["_Rows"]:
        """Yield BLOCK rows at a time, without end; the first row is _MARGIN before the recording."""
        if self._kept:
            return iter(self._kept.rows)
        for_mel, for_activity = tee(without_hum(speech))
        return self._encode(for_mel, speech_probability(self._model.activity, for_activity))

    def _encode(self, speech: Iterable[Float32], probabilities: Iterator[Float32]) -> Iterator["_Rows"]:
        """Yield what `_encoded` does, of speech without hum and the probabilities of speech in it."""
        windows = _windows(speech, probabilities)
        while True:
            batch = list(islice(windows, self._windows_at_once))
            encoded = encode(self._model, np.stack([each.mel for each in batch]), np.stack([each.speech for each in batch]))
            for window, acoustic in zip(batch, encoded, strict=True):
                inner = slice(CONTEXT, CONTEXT + BLOCK)
                yield _Rows(acoustic=acoustic[inner], in_recording=window.in_recording[inner], first=window.first + CONTEXT)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Consecutive rows at 50 Hz: what was encoded, in_recording bool [n], the number of the first row."""

    acoustic: AcousticFeatures
    in_recording: Bool
    first: int

    def from_row(self, row: int) -> "_Rows":
        return _Rows(acoustic=self.acoustic[row:], in_recording=self.in_recording[row:], first=self.first + row)

    def concatenate(self, other: "_Rows") -> "_Rows":
        in_recording = np.concatenate([self.in_recording, other.in_recording])
        return _Rows(acoustic=self.acoustic.concatenate(other.acoustic), in_recording=in_recording, first=self.first)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """BLOCK rows with CONTEXT: mel float32 [2 n, 80], speech float32 [n], in_recording bool [n], the number of the first row."""

    mel: Float32
    speech: Float32
    in_recording: Bool
    first: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kept:
    """What the networks computed of one recording: activity, the probability of speech; rows, the output of the encoder."""

    activity: Replay[Float32]
    rows: "Replay[_Rows]"


def _windows(recording: Iterable[Float32], probabilities: Iterator[Float32]) -> Iterator[_Window]:
    """Yield windows without end, each BLOCK rows after the one before; before and after the recording is silence.

    recording: without hum; probabilities: of speech in it, at CURVE_RATE."""
    lead, length = _MARGIN + CONTEXT, BLOCK + 2 * CONTEXT
    mel_rows = mel_stream(recording)
    mel, in_recording = np.full((2 * lead, BANDS), SILENCE, np.float32), np.zeros(2 * lead, bool)
    speech = np.zeros(lead, np.float32)
    first = -lead
    while True:
        while len(mel) < 2 * length:
            rows = next(mel_rows)
            mel, in_recording = np.concatenate([mel, rows.mel]), np.concatenate([in_recording, rows.in_recording])
        while len(speech) < length:
            speech = np.concatenate([speech, next(probabilities)])
        yield _Window(mel=mel[: 2 * length], speech=speech[:length], in_recording=in_recording[: 2 * length : 2], first=first)
        mel, in_recording, speech, first = mel[2 * BLOCK :], in_recording[2 * BLOCK :], speech[BLOCK:], first + BLOCK


def _slice(curve: Curve, rows: slice) -> Curve:
    return Curve(opening=curve.opening[rows], width=curve.width[rows], visemes=curve.visemes[rows])
