"""Predict the motion of a mouth for a whole recording in memory: the driver for programs, notebooks and checks."""

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
    wav: npt.ArrayLike, times: npt.ArrayLike, script: str | None = None, *, language: str | None = None, weights: Path | None = None
) -> MouthMotion:
    """Return the motion of a mouth: see `heygem_daemon.lipsync.speech.mouth_motion`, which is the entry for other programs."""
    wave = np.asarray(wav, np.float32)
    if wave.ndim != 1:
        raise ValueError(f"a mono recording has one dimension, not the shape {wave.shape}")
    driver = _driver(weights or shipped_weights())
    alignment = align_recording(driver, wave, script, language) if script else None
    return motion_at(driver, wave, np.asarray(times, np.float64), alignment)


def align_recording(driver: PhoneticDriver, wave: Float32, transcript: str, language: str | None = None) -> Alignment | None:
    """Return when each phoneme of `transcript` is spoken, or None where it does not match the audio. wave: float32 [n], 16 kHz mono."""
    return align(transcript, language, driver.posteriors([np.asarray(wave, np.float32)])).alignment


def motion_at(driver: PhoneticDriver, wave: Float32, times: Float64, alignment: Alignment | None = None) -> MouthMotion:
    """Return the driver's motion at any times, float64 [T] in s; before the recording and after it the mouth is at rest."""
    needed = int(np.ceil(max(0.0, float(times.max(initial=0.0))) * CURVE_RATE)) + 2
    curve = _first_rows(driver, wave, needed, alignment)
    rows = np.arange(len(curve)) / CURVE_RATE

    def at(values: Float32, rest: float) -> Float32:
        return np.interp(times, rows, values, left=rest).astype(np.float32)

    visemes = np.stack([at(values, float(i == viseme_index("sil"))) for i, values in enumerate(curve.visemes.T)], axis=1)
    return MouthMotion(times=times, opening=at(curve.opening, 0.0), width=at(curve.width, 0.5), visemes=visemes)


def _first_rows(driver: PhoneticDriver, wave: Float32, rows: int, alignment: Alignment | None) -> Curve:
    curves = driver.curve([np.asarray(wave, np.float32)], alignment)
    curve = next(curves)
    while len(curve) < rows:
        curve = curve.concatenate(next(curves))
    return curve


@lru_cache(maxsize=2)
def _driver(weights: Path) -> PhoneticDriver:
    return PhoneticDriver(load(weights))
