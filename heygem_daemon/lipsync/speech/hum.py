"""Take the hum of the mains out of what a driver hears: the multiples of 50 or 60 Hz, however loud, whose frequency drifts with the grid.

For every quarter of a second the hum is measured in the second around it: each multiple is a phasor in every frame of 128 ms. Speech moves
a phasor about, hum leaves it where it is, and between the words it is bare; so a robust mean of the phasors is the hum. With
hum 8 dB above the speech r of the opening is .998 of that without (20 voices); recordings without hum change by less than -75 dB.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.speech.stream import SAMPLE_RATE, reblock

Complex = npt.NDArray[np.complex128]

FRAME: Final = 2048
"""Samples of a frame: 128 ms, a Hann window. Neighbouring multiples of 50 Hz hardly leak into each other."""
HOP: Final = 512
"""Samples from frame to frame."""
LOOKAHEAD: Final = 18_432
"""Samples of the future that a sample depends on, at most: 1.2 s, at the beginning of a recording; later .8 s."""

_NOMINAL: Final = (50.0, 60.0)
_HIGHEST: Final = 4000.0
"""Hz of the highest multiple that is removed: the buzz of dimmers reaches this far."""
_DEVIATIONS: Final = np.arange(-30, 31) / 100
"""Hz by which the mains may differ from their nominal frequency; those of large grids stay within .2."""
_VOTERS: Final = 20
"""Multiples by which the frequency is found."""
_LEAK: Final = 0.003
"""Part of a tone that is found beside it, at most (50 dB below: seven bins of a Hann window away, where the next multiple is)."""
_UNSTEADY: Final = 0.003
"""Power of noise, over that of usual frames, that is taken for granted in a vote."""
_FRAMES: Final = 33
"""Frames of one measurement: 1.1 s. A grid that drifts by .1 Hz in two seconds gives r .987 with one second, .985 with one and a half."""
_FEWEST_FRAMES: Final = 12
"""Frames of the shortest recording that is measured: half a second."""
_STEP: Final = 8
"""Frames from measurement to measurement; between two of them the hum fades from one to the other."""
_STEP_SAMPLES: Final = _STEP * HOP
_BEFORE: Final = 18
"""Frames from the beginning of a measurement to the frame that begins at its sample."""
_ROUNDS: Final = 6
"""Repetitions of the robust mean, after which it hardly moves."""
_GATE: Final = 9.0
"""Power of a steady phasor, over the variance of the mean, below which it is chance."""
_OVERLAP: Final = 4
"""Frames that have samples in common: so many times fewer are independent."""
_STEADY: Final = 0.25
"""Fraction of the power of hum that is there in every frame. A voice of constant pitch pauses between syllables, hum does not."""


def without_hum(speech: Iterable[Float32]) -> Iterator[Float32]:
    """Yield the same samples without hum, in blocks as `stream.reblock` makes them; at most LOOKAHEAD samples more of it are read.

    speech: float32 [any], mono 16 kHz. The result is the same to the last bit, however it is cut into blocks.
    """
    return reblock(_cancelled(reblock(speech)))


def _cancelled(blocks: Iterable[Float32]) -> Iterator[Float32]:
    canceller = _Canceller()
    for block in blocks:
        yield canceller.push(block)
    yield canceller.finish()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Hum:
    """frequency: Hz; amplitudes: complex [K], multiple k + 1 is the real part of amplitude x exp(2 pi i (k + 1) x frequency x t)."""

    frequency: float
    amplitudes: Complex

    def at(self, offsets: Float64) -> Float64:
        """Return float64 [n] at `offsets`, samples from t = 0: the polynomial of exp(2 pi i frequency t), by Horner's scheme."""
        turn = np.exp(2j * np.pi * self.frequency / SAMPLE_RATE * offsets)
        total = np.zeros(len(offsets), complex)
        for amplitude in self.amplitudes[: np.flatnonzero(self.amplitudes).max() + 1][::-1]:
            total = (total + amplitude) * turn
        return np.asarray(total.real)


