"""Compare the mouth in the finished file with the mouth it was rendered for."""

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.geometry.mouth_metrics import sync_offset
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame

JUDGED_SECONDS: Final = 20
"""s at the beginning of a result that are measured to judge it. Speech has about one closure a second: 20 s have as many as a rate needs.
On the one real result at hand that is longer than 12 s, even these give offset and correlation within .4 ms and .005."""
_ENOUGH_MOTION: Final = 0.5
_LEAST_MOTION: Final = 0.003
"""Standard deviation of the opening (eye corners 1 apart) below which a mouth counts as still: tracker noise is about .002. Without a
target that moves there is nothing to measure; without a mouth that moves there are no closures to judge."""
_STILL: Final = 1e-6
"""The same below which there is not even noise, and no correlation to compute."""
_SHUT: Final = 0.15
"""Fraction of the way from a curve's own 2nd to its own 95th percentile below which lips count as shut. The tracker measures lips that
meet at .005-.016 of the eye distance, and at .07 on one who smiles: which is more than 15 % of all that some presenters ever open."""
_SYNC_MS: Final = 45.0
"""Offsets of video against audio beyond this are noticed by viewers (ITU-R BT.1359-1: +45 ms)."""
_CORRELATION: Final = 0.7
_CLOSURE_RATE: Final = 0.7
"""Good renders reach .78-1 (13 of 7 real presenters), the same curves shifted at random against each other .71 in the mean,
smeared over 7 frames .24-.5: below this, lips meet no more often than by chance."""
_FEWEST_CLOSURES: Final = 5
"""Closures from which missed ones are worth a warning."""
_FEWEST_RATED: Final = 3
"""Closures from which their rate means anything."""
_FEWEST_FRAMES: Final = 20
"""Driven frames, found again in the result, from which a mouth can be judged: fewer hold two or three syllables."""
_LOW_CONFIDENCE: Final = 0.5


@dataclass(kw_only=True)
class TargetTrace:
    """The target of the first `limit` frames, some twenty numbers per frame.

    opening: as the tracker measures it, NaN where the frame is not driven; source_frames: the frame of the source that each shows;
    driver_opening, driver_width and visemes (16 per frame, in the order of VISEMES): as the driver predicted them;
    confidence: the driver's, where it has one.
    """

    limit: int
    opening: "array[float]" = field(default_factory=lambda: array("f"))
    source_frames: "array[int]" = field(default_factory=lambda: array("l"))
    driver_opening: "array[float]" = field(default_factory=lambda: array("f"))
    driver_width: "array[float]" = field(default_factory=lambda: array("f"))
    visemes: "array[float]" = field(default_factory=lambda: array("f"))
    confidence: "array[float]" = field(default_factory=lambda: array("f"))

    def add(self, rendered: RenderedFrame) -> None:
        """Record the target of the next frame."""
        if len(self.opening) < self.limit:
            self.opening.append(rendered.target_opening if rendered.not_driven is None else math.nan)
            self.source_frames.append(rendered.frame.index)

    def record(self, motion: Iterable[MouthMotion]) -> Iterator[MouthMotion]:
        """Yield the blocks of a driver and record the beginning."""
        for block in motion:
            room = self.limit - len(self.driver_width)
            self.driver_opening.extend(map(float, block.opening[:room]))
            self.driver_width.extend(map(float, block.width[:room]))
            self.visemes.extend(map(float, block.visemes[:room].ravel()))
            if block.confidence is not None:
                self.confidence.extend(map(float, block.confidence[:room]))
            yield block

    def viseme_rows(self) -> Float32:
        """Return float32 [n, 16]."""
        return np.array(self.visemes, np.float32).reshape(-1, len(VISEMES))

    def judged_frames(self, frame_rate: Fraction) -> int:
        """Return from how many frames at the beginning a result is judged: 20 s, or all that are recorded where the mouth moves clearly
        less in these (music before the speech), or is seldom driven."""
        opening = np.array(self.opening, np.float32)
        beginning = opening[: math.ceil(JUDGED_SECONDS * frame_rate)]
        driven, all_driven = (curve[np.isfinite(curve)] for curve in (beginning, opening))
        is_enough = 2 * len(driven) >= len(beginning) > 0 and driven.std() >= _ENOUGH_MOTION * all_driven.std()
        return len(beginning) if is_enough else len(opening)

    def is_doubtful(self) -> bool:
        """Return whether the driver's own confidence is below a half in the mean."""
        return bool(self.confidence) and float(np.mean(self.confidence)) < _LOW_CONFIDENCE

    def shut(self) -> Bool:
        """Return [n]: where the driver wants the lips to meet; nowhere if it never opens them."""
        opening = np.array(self.driver_opening, np.float32)[: len(self.opening)]
        return np.asarray(opening < _SHUT * np.percentile(opening, 95) if len(opening) else opening > 0)


