"""How one presenter speaks, beside what all people do: how far the mouth goes, how wide it is, and how the lips rest.

Learnt from the sound of the presenter's own video (see `learning.habits`); a presenter without one speaks like most people.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from scipy.ndimage import correlate1d, minimum_filter1d

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion

HABITS_VERSION: Final = "habits 1"
"""Raise it when the meaning of the figures or the way to learn them changes."""

_FILE: Final = "habits.json"
_SILENT: Final = VISEMES.index("sil")
_NEAR: Final = 0.2
"""Lips that rest apart have met again this long (s) before a word, and stay so after it: a pause inside a word is no rest."""
_EDGE: Final = 0.16
"""The time (s) that lips take to part and to meet."""
_QUIET: Final = (0.7, 0.95)


@dataclass(frozen=True, kw_only=True)
class Habits:
    """amplitude: times the opening; width_amplitude: times the distance of the width from rest; width_shift: what is added to the width
    while speaking; rest_opening: how far the lips are apart in silence. Fractions of the presenter's range (see MouthMotion).

    Where they come from: seconds of own speech, and sync of its sound with the mouth: r at the offset lag (s, positive = the mouth is
    late), z above mismatched sound; all 0 where there was nothing to learn from. is_own: whether they were learnt.
    """

    amplitude: float = 1.0
    width_amplitude: float = 1.0
    width_shift: float = 0.0
    rest_opening: float = 0.0
    seconds: float = 0.0
    r: float = 0.0
    lag: float = 0.0
    z: float = 0.0
    is_own: bool = False

    def applied(self, motion: Iterable[MouthMotion]) -> Iterator[MouthMotion]:
        """Yield the motion as this presenter does it; lips that shut in speech still shut, explicit lips stay as they are."""
        if not self.is_own:
            yield from motion
        elif self.rest_opening <= 0:
            yield from map(self._spoken, motion)
        else:
            yield from self._rested(map(self._spoken, motion))

    def save(self, directory: Path) -> None:
        (directory / _FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    def _spoken(self, block: MouthMotion) -> MouthMotion:
        speaking = 1 - block.visemes[:, _SILENT]
        width = 0.5 + self.width_amplitude * (block.width - 0.5) + self.width_shift * speaking
        return replace(block, opening=(self.amplitude * block.opening).astype(np.float32), width=width.clip(0, 1.1).astype(np.float32))

    def _rested(self, motion: Iterator[MouthMotion]) -> Iterator[MouthMotion]:
        """Part the lips where it is silent. Blocks are held back until what follows them is known far enough."""
        held, done = next(motion, None), 0
        while held is not None:
            more = next(motion, None)
            held = held if more is None else _joined(held, more)
            reach, edge = _rows(held.times)
            known = len(held) if more is None else len(held) - reach - edge
            if known > done:
                quiet = _quiet(held.visemes[:, _SILENT], reach, edge)
                opening = np.maximum(held.opening, self.rest_opening * quiet).astype(np.float32)
                yield _part(replace(held, opening=opening), done, known)
                spare = max(0, known - reach - edge)
                held, done = _part(held, spare, len(held)), known - spare
            if more is None:
                return


def load_habits(directory: Path) -> Habits:
    """Return what `Habits.save` left. Raises OSError, ValueError or TypeError where there is nothing of the kind."""
    return Habits(**json.loads((directory / _FILE).read_text(encoding="utf-8")))


def _rows(times: Float64) -> tuple[int, int]:
    """Return _NEAR and half of _EDGE in frames."""
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    return max(1, round(_NEAR / step)), max(1, round(_EDGE / 2 / step))


def _quiet(silence: Float32, reach: int, edge: int) -> Float32:
    """Return [T], 0-1: 1 where nobody speaks within `reach` frames, rising and falling over `edge` frames on both sides."""
    low, high = _QUIET
    heard = np.clip((silence - low) / (high - low), 0, 1)
    least = minimum_filter1d(heard, 2 * reach + 1, mode="nearest")
    return np.asarray(correlate1d(least, np.full(2 * edge + 1, 1 / (2 * edge + 1)), mode="nearest"), np.float32)


def _joined(first: MouthMotion, second: MouthMotion) -> MouthMotion:
    lips = None if first.lips is None or second.lips is None else np.concatenate([first.lips, second.lips])
    return MouthMotion(
        times=np.concatenate([first.times, second.times]),
        opening=np.concatenate([first.opening, second.opening]),
        width=np.concatenate([first.width, second.width]),
        visemes=np.concatenate([first.visemes, second.visemes]),
        lips=lips,
    )


def _part(motion: MouthMotion, start: int, stop: int) -> MouthMotion:
    rows = slice(start, stop)
    return MouthMotion(
        times=motion.times[rows],
        opening=motion.opening[rows],
        width=motion.width[rows],
        visemes=motion.visemes[rows],
        lips=None if motion.lips is None else motion.lips[rows],
    )
