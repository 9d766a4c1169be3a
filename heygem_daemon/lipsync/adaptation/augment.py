"""Augment recordings with what rooms, microphones, codecs and other people do to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.signal
import soxr

from heygem_daemon.lipsync.arrays import Float32, Float64

RATE: Final = 16000


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How often and how strongly a copy is changed. Chances are 0-1; snr_db: range of the signal-to-noise ratio;
    babble_chance: chance that the noise is other people talking; speed: range of tempo and pitch together."""

    speed_chance: float = 0.6
    speed: tuple[float, float] = (0.85, 1.18)
    equalise_chance: float = 0.8
    reverb_chance: float = 0.35
    noise_chance: float = 0.75
    snr_db: tuple[float, float] = (0.0, 36.0)
    babble_chance: float = 0.35
    codec_chance: float = 0.25
    clip_chance: float = 0.1


DEFAULT: Final = Strength()


@dataclass(frozen=True, kw_only=True, eq=False)
class Augmented:
    """wave: float32 [m] 16 kHz; its moment t was the moment (t - lead) x speed of the original, s."""

    wave: Float32
    speed: float
    lead: float


def augment(
    wave: Float32, rng: np.random.Generator, voices: Sequence[Float32], strength: Strength = DEFAULT, *, longest_lead: float = 0.5
) -> Augmented:
    """Return one varied copy. wave: float32 [n]; voices: recordings of other people, for babble; `rng` decides everything."""
    speed = float(rng.uniform(*strength.speed)) if rng.random() < strength.speed_chance else 1.0
    quick: Float64 = np.asarray(soxr.resample(wave, RATE, RATE / speed) if speed != 1 else wave, np.float64)
    lead = float(rng.uniform(0, longest_lead))
    pads = np.zeros(round(lead * RATE)), np.zeros(round(float(rng.uniform(0, longest_lead)) * RATE))
    varied: Float64 = np.concatenate([pads[0], quick, pads[1]])
    varied /= np.abs(varied).max(initial=1e-6)
    if rng.random() < strength.equalise_chance:
        varied = _equalise(varied, rng)
    if rng.random() < strength.reverb_chance:
        varied = _reverberate(varied, rng)
    if rng.random() < strength.noise_chance:
        varied = varied + _background(varied, rng, voices, strength)
    if rng.random() < strength.codec_chance:
        filters = scipy.signal.butter(8, rng.uniform(3200, 7000), fs=RATE, output="sos")
        varied = np.asarray(scipy.signal.sosfilt(filters, varied), np.float64)
    if rng.random() < strength.clip_chance:
        varied = np.tanh(varied * rng.uniform(1, 5))
    return Augmented(wave=_set_level(varied, rng), speed=speed, lead=len(pads[0]) / RATE)


def mix(speech: Float32, other: Float32, snr_db: float) -> Float32:
    """Return speech with `other` (repeated as needed) below it by `snr_db`, measured over the whole of both."""
    background = np.resize(other, len(speech)).astype(np.float64)
    gain = np.sqrt(np.mean(np.square(speech, dtype=np.float64)) / max(1e-12, float(np.mean(background**2)))) * 10 ** (-snr_db / 20)
    return np.asarray(speech + background * gain, np.float32)


def babble(voices: Sequence[Float32], samples: int, rng: np.random.Generator) -> Float32:
    """Return float32 [samples]: three to seven people talking at once, each equally loud."""
    total = np.zeros(samples)
    for _ in range(int(rng.integers(3, 8))):
        voice = voices[int(rng.integers(len(voices)))].astype(np.float64)
        total += np.roll(np.resize(voice / max(1e-6, float(voice.std())), samples), int(rng.integers(samples)))
    return total.astype(np.float32)


def music(samples: int, rng: np.random.Generator) -> Float32:
    """Return float32 [samples]: chords of decaying harmonic tones, and a beat."""
    total, place = np.zeros(samples), 0
    base, beat = rng.uniform(80, 300), rng.uniform(0, 0.5)
    while place < samples:
        length = int(rng.uniform(0.1, 0.6) * RATE)
        t = np.arange(min(length, samples - place)) / RATE
        for _ in range(int(rng.integers(1, 4))):
            tone = base * 2 ** (rng.integers(0, 24) / 12)
            fade = np.exp(-t * rng.uniform(1, 6))
            tilt = rng.uniform(0.7, 2)
            for harmonic in range(1, 6):
                total[place : place + len(t)] += np.sin(2 * np.pi * tone * harmonic * t + rng.uniform(0, 6)) * fade / harmonic**tilt
        total[place : place + len(t)] += beat * rng.standard_normal(len(t)) * np.exp(-t * 40)
        place += length
    return total.astype(np.float32)


def coloured_noise(samples: int, rng: np.random.Generator) -> Float32:
    """Return float32 [samples]: white noise, or noise that falls with frequency, as fans and streets do."""
    white = rng.standard_normal(samples)
    if rng.random() < 0.3:
        return white.astype(np.float32)
    b, a = scipy.signal.butter(1, rng.uniform(0.02, 0.4))
    return np.asarray(scipy.signal.lfilter(b, a, white), np.float32)


def hum(samples: int, rng: np.random.Generator) -> Float32:
    """Return float32 [samples]: steady tones, as mains, ventilators and machines make them."""
    t = np.arange(samples) / RATE
    base = float(rng.choice([50.0, 60.0, rng.uniform(40, 800)]))
    parts = [rng.uniform(0, 1) / k * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6)) for k in range(1, 7)]
    return np.asarray(np.sum(parts, axis=0), np.float32)


def _background(wave: Float64, rng: np.random.Generator, voices: Sequence[Float32], strength: Strength) -> Float32:
    snr_db = float(rng.uniform(*strength.snr_db))
    other: Float32
    if voices and rng.random() < strength.babble_chance:
        other = babble(voices, len(wave), rng)
    else:
        kind = int(rng.choice(3, p=(0.55, 0.33, 0.12)))
        other = (coloured_noise, music, hum)[kind](len(wave), rng)
    power = float(np.sqrt(np.mean(wave**2)))
    return np.asarray(other / max(1e-9, float(other.std())) * power * 10 ** (-snr_db / 20), np.float32)


def _equalise(wave: Float64, rng: np.random.Generator) -> Float64:
    frequencies = [0, 150, 400, 1000, 2500, 5000, 8000]
    gains = np.clip(rng.normal(0, 4, 7) + np.linspace(-1, 1, 7) * rng.normal(0, 5), -18, 18)
    taps = scipy.signal.firwin2(129, frequencies, 10 ** (gains / 20), fs=RATE)
    return np.asarray(scipy.signal.fftconvolve(wave, taps, "same"))


def _reverberate(wave: Float64, rng: np.random.Generator) -> Float64:
    length = int(rng.uniform(0.08, 0.5) * RATE)
    response = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length) * rng.uniform(0.05, 0.4)
    response[0] = 1
    return np.asarray(scipy.signal.fftconvolve(wave, response)[: len(wave)])


def _set_level(wave: Float64, rng: np.random.Generator) -> Float32:
    level = 10 ** (rng.uniform(-38, -14) / 20)
    wave = wave / max(1e-6, float(np.sqrt(np.mean(wave**2)))) * level
    if rng.random() < 0.15:
        wave = wave * np.interp(np.arange(len(wave)), np.linspace(0, len(wave), 6), 10 ** (rng.uniform(-8, 8, 6) / 20))
    return np.asarray(wave, np.float32)
