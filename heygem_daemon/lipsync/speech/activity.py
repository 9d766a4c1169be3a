"""When somebody speaks, and how loudly for this recording."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

FloatArray = npt.NDArray[np.float32]

BEFORE: Final = 250
AFTER: Final = 150
"""Rows of context (10 ms each) that a row needs: 2.5 s of the past, 1.5 s of the future."""

_SMOOTH: Final = 5
_FLOOR_DB: Final = -58.0
_MARGIN_DB: Final = 9.0
_RANGE_DB: Final = 26.0
_WHISPER_DB: Final = -45.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """voice: float32 [n], 0-1, somebody speaks; loudness: float32 [n], 0-1 within this recording's own range of the last seconds."""

    voice: FloatArray
    loudness: FloatArray


def activity(level_db: FloatArray, is_sound: npt.NDArray[np.bool_]) -> Activity:
    """Judge the inner rows of a stretch: n = len(level_db) - BEFORE - AFTER.

    level_db: float32 [BEFORE + n + AFTER]; is_sound: bool of the same length, false before and after the recording.
    The noise floor is the larger one of the quietest 50 ms in the past and in the future, so that a fan that starts or stops is
    steady noise on both sides of the event. Speech has quieter moments than that in any 1.5 s.
    """
    sound = uniform_filter1d(level_db, _SMOOTH, mode="nearest")
    inner = slice(BEFORE, len(level_db) - AFTER)
    floor = np.maximum(_floor(sound, is_sound)[inner], _FLOOR_DB)
    loudest = _loudest(sound, is_sound)[inner]
    above = sound[inner] - floor - _MARGIN_DB
    near = sound[inner] - (loudest - _RANGE_DB)
    voice = np.clip(np.minimum(above, near) / 4.0 + 0.5, 0.0, 1.0) * is_sound[inner]
    loudness = np.clip(1 + (sound[inner] - loudest) / _RANGE_DB, 0.0, 1.0) * is_sound[inner]
    return Activity(voice=voice.astype(np.float32), loudness=loudness.astype(np.float32))


def _floor(sound: FloatArray, is_sound: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the noise floor of every row; where the recording reaches less far on one side, the other side decides."""
    quiet = np.where(is_sound, sound, np.inf).astype(np.float32)
    past = minimum_filter1d(quiet, BEFORE + 1, origin=BEFORE // 2, mode="constant", cval=np.inf)
    future = minimum_filter1d(quiet, AFTER + 1, origin=-(AFTER // 2), mode="constant", cval=np.inf)
    reaches_back = np.concatenate([np.zeros(AFTER, bool), is_sound[:-AFTER]])
    reaches_on = np.concatenate([is_sound[AFTER:], np.zeros(AFTER, bool)])
    both = np.minimum(past, future)
    known = np.maximum(np.where(reaches_back, past, -np.inf), np.where(reaches_on, future, -np.inf))
    floor = np.where(np.isfinite(known), known, both)
    return np.where(np.isfinite(floor), floor, 0.0).astype(np.float32)


def _loudest(sound: FloatArray, is_sound: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the loudest 50 ms around every row, _WHISPER_DB at least: a whisper is not blown up to a shout."""
    loud = np.where(is_sound, sound, -np.inf).astype(np.float32)
    past = maximum_filter1d(loud, BEFORE + 1, origin=BEFORE // 2, mode="constant", cval=-np.inf)
    future = maximum_filter1d(loud, AFTER + 1, origin=-(AFTER // 2), mode="constant", cval=-np.inf)
    return np.asarray(np.maximum(np.maximum(past, future), _WHISPER_DB), np.float32)
