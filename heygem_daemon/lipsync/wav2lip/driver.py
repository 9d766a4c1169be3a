"""The drivers of a Wav2Lip checkpoint, which generates the mouth from the frames and the recording.

speech -> mel windows ----------+
frames -> face boxes -> 96x96 --+-> generator -> lower faces -> mouth measurer -> smoothing -> opening, width
speech -> fallback driver (`phonetic`) -> visemes, silence, and the motion where no mouth could be measured
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, tee
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.geometry.samples import sample_faces
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import EVALUATED_SECONDS, FrameContext
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.transcript import Alignment
from heygem_daemon.lipsync.wav2lip.correlation import RunningCorrelation
from heygem_daemon.lipsync.wav2lip.generator import ROWS, FaceGenerator
from heygem_daemon.lipsync.wav2lip.mouth_generation import GeneratedMouth, MouthGenerator, smoothed
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurement, MouthMeasurer
from heygem_daemon.lipsync.wav2lip.network import SIDE

_BLOCK: Final = 8
"""Frames of a block of motion: few, because a mouth image has 60 kB and is needed soon."""
_OPENING_GAIN: Final = 1.14
"""Factor on measured openings. A real mouth, framed and blurred by one pixel as a generated one is, measures smaller than in the video:
slopes 1.05 to 1.26, in the mean 1.14, over 8 people (r .97-.99). Unblurred the slope is 1.00."""
_WIDEST_OPENING: Final = 1.25
"""Fraction of the presenter's range."""
_SHUT: Final = 0.05
"""Opening of the fallback driver (fraction of the range) below which its lips are shut."""
_REST_FRAMES: Final = 100
"""Frames with shut lips that the resting opening is estimated from."""
_REST_PERCENTILE: Final = 30
"""Percentile of the openings where the fallback driver shuts the lips: the checkpoint shuts them in most such frames, not in all."""
_LARGEST_REST: Final = 0.5
"""Largest resting opening, as a fraction of the presenter's range."""
_CLOSED: Final = [VISEMES.index("sil"), VISEMES.index("PP")]
_SURE: Final = (0.6, 0.9)
"""Weights of silence or p, b, m in the fallback driver from which its lips begin to count, and at which they count alone: a network
trained on television moves the mouth to breathing, to music, and to people in the background."""
_LOWEST_SCORE: Final = 0.5
"""Score of the face mesh below which a mouth counts as not measured."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibratedModel:
    """A checkpoint with its calibration. sha256: of the file it came from; shift: s from a frame to the begin of its window of audio;
    follows_speech: whether its mouth followed the speech when it was calibrated."""

    generator: FaceGenerator
    sha256: str
    shift: Fraction
    follows_speech: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class _Row:
    """One frame. measurement: smoothed, None where the mouth could not be measured; fallback: the motion of the fallback driver (1 frame);
    mouth_model: of the presenter; silent: the mouths generated with silence."""

    mouth: GeneratedMouth
    measurement: MouthMeasurement | None
    fallback: MouthMotion
    mouth_model: MouthModel
    silent: tuple[MouthMeasurement, ...]

    def blended(self, opening: float, width: float, confidence: float) -> MouthMotion:
        """Return the motion of this frame: the measured opening and width with the weight `confidence`, the fallback with the rest."""

        def blend(measured: float, fallback: Float32) -> Float32:
            return (confidence * measured + (1 - confidence) * fallback).astype(np.float32)

        return replace(
            self.fallback,
            opening=blend(opening, self.fallback.opening),
            width=blend(width, self.fallback.width),
            confidence=np.array([confidence], np.float32),
        )


class _Wav2Lip:
    """The common part of both drivers: without frames they are their fallback driver."""

    name = "wav2lip"

    def __init__(self, model: CalibratedModel, fallback_driver: PhoneticDriver, measurer: MouthMeasurer) -> None:
        self._model, self._fallback_driver, self._measurer = model, fallback_driver, measurer
        self.model_hashes: Mapping[str, str] = {"wav2lip": model.sha256, **fallback_driver.model_hashes}

    def motion(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield the motion of the fallback driver."""
        return self._fallback_driver.motion(speech, frame_rate, frames, alignment)

    def speech_activity(self, speech: Iterable[Float32], frame_rate: Fraction, frames: int) -> Bool:
        """Return where the fallback driver hears somebody speak."""
        return self._fallback_driver.speech_activity(speech, frame_rate, frames)

    def posteriors(self, speech: Iterable[Float32]) -> Iterator[Float32]:
        """Yield the viseme probabilities of the fallback driver."""
        return self._fallback_driver.posteriors(speech)

    def _correlation(self, frame_rate: Fraction) -> RunningCorrelation:
        return RunningCorrelation(frame_rate, prior=1.0 if self._model.follows_speech else 0.0)

    def _rows(
        self,
        context: FrameContext,
        speech: Iterable[Float32],
        frame_rate: Fraction,
        frames: int,
        alignment: Alignment | None,
        *,
        measured: int,
    ) -> "Iterator[_Row]":
        """Yield the frames; the mouths of the first `measured` are measured."""
        for_fallback, for_generator = tee(speech)
        reference = mean_face(context.tracks)
        mouth_model = learn_mouth(sample_faces(context.tracks, reference).frontal().canonical, reference)
        mouth_generator = MouthGenerator(context=context, reference=reference, generator=self._model.generator, measurer=self._measurer)
        mouths = mouth_generator.generate(for_generator, frame_rate, frames, self._model.shift, measured)
        fallbacks = _split(self._fallback_driver.motion(for_fallback, frame_rate, frames, alignment))
        for (mouth, measurement), fallback in zip(smoothed(mouths), fallbacks, strict=False):
            is_certain = measurement is not None and measurement.score >= _LOWEST_SCORE
            yield _Row(
                mouth=mouth,
                measurement=measurement if is_certain else None,
                fallback=fallback,
                mouth_model=mouth_model,
                silent=mouth_generator.silent,
            )


