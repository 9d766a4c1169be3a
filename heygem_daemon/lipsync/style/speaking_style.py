"""How one presenter speaks, relative to most people: how far the mouth opens, how wide it is, and how the lips rest.

Estimated from the audio of the presenter's own video (see `style.estimation`); a presenter without one speaks like most people.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.motion import MouthMotion, viseme_index
from heygem_daemon.lipsync.moving_window import moving_minimum, weighted_sum

STYLE_VERSION: Final = "habits 5"
"""Part of the cache key: raise the number when the meaning of the values or their estimation changes."""

_FILE: Final = "habits.json"
_SILENT: Final = viseme_index("sil")
_REST_MARGIN: Final = 0.2
"""Lips that rest apart have met again this long (s) before a word, and stay so after it: a pause inside a word is no rest."""
_REST_EDGE: Final = 0.16
"""The time (s) that lips take to part and to meet."""
_QUIET: Final = (0.7, 0.95)
"""Weights of the silence viseme between which quiet rises from 0 to 1."""
_WIDEST: Final = 1.1


@dataclass(frozen=True, kw_only=True)
class SpeakingStyle:
    """How a presenter's mouth differs from most people's, in fractions of the presenter's range (see MouthMotion).

    amplitude: factor of the opening; width_amplitude: factor of the distance of the width from rest; width_shift: added to the width
    while speaking; rest_opening: how far the lips are apart in silence; shut_share: fraction of the time of speech in which they are shut.
    Evidence: seconds of the presenter's own speech, and the sync of its audio with the mouth: correlation r at the offset lag
    (s, positive = the mouth is late), z in standard deviations above mismatched audio; all 0 where nothing could be estimated.
    is_own: whether the values were estimated from the presenter's video.
    """

    amplitude: float = 1.0
    width_amplitude: float = 1.0
    width_shift: float = 0.0
    rest_opening: float = 0.0
    shut_share: float = 0.25
    seconds: float = 0.0
    r: float = 0.0
    lag: float = 0.0
    z: float = 0.0
    is_own: bool = False

    def apply(self, motion: Iterable[MouthMotion]) -> Iterator[MouthMotion]:
        """Yield the motion in this style; lips that shut in speech still shut, explicit lips stay as they are."""
        if not self.is_own:
            yield from motion
        elif self.rest_opening <= 0:
            yield from map(self._scale, motion)
        else:
            yield from self._with_rest(map(self._scale, motion))

    def save(self, directory: Path) -> None:
        """Write the values into `directory`. Raises OSError."""
        (directory / _FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    def _scale(self, block: MouthMotion) -> MouthMotion:
        speaking = 1 - block.visemes[:, _SILENT]
        width = 0.5 + self.width_amplitude * (block.width - 0.5) + self.width_shift * speaking
        opening = (self.amplitude * block.opening).astype(np.float32)
        return replace(block, opening=opening, width=width.clip(0, _WIDEST).astype(np.float32))

    def _with_rest(self, motion: Iterator[MouthMotion]) -> Iterator[MouthMotion]:
        """Part the lips in silence. Frames are held back until enough of what follows them is known."""
        held, done = next(motion, None), 0
        while held is not None:
            following = next(motion, None)
            held = held if following is None else MouthMotion.concatenate([held, following])
            reach, edge = _margins(held.times)
            known = len(held) if following is None else len(held) - reach - edge
            if known > done:
                quiet = _silence_weight(held.visemes[:, _SILENT], reach, edge)
                opening = np.maximum(held.opening, self.rest_opening * quiet).astype(np.float32)
                yield replace(held, opening=opening)[done:known]
                spare = max(0, known - reach - edge)
                held, done = held[spare:], known - spare
            if following is None:
                return


def load_style(directory: Path) -> SpeakingStyle:
    """Return what `SpeakingStyle.save` wrote. Raises OSError, ValueError or TypeError where there is none."""
    return SpeakingStyle(**json.loads((directory / _FILE).read_text(encoding="utf-8")))


def _margins(times: Float64) -> tuple[int, int]:
    """Return _REST_MARGIN and half of _REST_EDGE in frames."""
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    return max(1, round(_REST_MARGIN / step)), max(1, round(_REST_EDGE / 2 / step))


def _silence_weight(silence: Float32, reach: int, edge: int) -> Float32:
    """Return [T], 0-1: 1 where nobody speaks within `reach` frames, rising and falling over `edge` frames on both sides."""
    low, high = _QUIET
    quiet = np.clip((silence - low) / (high - low), 0, 1)
    least = moving_minimum(quiet, 2 * reach + 1)
    return np.asarray(weighted_sum(least, np.full(2 * edge + 1, 1 / (2 * edge + 1))), np.float32)
