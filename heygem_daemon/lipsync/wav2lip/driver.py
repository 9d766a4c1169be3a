"""The drivers that ask a Wav2Lip checkpoint: it looks at the presenter, hears the recording, and draws the mouth.

speech -> mel windows ----------+
frames -> face boxes -> 96x96 --+-> generator -> lower faces -> lip reader -> smoothing -> opening, width
speech -> companion (the driver `phonetic`) -> visemes, silence, and the mouth where none could be read
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, tee
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.geometry.samples import sample_faces
from heygem_daemon.lipsync.geometry.smoothstep import smoothstep
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import EVALUATED_SECONDS, FrameContext
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.transcript import Alignment
from heygem_daemon.lipsync.wav2lip.correlation import Agreement
from heygem_daemon.lipsync.wav2lip.generator import ROWS, FaceGenerator
from heygem_daemon.lipsync.wav2lip.mouth_generation import Mouth, Watcher, smoothed
from heygem_daemon.lipsync.wav2lip.mouth_measurement import LipReader, Lips
from heygem_daemon.lipsync.wav2lip.network import SIDE

_BLOCK: Final = 8
"""Frames of a block of motion: what is drawn is wanted soon, and a picture has 60 kB."""
_UNDERREAD: Final = 1.14
"""A real mouth, framed and blurred by one pixel as a generated one is, reads smaller than in the video: slopes 1.05 to 1.26, in the mean
1.14, over 8 people (r .97-.99). Unblurred the slope is 1.00."""
_WIDEST: Final = 1.25
_SHUT: Final = 0.05
_REMEMBERED: Final = 100
_LOWER: Final = 30
"""Percentile of what is read where the companion's lips are shut: those of the checkpoint are so in most such frames, not in all."""
_LARGEST_REST: Final = 0.5
_CLOSED: Final = [VISEMES.index("sil"), VISEMES.index("PP")]
_SURE: Final = (0.6, 0.9)
"""Where the companion hears silence, or p, b or m, with such a weight, its lips count: a network that was taught by television moves the
mouth to breathing, to music, and to people in the background."""
_READABLE: Final = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A checkpoint at work. sha256: of the file it came from; shift: how much later than a frame its window of sound begins, s;
    follows_speech: whether its mouth was seen to follow speech when it was calibrated."""

    generator: FaceGenerator
    sha256: str
    shift: Fraction
    follows_speech: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class _Row:
    """One frame. lips: as read and smoothed, None where nothing could be read; own: what the companion would do; model: the presenter's;
    silent: what was read where nothing was heard."""

    mouth: Mouth
    lips: Lips | None
    own: MouthMotion
    model: MouthModel
    silent: tuple[Lips, ...]

    def said(self, opening: float, width: float, confidence: float) -> MouthMotion:
        """Return the motion of this frame with what was read, as far as it is trusted."""

        def mixed(read: float, own: Float32) -> Float32:
            return (confidence * read + (1 - confidence) * own).astype(np.float32)

        return replace(
            self.own,
            opening=mixed(opening, self.own.opening),
            width=mixed(width, self.own.width),
            confidence=np.array([confidence], np.float32),
        )


class _Wav2Lip:
    """What both drivers share: without something to look at they are their companion."""

    name = "wav2lip"

    def __init__(self, trained: Trained, companion: PhoneticDriver, reader: LipReader) -> None:
        self._trained, self._companion, self._reader = trained, companion, reader
        self.model_hashes: Mapping[str, str] = {"wav2lip": trained.sha256, **companion.model_hashes}

    def motion(
        self, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        return self._companion.motion(speech, frame_rate, frames, alignment)

    def posteriors(self, speech: Iterable[Float32]) -> Iterator[Float32]:
        return self._companion.posteriors(speech)

    def _agreement(self, frame_rate: Fraction) -> Agreement:
        return Agreement(frame_rate, prior=1.0 if self._trained.follows_speech else 0.0)

    def _rows(
        self, context: FrameContext, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None, *, read: int
    ) -> "Iterator[_Row]":
        """Yield what is known of each frame; the mouths of the first `read` are read."""
        said, heard = tee(speech)
        reference = mean_face(context.tracks)
        mouth = learn_mouth(sample_faces(context.tracks, reference).canonical, reference)
        watcher = Watcher(context=context, reference=reference, generator=self._trained.generator, reader=self._reader)
        mouths = watcher.mouths(heard, frame_rate, frames, self._trained.shift, read)
        companion = _split(self._companion.motion(said, frame_rate, frames, alignment))
        for (generated, lips), own in zip(smoothed(mouths), companion, strict=False):
            is_readable = lips is not None and lips.score >= _READABLE
            yield _Row(mouth=generated, lips=lips if is_readable else None, own=own, model=mouth, silent=watcher.silent)


class PictureDriver(_Wav2Lip):
    """Gives the mouths as they were drawn, for a renderer that pastes them."""

    def motion_from_frames(
        self, context: FrameContext, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield motion with pictures, float32 [T, 52, 96, 3]; the opening is that of the picture, in the first minute."""
        agreement = self._agreement(frame_rate)
        read = int(EVALUATED_SECONDS * frame_rate)
        rows = self._rows(context, speech, frame_rate, frames, alignment, read=read)
        yield from _blocks(_as_drawn(row, agreement) for row in rows)


