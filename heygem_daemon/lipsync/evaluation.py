"""Did the mouth do what was asked? The finished file is tracked again and compared."""

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.face.tracker import FaceTracker, FollowedFace
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening, sync_offset
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo

LONGEST: Final = 60
"""Seconds of the result that are tracked again: enough for the figures, and cheap beside rendering."""
_LEAST_MOTION: Final = 0.003
"""Standard deviation of the opening (eye corners 1 apart) below which a mouth counts as still: tracker noise is about .002."""
_SHUT: Final = 0.15
"""Share of the way from a curve's own 2nd to its own 95th percentile below which lips count as shut. The tracker sees lips that meet
at .005-.016 of the eye distance, and at .07 on one who smiles: which is more than 15 % of all that some presenters ever open."""
_SYNC_MS: Final = 45.0
"""Offsets of picture against sound beyond this are noticed by viewers (ITU-R BT.1359-1: +45 ms)."""
_CORRELATION: Final = 0.7
_CLOSURE_RATE: Final = 0.7
"""Renders seen to be good reach .78-1 (13 of 7 real presenters), the same curves shifted at random against each other .71 in the mean,
smeared over 7 frames .24-.5: below this, lips meet no more often than by chance."""
_FEWEST_CLOSURES: Final = 5
_BELIEVED: Final = 0.5


@dataclass(kw_only=True)
class Asked:
    """What was asked of the first `limit` frames; a score of numbers per frame.

    opening: as the tracker measures it, NaN where nothing was drawn; source: the frame of the source each shows;
    said, width and visemes (16 per frame, in the order of VISEMES): opening, width and visemes as the driver said them;
    trust: how far it believed them, where it told.
    """

    limit: int
    opening: "array[float]" = field(default_factory=lambda: array("f"))
    source: "array[int]" = field(default_factory=lambda: array("l"))
    said: "array[float]" = field(default_factory=lambda: array("f"))
    width: "array[float]" = field(default_factory=lambda: array("f"))
    visemes: "array[float]" = field(default_factory=lambda: array("f"))
    confidence: "array[float]" = field(default_factory=lambda: array("f"))

    def note(self, rendered: RenderedFrame) -> None:
        if len(self.opening) < self.limit:
            self.opening.append(rendered.asked_opening)
            self.source.append(rendered.frame.index)

    def overhear(self, motion: Iterable[MouthMotion]) -> Iterator[MouthMotion]:
        """Pass the blocks of a driver on and remember the beginning."""
        for block in motion:
            room = self.limit - len(self.width)
            self.said.extend(map(float, block.opening[:room]))
            self.width.extend(map(float, block.width[:room]))
            self.visemes.extend(map(float, block.visemes[:room].ravel()))
            if block.confidence is not None:
                self.confidence.extend(map(float, block.confidence[:room]))
            yield block

    def viseme_rows(self) -> Float32:
        """Return float32 [n, 16]."""
        return np.array(self.visemes, np.float32).reshape(-1, len(VISEMES))

    def is_doubtful(self) -> bool:
        """Return whether the driver itself believes less than half of what it said."""
        return bool(self.confidence) and float(np.mean(self.confidence)) < _BELIEVED

    def shut(self) -> Bool:
        """Return [n]: where the driver wants the lips to meet; nowhere if it never opens them."""
        said = np.array(self.said, np.float32)[: len(self.opening)]
        return np.asarray(said < _SHUT * np.percentile(said, 95) if len(said) else said > 0)


