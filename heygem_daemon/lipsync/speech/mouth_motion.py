"""The motion of a mouth for a whole recording in memory: the driver for programs, notebooks and checks."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.motion import MouthMotion, viseme_index
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve
from heygem_daemon.lipsync.speech.transcript import Alignment, align
from heygem_daemon.lipsync.speech.weights import shipped_weights


def mouth_motion(
    wav: Float32, times: npt.ArrayLike, script: str | None = None, *, language: str | None = None, weights: Path | None = None
) -> MouthMotion:
    """Return what the mouth does at `times` while `wav` is heard.

    wav: float32 [n], 16 kHz mono, -1..1. times: [T], s from the start of the recording, in any order.
    script: the words that are spoken; where they do not match the sound they are left aside. language: as espeak-ng names it, found
    out where None. weights: a file of weights, by default the shipped ones.
    Raises SetupError (`models_missing`) where there are no weights.
    """
    driver = _driver(weights or shipped_weights())
    alignment = None
    if script:
        alignment = aligned(driver, wav, script, language)
    return motion_at(driver, wav, np.asarray(times, np.float64), alignment)


def aligned(driver: PhoneticDriver, wav: Float32, script: str, language: str | None = None) -> Alignment | None:
    """Return when each phoneme of `script` is said, or None where it does not match the sound."""
    return align(script, language, driver.posteriors([np.asarray(wav, np.float32)])).alignment


def motion_at(driver: PhoneticDriver, wav: Float32, times: Float64, script: Alignment | None = None) -> MouthMotion:
    """Return the driver's motion at any times, float64 [T] in s; before the recording and after it the mouth is at rest."""
    wanted = int(np.ceil(max(0.0, float(times.max(initial=0.0))) * CURVE_RATE)) + 2
    curve = _first_rows(driver, wav, wanted, script)
    rows = np.arange(len(curve)) / CURVE_RATE

    def at(values: Float32, rest: float) -> Float32:
        return np.interp(times, rows, values, left=rest).astype(np.float32)

    visemes = np.stack([at(values, float(i == viseme_index("sil"))) for i, values in enumerate(curve.visemes.T)], axis=1)
    return MouthMotion(times=times, opening=at(curve.opening, 0.0), width=at(curve.width, 0.5), visemes=visemes)


def _first_rows(driver: PhoneticDriver, wav: Float32, rows: int, script: Alignment | None) -> Curve:
    curves = driver.curve([np.asarray(wav, np.float32)], script)
    curve = next(curves)
    while len(curve) < rows:
        curve = curve.joined(next(curves))
    return curve


@lru_cache(maxsize=2)
def _driver(weights: Path) -> PhoneticDriver:
    return PhoneticDriver(load(weights))
