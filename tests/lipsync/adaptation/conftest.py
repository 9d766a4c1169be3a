"""Clips and a small learner for the tests: loudness in, opening out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.cross_validation import Method
from heygem_daemon.lipsync.adaptation.scores import Prediction

Gains = npt.NDArray[np.float64]
"""The weights of the small learner: opening = gains x (loudness, 1)."""

RATE, FRAME_RATE = 16000, 25


@pytest.fixture(scope="session")
def avdata(root: Path) -> Path:
    """The directory of real clips as numbers beside the repository."""
    directory = root.parent / "shared" / "avdata" / "open"
    if not directory.is_dir():
        pytest.skip("the real clips as numbers (../shared/avdata) are not on this machine")
    return directory


def syllables(seconds: float, seed: int, rate: int = FRAME_RATE) -> npt.NDArray[np.float64]:
    """Return how wide a mouth opens, 0-1, `rate` times a second: syllables of uneven length and strength."""
    rng = np.random.default_rng(seed)
    time, times, values = 0.0, [0.0], [0.0]
    while time < seconds + 1:
        half = rng.uniform(0.08, 0.2)
        times += [time + half, time + 2 * half]
        values += [rng.uniform(0.3, 1.0), rng.uniform(0.0, 0.2)]
        time += 2 * half
    return np.interp(np.arange(round(seconds * rate)) / rate, times, values)


def make_clip(name: str, person: str, *, seed: int, seconds: float = 6.0, follows: bool = True) -> AvClip:
    """Return a clip whose mouth follows its loudness, with some noise; or another loudness altogether."""
    rng = np.random.default_rng(1000 + seed)
    loudness = syllables(seconds, seed, RATE)
    audio = (loudness * rng.normal(0, 0.1, len(loudness))).astype(np.float32)
    opening = syllables(seconds, seed if follows else seed + 500) * 0.2 + rng.normal(0, 0.02, round(seconds * FRAME_RATE))
    lips = rng.normal(0, 0.001, (len(opening), 40, 3)).astype(np.float32)
    return AvClip(
        name=name,
        person=person,
        audio=audio,
        times=np.arange(len(opening)) / FRAME_RATE,
        lag=0.0,
        opening=opening.astype(np.float32),
        width=(0.5 + 0.1 * opening).astype(np.float32),
        lips=lips,
    )


def loudness_at(clip: AvClip) -> Gains:
    energy = np.concatenate([[0.0], np.cumsum(clip.audio.astype(np.float64) ** 2)])
    middle = np.rint(clip.true_times * RATE).astype(int)
    first, last = (np.clip(middle + side, 0, len(clip.audio)) for side in (-800, 800))
    return np.stack([np.sqrt((energy[last] - energy[first]) / 1600), np.ones(len(middle))], axis=1)


def fit_gains(start: Gains, clips: Sequence[AvClip], *, seed: int, on_progress: Callable[[float], None]) -> Gains:
    """Least squares: it needs neither a start nor chance."""
    inputs = np.concatenate([loudness_at(clip) for clip in clips])
    gains, *_ = np.linalg.lstsq(inputs, np.concatenate([clip.opening for clip in clips]), rcond=None)
    on_progress(1.0)
    return np.asarray(gains, np.float64)


def follow_loudness(gains: Gains, clips: Sequence[AvClip]) -> Mapping[str, Prediction]:
    opening = {clip.name: (loudness_at(clip) @ gains).astype(np.float32) / 0.2 for clip in clips}
    return {name: Prediction(opening=values, width=(0.5 + 0.1 * values).astype(np.float32)) for name, values in opening.items()}


@pytest.fixture
def method() -> Method[Gains]:
    """The small learner, whose shipped weights open the mouth in the pauses."""
    return Method(shipped=np.array([-2.0, 0.2]), fine_tune=fit_gains, predict=follow_loudness)