class LipsDriver(_Wav2Lip):
    """Gives the motion that can be read from the mouths drawn, checked against the companion; for renderers with a mouth of their own."""

    def motion_from_frames(
        self, context: FrameContext, speech: Iterable[Float32], frame_rate: Fraction, frames: int, alignment: Alignment | None = None
    ) -> Iterator[MouthMotion]:
        """Yield motion with the trust in what was read; where there is none it is the companion's."""
        agreement, rest = self._agreement(frame_rate), _Rest()
        rows = self._rows(context, speech, frame_rate, frames, alignment, read=frames)
        yield from _blocks(_as_believed(row, agreement, rest) for row in rows)


def _as_drawn(row: _Row, agreement: Agreement) -> MouthMotion:
    """Return what the picture shows, in the presenter's range, and how far that makes sense."""
    picture = np.zeros((1, ROWS, SIDE, 3), np.float32) if row.mouth.lower is None else row.mouth.lower[None]
    if row.lips is None:
        return replace(row.own, mouth_images=picture, confidence=np.array([agreement.confidence], np.float32))
    opening, width = _fractions(row.lips, row.model)
    agreement.push(opening, float(row.own.opening[0]))
    return replace(row.said(opening, width, 1.0), mouth_images=picture, confidence=np.array([agreement.confidence], np.float32))


class _Rest:
    """What is read of lips that are shut: .05 IOD of a smile and of full lips, as much as others open them to speak.

    First it is what was read in silence, then what is read where the companion shuts its lips.
    """

    def __init__(self) -> None:
        self._read: deque[float] = deque(maxlen=_REMEMBERED)

    def beyond(self, row: _Row, opening: float) -> float:
        """Return how much further open the mouth is than when it is shut, IOD. Notes it where the companion's lips are shut."""
        shut, wide = row.model.openings
        if float(row.own.opening[0]) < _SHUT:
            self._read.append(opening)
        assumed = [_UNDERREAD * lips.opening for lips in row.silent] or [shut]
        known = [*self._read, *assumed[len(self._read) :]]
        rest = min(float(np.percentile(known, _LOWER)), shut + _LARGEST_REST * (wide - shut))
        return opening - rest + shut


def _as_believed(row: _Row, agreement: Agreement, rest: _Rest) -> MouthMotion:
    """Return what was read, in the presenter's range; the companion's where it is sure that lips meet, or what was read makes no sense."""
    if row.lips is None:
        return row.said(0.0, 0.0, 0.0)
    opening, width = _fractions(replace(row.lips, opening=rest.beyond(row, _UNDERREAD * row.lips.opening)), row.model)
    heard = float(row.own.opening[0])
    agreement.push(opening, heard)
    shut = smoothstep(float(row.own.visemes[0, _CLOSED].max()), *_SURE)
    return row.said(opening + shut * (heard - opening), width, agreement.confidence)


def _fractions(lips: Lips, model: MouthModel) -> tuple[float, float]:
    """Return opening and width as fractions of the presenter's range."""
    shut, wide = model.openings
    opening = float(np.clip((lips.opening - shut) / (wide - shut), 0, _WIDEST))
    return opening, float(np.interp(lips.width, model.widths, (0.0, 0.5, 1.0)))


def _split(blocks: Iterable[MouthMotion]) -> Iterator[MouthMotion]:
    """Yield every frame as a block of its own."""
    for block in blocks:
        yield from (block[i : i + 1] for i in range(len(block)))


def _blocks(rows: Iterator[MouthMotion]) -> Iterator[MouthMotion]:
    """Yield the frames in blocks of _BLOCK."""
    while block := list(islice(rows, _BLOCK)):
        yield MouthMotion.concatenate(block)