@dataclass(frozen=True, kw_only=True)
class Closure:
    """Lips that were asked to shut, over the frames start to stop - 1; is_shut: whether the picture shows them shut."""

    start: int
    stop: int
    is_shut: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """sync_offset_ms: how late the mouth is against what was asked; correlation: Pearson r of the opening at lag 0.

    Both None where nothing moved, or too little was drawn to tell. closures: those that were asked for where the face was seen.
    """

    sync_offset_ms: float | None = None
    correlation: float | None = None
    closures: tuple[Closure, ...] = ()

    @property
    def closure_rate(self) -> float | None:
        """The share of the asked closures that the picture shows shut; None where none was asked for."""
        if not self.closures:
            return None
        return round(sum(closure.is_shut for closure in self.closures) / len(self.closures), 3)

    def warnings(self) -> dict[WarningCode, bool]:
        """Return which warnings about sync apply."""
        offset, correlation = self.sync_offset_ms, self.correlation
        return {
            WarningCode.OUT_OF_SYNC: offset is not None and abs(offset) > _SYNC_MS,
            WarningCode.WEAK_MOUTH: correlation is not None and correlation < _CORRELATION,
            WarningCode.MISSED_CLOSURES: len(self.closures) >= _FEWEST_CLOSURES and (self.closure_rate or 0.0) < _CLOSURE_RATE,
        }


def track(result: MediaInfo, asked: Asked, tracks: FaceTracks, models: Path, on_frame: Callable[[int], None]) -> Float32:
    """Track the beginning of the finished file `result`; return its lip opening, float32 [n], NaN where the face was not seen.

    tracks: those of the source; they tell which of several faces was drawn on. on_frame hears the number of frames done.
    """
    count = len(asked.opening)
    tracker = FaceTracker(models, frame_rate=tracks.frame_rate)
    obtained = np.full(count, np.nan, np.float32)
    with closing(VideoReader(result).frames(0, count)) as frames:
        for i, frame in enumerate(frames):
            wanted = tracks.landmarks(asked.source[i], asked.source[i] + 1)[0]
            face = _nearest(tracker.follow(frame), wanted)
            if face is not None:
                obtained[i] = lip_opening(face.landmarks[None])[0]
            on_frame(i + 1)
    return obtained


def compare(asked: Float32, obtained: Float32, shut: Bool, frame_rate: Fraction) -> Outcome:
    """Compare two curves of the opening: float32 [n] each, NaN where nothing was drawn or seen. shut: [n], where lips should meet."""
    both = np.isfinite(asked) & np.isfinite(obtained)
    if both.sum() < 2 or asked[both].std() < _LEAST_MOTION:
        return Outcome()
    offset, _ = sync_offset(asked, obtained, frame_rate)
    still = obtained[both].std() < 1e-6
    correlation = 0.0 if still else float(np.corrcoef(asked[both], obtained[both])[0, 1])
    return Outcome(
        sync_offset_ms=None if np.isnan(offset) else round(offset, 1),
        correlation=round(correlation, 3),
        closures=tuple(_closures(asked, obtained, shut)),
    )


def _closures(asked: Float32, obtained: Float32, shut: Bool) -> Iterator[Closure]:
    """Yield every run of frames asked to be shut in which the face was seen. A frame early or late is no miss: the eye allows it.

    Near a gap the drawn mouth gives way to the untouched one, so what the driver wants shut need not be asked of the picture.
    """
    wanted_shut, shown_shut = shut & _is_low(asked), _is_low(obtained)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted_shut, [False]])))
    for start, stop in edges.reshape(-1, 2).tolist():
        around = slice(max(start - 1, 0), stop + 1)
        if np.isfinite(obtained[around]).any():
            yield Closure(start=start, stop=stop, is_shut=bool(shown_shut[around].any()))


def _is_low(curve: Float32) -> Bool:
    shut, wide = np.nanpercentile(curve, (2, 95))
    return np.asarray(curve < shut + _SHUT * (wide - shut))


def _nearest(faces: tuple[FollowedFace, ...], wanted: Float32) -> FollowedFace | None:
    """Return the face that lies where `wanted` (float32 [468, 3], NaN where there was none) lay, within half its width."""
    if not faces or not np.isfinite(wanted).all():
        return None
    reach = 0.5 * float(np.ptp(wanted[:, 0]))
    distances = [float(np.linalg.norm(face.landmarks[:, :2].mean(0) - wanted[:, :2].mean(0))) for face in faces]
    best = int(np.argmin(distances))
    return faces[best] if distances[best] < reach else None
