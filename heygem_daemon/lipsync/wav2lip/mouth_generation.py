"""Generate the mouths of the frames of a video in batches, and measure them where that is needed."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.imaging.visibility import is_discontinuity
from heygem_daemon.lipsync.ports import FrameContext
from heygem_daemon.lipsync.wav2lip.framing import FaceBox, Framing
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator
from heygem_daemon.lipsync.wav2lip.mel import SILENCE, mel_windows
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurement, MouthMeasurer
from heygem_daemon.lipsync.wav2lip.network import BANDS, COLUMNS
from heygem_daemon.media.frame import Frame

_HELD_BYTES: Final = 256 << 20
"""Bytes of the frames that may wait for a full batch: 85 of 1080p, 21 of 4K."""
_SMOOTHING: Final = np.array([-3, 12, 17, 12, -3]) / 35
"""A parabola through five frames (Savitzky and Golay 1964), as the tracker smooths real faces."""
_REACH: Final = len(_SMOOTHING) // 2
_IN_SILENCE: Final = 8
"""Faces that are also generated with silence, to measure shut lips."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratedMouth:
    """A generated mouth. lower: float32 [52, 96, 3] in 0-255, blue first; None where the frame has no face.

    measurement: None where it was not measured; follows: it is the next frame of the same shot as the one before.
    """

    lower: Float32 | None
    measurement: MouthMeasurement | None
    follows: bool


@dataclass(kw_only=True, eq=False)
class MouthGenerator:
    """Generates and measures the mouths of one video. reference: [468, 3], the mean canonical face of the person.

    silent: the mouths generated on the first faces with silence, known with the first mouth that is measured.
    """

    context: FrameContext
    reference: Float64
    generator: FaceGenerator
    measurer: MouthMeasurer
    silent: tuple[MouthMeasurement, ...] = ()
    _previous: int | None = None
    _framing: Framing = field(init=False)

    def __post_init__(self) -> None:
        self._framing = Framing(self.context.tracks, self.reference)

    def generate(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, shift: Fraction, measured: int
    ) -> Iterator[GeneratedMouth]:
        """Yield `frames` mouths, or fewer if the frames of the context end; the first `measured` of them are measured.

        shift: s from a frame to the begin of its window of audio.
        """
        waiting: list[tuple[Frame, Float32]] = []
        done = 0
        for pair in zip(self.context.frames, mel_windows(speech, frame_rate, frames, shift), strict=False):
            waiting.append(pair)
            if len(waiting) >= self._batch(pair[0]):
                yield from self._generate_batch(waiting, measured - done)
                done += len(waiting)
                waiting = []
        yield from self._generate_batch(waiting, measured - done)

    def _batch(self, frame: Frame) -> int:
        return max(1, min(self.generator.batch, _HELD_BYTES // frame.i420().nbytes))

    def _generate_batch(self, waiting: list[tuple[Frame, Float32]], measured: int) -> Iterator[GeneratedMouth]:
        boxes = [self._framing(frame.index) for frame, _ in waiting]
        inputs = [(window, box.face(frame)) for (frame, window), box in zip(waiting, boxes, strict=True) if box is not None]
        if inputs and measured > 0 and not self.silent:
            self.silent = tuple(self._generate_silent(waiting, boxes))
        generated = iter(self.generator(np.stack([w for w, _ in inputs]), np.stack([f for _, f in inputs])) if inputs else ())
        for number, ((frame, _), box) in enumerate(zip(waiting, boxes, strict=True)):
            lower = None if box is None else next(generated)
            measurement = self._measure(frame, box, lower) if number < measured and box is not None and lower is not None else None
            yield GeneratedMouth(lower=lower, measurement=measurement, follows=self._follows(frame.index))

    def _generate_silent(self, waiting: list[tuple[Frame, Float32]], boxes: list[FaceBox | None]) -> Iterator[MouthMeasurement]:
        first = [(frame, box) for (frame, _), box in zip(waiting, boxes, strict=True) if box is not None][:_IN_SILENCE]
        silence = np.full((len(first), BANDS, COLUMNS), SILENCE, np.float32)
        generated = self.generator(silence, np.stack([box.face(frame) for frame, box in first]))
        for (frame, box), lower in zip(first, generated, strict=True):
            yield self._measure(frame, box, lower)

    def _measure(self, frame: Frame, box: FaceBox, lower: Float32) -> MouthMeasurement:
        landmarks = self.context.tracks.landmarks(frame.index, frame.index + 1)[0]
        return self.measurer.measure(frame, landmarks, box, lower, self.reference)

    def _follows(self, index: int) -> bool:
        """Note the frame; return whether it is the next of its shot, forth or back (or the last one again, where the video turns)."""
        previous, self._previous = self._previous, index
        return previous is not None and not is_discontinuity(self.context.tracks, previous, index)


def smoothed(mouths: Iterable[GeneratedMouth]) -> Iterator[tuple[GeneratedMouth, MouthMeasurement | None]]:
    """Yield every mouth with its measurement smoothed over five frames of one shot, two frames late. Next to cuts and gaps it stays raw."""
    window: deque[GeneratedMouth | None] = deque([None] * (2 * _REACH + 1), maxlen=2 * _REACH + 1)
    for mouth in _pad(mouths):
        window.append(mouth)
        middle = window[_REACH]
        if middle is not None:
            yield middle, _weighted_mean(list(window)) or middle.measurement


def _pad(mouths: Iterable[GeneratedMouth]) -> Iterator[GeneratedMouth | None]:
    yield from mouths
    yield from [None] * _REACH


def _weighted_mean(window: list[GeneratedMouth | None]) -> MouthMeasurement | None:
    known = [mouth.measurement for mouth in window if mouth is not None and mouth.measurement is not None]
    if len(known) < len(window) or not all(mouth is not None and mouth.follows for mouth in window[1:]):
        return None
    opening, width, score = (float(_SMOOTHING @ [getattr(one, name) for one in known]) for name in ("opening", "width", "score"))
    return MouthMeasurement(opening=opening, width=width, score=score)