class MouthImageDriver(_Wav2Lip):
    """A VisualDriver for a renderer that pastes: its motion has the generated mouth images."""

    def motion_from_frames(
        self, context: FrameContext, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield motion with mouth images, float32 [T, 52, 96, 3]; in the first minute the opening is that of the image."""
        correlation = self._correlation(frame_rate)
        measured = int(EVALUATED_SECONDS * frame_rate)
        rows = self._rows(context, speech, frame_rate, frames, alignment, measured=measured)
        yield from _blocks(_image_motion(row, correlation) for row in rows)


class MouthMotionDriver(_Wav2Lip):
    """A VisualDriver for renderers that draw a mouth of their own: the motion of the generated mouths, checked against the fallback."""

    def motion_from_frames(
        self, context: FrameContext, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield motion with the confidence in the measured mouths; without confidence it is that of the fallback driver."""
        correlation, rest = self._correlation(frame_rate), _RestingOpening()
        rows = self._rows(context, speech, frame_rate, frames, alignment, measured=frames)
        yield from _blocks(_checked_motion(row, correlation, rest) for row in rows)


def _image_motion(row: _Row, correlation: RunningCorrelation) -> MouthMotion:
    """Return the motion of the mouth image, in the presenter's range, and the confidence in it."""
    image = np.zeros((1, ROWS, SIDE, 3), np.float32) if row.mouth.lower is None else row.mouth.lower[None]
    if row.measurement is None:
        return replace(row.fallback, mouth_images=image, confidence=np.array([correlation.confidence], np.float32))
    opening, width = _fractions(row.measurement, row.mouth_model)
    correlation.push(opening, float(row.fallback.opening[0]))
    return replace(row.blended(opening, width, 1.0), mouth_images=image, confidence=np.array([correlation.confidence], np.float32))


class _RestingOpening:
    """The measured opening of shut lips: .05 IOD for a smile and for full lips, as much as others open them to speak.

    At first it comes from the mouths generated with silence, then from the frames in which the fallback driver shuts the lips.
    """

    def __init__(self) -> None:
        self._measured: deque[float] = deque(maxlen=_REST_FRAMES)

    def corrected(self, row: _Row, opening: float) -> float:
        """Return the opening in IOD, moved so that the resting opening becomes that of the presenter's shut lips.

        Uses the frame for the estimate where the lips of the fallback driver are shut.
        """
        shut, wide = row.mouth_model.openings
        if float(row.fallback.opening[0]) < _SHUT:
            self._measured.append(opening)
        assumed = [_OPENING_GAIN * measurement.opening for measurement in row.silent] or [shut]
        known = [*self._measured, *assumed[len(self._measured) :]]
        rest = min(float(np.percentile(known, _REST_PERCENTILE)), shut + _LARGEST_REST * (wide - shut))
        return opening - rest + shut


def _checked_motion(row: _Row, correlation: RunningCorrelation, rest: _RestingOpening) -> MouthMotion:
    """Return the measured motion in the presenter's range.

    The fallback replaces it where that surely shuts the lips, and as far as the measured mouth does not correlate with it.
    """
    if row.measurement is None:
        return row.blended(0.0, 0.0, 0.0)
    corrected = rest.corrected(row, _OPENING_GAIN * row.measurement.opening)
    opening, width = _fractions(replace(row.measurement, opening=corrected), row.mouth_model)
    predicted = float(row.fallback.opening[0])
    correlation.push(opening, predicted)
    shut = smoothstep(float(row.fallback.visemes[0, _CLOSED].max()), *_SURE)
    return row.blended(opening + shut * (predicted - opening), width, correlation.confidence)


def _fractions(measurement: MouthMeasurement, model: MouthModel) -> tuple[float, float]:
    """Return opening and width as fractions of the presenter's range."""
    shut, wide = model.openings
    opening = float(np.clip((measurement.opening - shut) / (wide - shut), 0, _WIDEST_OPENING))
    return opening, float(np.interp(measurement.width, model.widths, (0.0, 0.5, 1.0)))


def _split(blocks: Iterable[MouthMotion]) -> Iterator[MouthMotion]:
    """Yield every frame as a block of its own."""
    for block in blocks:
        yield from (block[i : i + 1] for i in range(len(block)))


def _blocks(rows: Iterator[MouthMotion]) -> Iterator[MouthMotion]:
    """Yield the frames in blocks of _BLOCK."""
    while block := list(islice(rows, _BLOCK)):
        yield MouthMotion.concatenate(block)