@dataclass(kw_only=True)
class _Canceller:
    """Sample after sample; measurement m is that of the hum at sample _STEP_SAMPLES m.

    samples: float64 [n] that are still needed, from sample `first` on. phasors: of each nominal frequency complex [frames, K], from
    `first_frame` on; frame f begins at sample HOP f. Frames lie inside the recording: half a frame tells nothing of the other half.
    """

    samples: Float64 = field(default_factory=lambda: np.zeros(0))
    first: int = 0
    phasors: list[Complex] = field(default_factory=lambda: [np.zeros((0, _multiples(nominal)), complex) for nominal in _NOMINAL])
    first_frame: int = 0
    measurements: int = 0
    last: _Hum | None = None

    def push(self, block: Float32) -> Float32:
        """Take float32 [n]; return the samples that are ready."""
        self.samples = np.concatenate([self.samples, block.astype(np.float64)])
        self._add_frames()
        ready = []
        while self._end_of_frames >= (start := _first_of(self.measurements)) + _FRAMES:
            ready.append(self._advance(start))
        return _joined(ready)

    def finish(self) -> Float32:
        """Return the samples that are left; the last measurements go by the last frames."""
        ready = []
        while len(self.samples) and self._end_of_frames - self.first_frame >= _FEWEST_FRAMES:
            ready.append(self._advance(max(self.first_frame, self._end_of_frames - _FRAMES)))
        return _joined([*ready, self.samples])

    @property
    def _end_of_frames(self) -> int:
        return self.first_frame + len(self.phasors[0])

    def _add_frames(self) -> None:
        start = HOP * self._end_of_frames - self.first
        if len(self.samples) - start < FRAME:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self.samples[start:], FRAME)[::HOP]
        for i, nominal in enumerate(_NOMINAL):
            cosines, sines = _waves(nominal)
            self.phasors[i] = np.concatenate([self.phasors[i], frames @ cosines - 1j * (frames @ sines)])

    def _advance(self, start: int) -> Float64:
        """Measure the hum by the frames from `start` on; return the samples from the measurement before to this one, without hum."""
        sample = self.measurements * _STEP_SAMPLES
        rows = slice(start - self.first_frame, start - self.first_frame + _FRAMES)
        hum = _measure([phasors[rows] for phasors in self.phasors], HOP * start + FRAME // 2 - sample)
        count = min(len(self.samples), sample - self.first)
        ready = self.samples[:count] - _faded(self.last, hum)[:count]
        self.last, self.measurements = hum, self.measurements + 1
        self.samples, self.first = self.samples[count:], self.first + count
        if (passed := min(_first_of(self.measurements), self._end_of_frames - _FRAMES) - self.first_frame) > 0:
            self.phasors, self.first_frame = [phasors[passed:] for phasors in self.phasors], self.first_frame + passed
        return ready


def _joined(parts: list[Float64]) -> Float32:
    return np.concatenate([np.zeros(0), *parts]).astype(np.float32)


def _first_of(measurement: int) -> int:
    """Return the first frame by which a measurement goes: those around it, at the beginning of a recording the first ones."""
    return max(0, measurement * _STEP - _BEFORE)


def _multiples(nominal: float) -> int:
    return int(_HIGHEST / nominal)


@lru_cache(maxsize=len(_NOMINAL))
def _waves(nominal: float) -> tuple[Float64, Float64]:
    """Return cosines and sines of the multiples, in time with the middle of a frame and weighted by its window, float64 [FRAME, K]."""
    window = np.hanning(FRAME + 1)[:-1]
    turns = np.outer(np.arange(FRAME) - FRAME // 2, np.arange(1, _multiples(nominal) + 1)) * (nominal / SAMPLE_RATE)
    weights = (2 * window / window.sum())[:, None]
    return weights * np.cos(2 * np.pi * turns), weights * np.sin(2 * np.pi * turns)


@lru_cache(maxsize=2 * len(_NOMINAL))
def _candidates(nominal: float, offset: int, frames: int) -> Complex:
    """Return the turns of the voters to t = 0 for every deviation, complex [voters, frames, deviations]."""
    seconds = (offset + HOP * np.arange(frames)) / SAMPLE_RATE
    turns = np.outer(seconds, nominal + _DEVIATIONS)
    return np.asarray(np.exp(-2j * np.pi * np.arange(1, _VOTERS + 1)[:, None, None] * turns))


def _measure(phasors: list[Complex], offset: int) -> _Hum | None:
    """Return the hum, None where there is none. phasors: of each nominal frequency [frames, K]; offset: samples from t = 0 to the middle
    of the first frame."""
    votes = [_votes(nominal, of_nominal, offset) for nominal, of_nominal in zip(_NOMINAL, phasors, strict=True)]
    best = int(np.argmax([each.max() for each in votes]))
    frequency = float(_NOMINAL[best] + _DEVIATIONS[votes[best].argmax()])
    seconds = (offset + HOP * np.arange(len(phasors[best]))) / SAMPLE_RATE
    steady = phasors[best] * np.exp(-2j * np.pi * np.outer(seconds, frequency * np.arange(1, phasors[best].shape[1] + 1)))
    amplitudes = _robust_mean(steady)
    heard = amplitudes != 0
    power = float((np.abs(amplitudes) ** 2).sum())
    if power == 0 or (np.abs(steady[:, heard]) ** 2).sum(1).min() < _STEADY * power:
        return None
    return _Hum(frequency=frequency, amplitudes=amplitudes)


def _votes(nominal: float, phasors: Complex, offset: int) -> Float64:
    """Return for every deviation how steady the voters are, float64 [deviations]: the log-likelihood of tones in noise.

    Loud speech has no more weight than what is usual, and what the window leaks of a loud tone has little.
    """
    voters = phasors[:, :_VOTERS]
    size = np.abs(voters)
    usual = np.median(size, axis=0)
    level = voters / (size + usual + _LEAK * usual.max() + 1e-12)
    mean = level.T[:, None, :] @ _candidates(nominal, offset, len(voters)) / len(voters)
    steadiness = _squares(mean[:, 0]) / (_squares(level).mean(0) + _UNSTEADY)[:, None]
    return np.asarray(-np.log1p(-steadiness).sum(0))


def _robust_mean(steady: Complex) -> Complex:
    """Return the phasor of the hum of every multiple, [K]: of those in the frames, [frames, K], each weighted by how near to it it is (the
    M-estimator of Cauchy); shrunk by its uncertainty, and 0 where that is larger."""
    mean = np.median(steady.real, axis=0) + 1j * np.median(steady.imag, axis=0)
    for _ in range(_ROUNDS):
        squares = _squares(steady - mean)
        weights = 1 / (squares + np.partition(squares, len(squares) // 4, axis=0)[len(squares) // 4] + 1e-20)
        mean = (weights * steady).sum(0) / weights.sum(0)
    variance = np.median(_squares(steady - mean), axis=0) * _OVERLAP / len(steady)
    return np.asarray(mean * np.maximum(0, 1 - _GATE * variance / (_squares(mean) + 1e-20)))


def _squares(values: Complex) -> Float64:
    return np.asarray(values.real**2 + values.imag**2)


def _faded(before: _Hum | None, after: _Hum | None) -> Float64:
    """Return the hum from one measurement to the next, float64 [_STEP_SAMPLES]."""
    offsets = np.arange(_STEP_SAMPLES, dtype=np.float64)
    fade = offsets / _STEP_SAMPLES
    total: Float64 = np.zeros(_STEP_SAMPLES)
    if before is not None:
        total += (1 - fade) * before.at(offsets)
    if after is not None:
        total += fade * after.at(offsets - _STEP_SAMPLES)
    return total
