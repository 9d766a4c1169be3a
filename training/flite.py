"""flite: three voices built from recordings of real people, with the times of their phonemes (`flite -psdur`)."""

import subprocess
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from heygem_daemon.lipsync.arrays import Float32
from training.phone_sets import RADIO
from training.utterance import SAMPLE_RATE, Phone

VOICES: Final = ("slt", "rms", "awb", "kal16")


def speak(text: str, voice: str, folder: Path, *, stretch: float = 1.0, pitch_hz: int = 120) -> tuple[Float32, list[Phone]]:
    """Return (float32 [n] at 16 kHz, phonemes). folder: a place for the audio file. Raises OSError or CalledProcessError."""
    path = folder / "flite.wav"
    command = ("flite", "-voice", voice, "-psdur", "--setf", f"duration_stretch={stretch:.2f}", "--setf", f"int_f0_target_mean={pitch_hz}")
    done = subprocess.run([*command, "-t", text, "-o", str(path)], capture_output=True, text=True, check=True, timeout=60)
    samples, rate = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32), _phones(done.stdout)


def _phones(printed: str) -> list[Phone]:
    """Read "pau:0.200 hh:0.265 ...": each phoneme with its end in s."""
    phones, start = [], 0.0
    for word in printed.split():
        name, _, time = word.partition(":")
        if time:
            phones.append(Phone(ipa=RADIO.get(name, ""), start=start, end=float(time)))
            start = float(time)
    return phones
