"""Frames and sound in, generated mouths out: a batch at a time, and read where that is wanted."""

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
from heygem_daemon.lipsync.wav2lip.mouth_measurement import LipReader, Lips
from heygem_daemon.lipsync.wav2lip.network import BANDS, COLUMNS
from heygem_daemon.media.frame import Frame

_HELD_BYTES: Final = 256 << 20
"""Frames that wait for a batch to fill may take this much: 85 of 1080p, 21 of 4K."""
_SMOOTHING: Final = np.array([-3, 12, 17, 12, -3]) / 35
"""A parabola through five frames (Savitzky and Golay 1964): what the tracker smooths real faces with."""
_REACH: Final = len(_SMOOTHING) // 2
_IN_SILENCE: Final = 8
"""Faces that are drawn in silence first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mouth:
    """A generated mouth. lower: float32 [52, 96, 3] in 0-255, blue first; None where the frame has no face.

    lips: None where nothing was read; follows: it is the next frame of the same shot as the one before.
    """

    lower: Float32 | None
    lips: Lips | None
    follows: bool


@dataclass(kw_only=True, eq=False)
class Watcher:
    """Draws and reads the mouths of one video. reference: [468, 3], the mean canonical face of the person.

    silent: the lips that are drawn on the first faces when nothing is heard, known with the first mouth that is read.
    """

    sight: FrameContext
    reference: Float64
    generator: FaceGenerator
    reader: LipReader
    silent: tuple[Lips, ...] = ()
    _previous: int | None = None
    _framing: Framing = field(init=False)

    def __post_init__(self) -> None:
        self._framing = Framing(self.sight.tracks, self.reference)

    def mouths(self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, shift: Fraction, read: int) -> Iterator[Mouth]:
        """Yield `frames` mouths, or fewer if the frames in sight end; the first `read` of them are read.

        shift: how much later than the frame its window of sound begins, s.
        """
        waiting: list[tuple[Frame, Float32]] = []
        done = 0
        for pair in zip(self.sight.frames, mel_windows(speech, frame_rate, frames, shift), strict=False):
            waiting.append(pair)
            if len(waiting) >= self._most(pair[0]):
                yield from self._work(waiting, read - done)
                done += len(waiting)
                waiting = []
        yield from self._work(waiting, read - done)

    def _most(self, frame: Frame) -> int:
        return max(1, min(self.generator.batch, _HELD_BYTES // frame.i420().nbytes))

    def _work(self, waiting: list[tuple[Frame, Float32]], read: int) -> Iterator[Mouth]:
        boxes = [self._framing(frame.index) for frame, _ in waiting]
        seen = [(window, box.face(frame)) for (frame, window), box in zip(waiting, boxes, strict=True) if box is not None]
        if seen and read > 0 and not self.silent:
            self.silent = tuple(self._in_silence(waiting, boxes))
        drawn = iter(self.generator(np.stack([w for w, _ in seen]), np.stack([f for _, f in seen])) if seen else ())
        for number, ((frame, _), box) in enumerate(zip(waiting, boxes, strict=True)):
            lower = None if box is None else next(drawn)
            lips = self._read(frame, box, lower) if number < read and box is not None and lower is not None else None
            yield Mouth(lower=lower, lips=lips, follows=self._follows(frame.index))

    def _in_silence(self, waiting: list[tuple[Frame, Float32]], boxes: list[FaceBox | None]) -> Iterator[Lips]:
        first = [(frame, box) for (frame, _), box in zip(waiting, boxes, strict=True) if box is not None][:_IN_SILENCE]
        silence = np.full((len(first), BANDS, COLUMNS), SILENCE, np.float32)
        drawn = self.generator(silence, np.stack([box.face(frame) for frame, box in first]))
        for (frame, box), lower in zip(first, drawn, strict=True):
            yield self._read(frame, box, lower)

    def _read(self, frame: Frame, box: FaceBox, lower: Float32) -> Lips:
        landmarks = self.sight.tracks.landmarks(frame.index, frame.index + 1)[0]
        return self.reader.read(frame, landmarks, box, lower, self.reference)

    def _follows(self, index: int) -> bool:
        """Note the frame; return whether it is the next of its shot, forth or back (or the last one again, where the video turns)."""
        previous, self._previous = self._previous, index
        return previous is not None and not is_discontinuity(self.sight.tracks, previous, index)


def smoothed(mouths: Iterable[Mouth]) -> Iterator[tuple[Mouth, Lips | None]]:
    """Yield every mouth with its lips smoothed over five frames of one shot; two frames late. Next to cuts and gaps they stay as read."""
    window: deque[Mouth | None] = deque([None] * (2 * _REACH + 1), maxlen=2 * _REACH + 1)
    for mouth in _ended(mouths):
        window.append(mouth)
        middle = window[_REACH]
        if middle is not None:
            yield middle, _mean(list(window)) or middle.lips


def _ended(mouths: Iterable[Mouth]) -> Iterator[Mouth | None]:
    yield from mouths
    yield from [None] * _REACH


def _mean(window: list[Mouth | None]) -> Lips | None:
    known = [mouth.lips for mouth in window if mouth is not None and mouth.lips is not None]
    if len(known) < len(window) or not all(mouth is not None and mouth.follows for mouth in window[1:]):
        return None
    opening, width, score = (float(_SMOOTHING @ [getattr(lips, name) for lips in known]) for name in ("opening", "width", "score"))
    return Lips(opening=opening, width=width, score=score)
