"""The measurements on a result in words that a presenter understands; docs/drops.md ("What a result says") has what they mean."""

from collections.abc import Iterator
from typing import Final, Literal

from heygem_daemon.core.status import ItemStatus
from heygem_daemon.web.models import Verdict
from heygem_daemon.web.words import text

Level = Literal["good", "fair", "poor"]

SYNC_MS: Final = 45.0
"""ITU-R BT.1359-1: audio that is early by less is not noticed. lipsync.evaluation warns beyond it, in both directions."""
SYNC_EARLY_MS: Final = 125.0
"""ITU-R BT.1359-1: audio that is late by less, so a mouth that is early by less, is hardly noticed."""
SYNC_LATE_MS: Final = 90.0
"""ITU-R BT.1359-1: audio that is early by more, so a mouth that is late by more, is not acceptable."""
CLOSURES_GOOD: Final = 0.78
"""Good renders of real presenters reach .78 to 1 (measured for lipsync.evaluation)."""
CLOSURES_FAIR: Final = 0.7
"""Below, lips meet no more often than by chance: lipsync.evaluation warns."""
MOUTH_GOOD: Final = 0.85
"""Half way from where lipsync.evaluation warns to a mouth that follows exactly."""
MOUTH_FAIR: Final = 0.7
"""Correlation of the mouth's opening with its target below which lipsync.evaluation warns."""
DRIVEN_GOOD: Final = 0.95
"""Fraction of driven frames below which there is a warning (docs/drops.md)."""
DRIVEN_FAIR: Final = 0.75
"""Half way to the one half of the speech at which a result is refused by default."""


def verdicts(item: ItemStatus, language: str) -> list[Verdict]:
    """Return what was measured on a result; what could not be judged is left out."""
    return [
        Verdict(name=name, level=level, text=text(language, f"verdict.{key}"), value=value)
        for name, level, key, value in _measured(item, language)
    ]


def _measured(item: ItemStatus, language: str) -> Iterator[tuple[str, Level, str, str]]:
    """Yield (name, level, key of the sentence, value) of each measurement."""
    if item.sync_offset_ms is not None:
        level, direction = sync_level(item.sync_offset_ms)
        yield "sync", level, f"sync.{level}{direction}", text(language, "verdict.sync.value", ms=f"{item.sync_offset_ms:+.0f}")
    if item.closure_rate is not None:
        yield _rated("closures", item.closure_rate, CLOSURES_GOOD, CLOSURES_FAIR)
    if item.mouth_correlation is not None:
        level = _level(item.mouth_correlation, MOUTH_GOOD, MOUTH_FAIR)
        yield "mouth", level, f"mouth.{level}", f"{item.mouth_correlation:.2f}"
    if item.frames_not_driven is not None:
        yield _rated("driven", 1.0 - item.frames_not_driven, DRIVEN_GOOD, DRIVEN_FAIR)


def sync_level(offset_ms: float) -> tuple[Level, str]:
    """Return the level of an offset (positive: the mouth is late), and ".early" or ".late" where it can be noticed."""
    if abs(offset_ms) <= SYNC_MS:
        return "good", ""
    is_fair = -SYNC_EARLY_MS <= offset_ms <= SYNC_LATE_MS
    return "fair" if is_fair else "poor", ".late" if offset_ms > 0 else ".early"


def _rated(name: str, rate: float, good: float, fair: float) -> tuple[str, Level, str, str]:
    level = _level(rate, good, fair)
    return name, level, f"{name}.{level}", f"{rate:.0%}"


def _level(value: float, good: float, fair: float) -> Level:
    return "good" if value >= good else "fair" if value >= fair else "poor"