@dataclass(frozen=True, kw_only=True)
class Closure:
    """Lips that should meet over the frames start to stop - 1; is_shut: whether the result shows them shut."""

    start: int
    stop: int
    is_shut: bool


@dataclass(frozen=True, kw_only=True)
class SyncMetrics:
    """sync_offset_ms: how late the measured mouth is against the target; correlation: Pearson r of the opening at lag 0.

    Both None where nothing moved, or too few frames were driven to judge. closures: the target's, where the face was found.
    measured_share: the fraction (0-1) of the frames evaluated that all this was measured on: driven, and the face found in the result.
    """

    sync_offset_ms: float | None = None
    correlation: float | None = None
    closures: tuple[Closure, ...] = ()
    measured_share: float = 1.0

    @property
    def closure_rate(self) -> float | None:
        """The fraction of the target's closures that the result shows shut; None where there are too few to judge."""
        if len(self.closures) < _FEWEST_RATED:
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


def compare(target: Float32, measured: Float32, shut: Bool, frame_rate: Fraction) -> SyncMetrics:
    """Compare two curves of the opening: float32 [n] each, NaN where nothing was driven or found. shut: [n], where lips should meet."""
    both = np.isfinite(target) & np.isfinite(measured)
    share = round(float(both.mean()), 3) if len(both) else 0.0
    if both.sum() < _FEWEST_FRAMES or target[both].std() < _LEAST_MOTION:
        return SyncMetrics(measured_share=share)
    measured = np.where(both, measured, np.float32(np.nan))
    offset, _ = sync_offset(target, measured, frame_rate)
    motion = float(measured[both].std())
    correlation = 0.0 if motion < _STILL else float(np.corrcoef(target[both], measured[both])[0, 1])
    return SyncMetrics(
        sync_offset_ms=None if np.isnan(offset) else round(offset, 1),
        correlation=round(correlation, 3),
        closures=() if motion < _LEAST_MOTION else tuple(_closures(target, measured, shut)),
        measured_share=share,
    )


def _closures(target: Float32, measured: Float32, shut: Bool) -> Iterator[Closure]:
    """Yield every run of frames that should be shut and in which the face was found. A frame early or late is no miss: the eye allows it.

    Near a gap the drawn mouth gives way to the untouched one, so what the driver wants shut need not be shut in the target.
    """
    target_shut, measured_shut = shut & _is_low(target), _is_low(measured)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], target_shut, [False]])))
    for start, stop in edges.reshape(-1, 2).tolist():
        around = slice(max(start - 1, 0), stop + 1)
        if np.isfinite(measured[around]).any():
            yield Closure(start=start, stop=stop, is_shut=bool(measured_shut[around].any()))


def _is_low(curve: Float32) -> Bool:
    shut, wide = np.nanpercentile(curve, (2, 95))
    return np.asarray(curve < shut + _SHUT * (wide - shut))
