"""Signals that are loud where a voice is loud, made without anybody's voice, and files with them."""

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float64]

RATE = 48000


def voice(seed: int, seconds: float = 4.0, rate: int = RATE) -> Signal:
    """Return float64 [n]: harmonics of about 120 Hz in syllables of 0.15-0.3 s between pauses, with a peak of 0.5."""
    random, time = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    level = np.zeros(len(time))
    start = 0.05
    while start < seconds - 0.4:
        length = random.uniform(0.15, 0.3)
        inside = (time >= start) & (time < start + length)
        level[inside] = np.sin(np.pi * (time[inside] - start) / length) * random.uniform(0.5, 1)
        start += length + random.choice([0.03, 0.3], p=[0.8, 0.2])
    pitch = 2 * np.pi * np.cumsum(random.uniform(100, 140) * (1 + 0.05 * np.sin(2 * np.pi * random.uniform(0.5, 2) * time))) / rate
    harmonics = sum(np.sin(k * pitch + random.uniform(0, 6)) / k for k in range(1, 25))
    signal = level * harmonics
    return np.asarray(0.5 * signal / np.abs(signal).max())


def noise(seed: int, peak_db: float, count: int) -> Signal:
    """Return float64 [count], white, with a peak of `peak_db`."""
    return np.asarray(np.random.default_rng(seed).uniform(-1, 1, count) * 10 ** (peak_db / 20))


def write_audio(path: Path, *channels: Signal, options: tuple[object, ...] = (), rate: int = RATE) -> Path:
    """Write the channels with ffmpeg; options: of the output, for example an encoder, or a filter with a layout."""
    samples = np.stack(channels, axis=1).astype("<f4")
    form = ("-f", "f32le", "-ar", str(rate), "-ac", str(len(channels)), "-guess_layout_max", "2", "-i", "pipe:0")
    command = ["ffmpeg", "-v", "error", "-y", *form, *map(str, options), f"file:{path}"]
    subprocess.run(command, input=samples.tobytes(), check=True, timeout=60)
    return path


def mux(path: Path, *tracks: Path, options: tuple[object, ...] = ()) -> Path:
    """Write one file with the first audio track of each of `tracks`; options: of the output."""
    inputs = [word for track in tracks for word in ("-i", f"file:{track}")]
    maps = [word for number in range(len(tracks)) for word in ("-map", f"{number}:a:0")]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *inputs, *maps, *map(str, options), f"file:{path}"], check=True, timeout=60)
    return path


def likeness(heard: npt.NDArray[np.float32], wanted: Signal) -> float:
    """Return the correlation of float32 [n] at 16 kHz with a signal at RATE, whatever its sign and level, within 50 ms."""
    expected = wanted[::3]
    size = 2 ** int(np.ceil(np.log2(len(heard) + len(expected))))
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(expected, size).conj())
    near = np.concatenate([product[:800], product[-800:]])
    return float(np.abs(near).max() / np.sqrt(np.square(heard, dtype=np.float64).sum() * np.square(expected).sum()))


def find(heard: npt.NDArray[np.float32], wanted: Signal) -> tuple[int, float]:
    """Return where a signal at RATE is in float32 [n] at 16 kHz, in samples, and its correlation with what is there."""
    expected = wanted[::3]
    size = 2 ** int(np.ceil(np.log2(len(heard) + len(expected))))
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(expected, size).conj())[: len(heard)]
    energy = np.cumsum(np.pad(np.square(heard, dtype=np.float64), (1, len(expected))))
    there = energy[len(expected) : len(expected) + len(heard)] - energy[: len(heard)]
    correlation = product / np.sqrt(np.maximum(there, 1e-3 * there.max()) * np.square(expected).sum())
    start = int(correlation.argmax())
    return start, float(product[start] / np.sqrt(there[start] * np.square(expected).sum()))
