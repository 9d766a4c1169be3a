"""Measure how well the speech driver follows real mouths, from the audio alone and with the transcript, and how fast it is.

    python -m benchmarks.driver CLIPS [--words CLIPS/words.json] [--weights FILE] [--music FILE...]

CLIPS: a folder of audio-visual clips (docs/learning.md) of people that the weights were not trained on; otherwise the metrics flatter.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import torch

from heygem_daemon.lipsync.adaptation.augment import babble, coloured_noise, mix, music
from heygem_daemon.lipsync.adaptation.clips import AvClip, people, read_clips
from heygem_daemon.lipsync.adaptation.scores import DriverMetrics, Prediction, driver_metrics, is_shut
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.recording_motion import align_recording, motion_at
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.lipsync.style.estimation import shrunk_share

_SPEED_S = 120
"""Length of the recording with which the speed is measured."""
_INTRO_S = 10
"""How much of each piece of music is skipped."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--words", type=Path, help='JSON: clip name -> [["word", start s, end s], ...]; only the words are used')
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--music", type=Path, nargs="*", default=[], help="recordings of real music without voices")
    options = parser.parse_args()
    torch.set_num_threads(1)
    driver = PhoneticDriver(load(options.weights or shipped_weights()))
    clips = read_clips(options.clips)
    print(f"{len(clips)} clips, {len(people(clips))} people, {sum(clip.seconds for clip in clips) / 60:.1f} minutes")
    _print_metrics("audio alone", _evaluate(driver, clips, lambda clip: clip.audio))
    _print_metrics("babble, 10 dB below", _evaluate(driver, clips, lambda clip: _with_babble(clip, clips)))
    for base in (50, 60):
        _print_metrics(f"hum of {base} Hz and multiples, 8 dB above", _evaluate(driver, clips, partial(_with_hum, base=base)))
    _measure_shut_share(driver, clips)
    if options.words:
        _measure_transcripts(driver, clips, json.loads(options.words.read_text("utf-8")))
    _measure_music_and_noise(driver, clips, options.music)
    _measure_speed(driver, np.concatenate([clip.audio for clip in clips]))


def _evaluate(
    driver: PhoneticDriver, clips: list[AvClip], audio: Callable[[AvClip], Float32], transcripts: Mapping[str, str] | None = None
) -> DriverMetrics:
    """Return the metrics of the driver's motion, computed from `audio(clip)` and the transcripts (clip name -> text), if any."""
    predictions = {}
    for clip in clips:
        alignment = align_recording(driver, audio(clip), transcripts[clip.name], "en") if transcripts else None
        motion = motion_at(driver, audio(clip), clip.true_times, alignment)
        predictions[clip.name] = Prediction(opening=motion.opening, width=motion.width)
    return driver_metrics(clips, predictions)


def _measure_transcripts(driver: PhoneticDriver, clips: list[AvClip], words: Mapping[str, list[tuple[str, float, float]]]) -> None:
    known = [clip for clip in clips if clip.name in words]
    transcripts = {
        clip.name: " ".join(word for word, _, _ in words[clip.name] if word.isalpha() and word not in {"sil", "sp"}) for clip in known
    }
    found = sum(align_recording(driver, clip.audio, transcripts[clip.name], "en") is not None for clip in known)
    _print_metrics("of the clips with transcripts: audio alone", _evaluate(driver, known, lambda clip: clip.audio))
    _print_metrics(f"with transcripts ({found} of {len(known)} aligned)", _evaluate(driver, known, lambda clip: clip.audio, transcripts))


def _with_babble(clip: AvClip, clips: list[AvClip]) -> Float32:
    """Return the clip's audio with the babble of the others, 10 dB below it."""
    others = [other.audio for other in clips if other.name != clip.name]
    return mix(clip.audio, babble(others, len(clip.audio), np.random.default_rng(len(clip.audio))), 10.0)


def _measure_music_and_noise(driver: PhoneticDriver, clips: list[AvClip], recordings: list[Path]) -> None:
    """Print how fast the lips move where nobody speaks, over their speed in speech."""
    random = np.random.default_rng(0)

    def lip_speed(wave: Float32) -> float:
        times = np.arange(0, len(wave) / 16000, 0.04)
        return float(np.abs(np.diff(motion_at(driver, wave.astype(np.float32), times).opening)).mean())

    spoken = np.mean([lip_speed(clip.audio) for clip in clips[:40]])
    for name, make in (("synthetic music", music), ("noise", coloured_noise)):
        played = np.mean([lip_speed(_match_level(clip.audio, make(len(clip.audio), random))) for clip in clips[:40]])
        print(f"lip speed to {name} alone: {played / spoken:.0%} of that to speech")

    fractions = [lip_speed(librosa.load(path, sr=16000, offset=_INTRO_S, duration=60)[0]) / spoken for path in recordings]
    for path, fraction in zip(recordings, fractions, strict=True):
        print(f"lip speed to {path.name} alone: {fraction:.0%} of that to speech")
    if fractions:
        print(f"lip speed to these {len(fractions)} recordings alone: {np.mean(fractions):.1%}, the most {max(fractions):.0%}")


def _with_hum(clip: AvClip, base: int) -> Float32:
    """Return the clip's audio with the hum of the mains up to 1 kHz, multiple k at amplitude 1 / k, 8 dB above it."""
    multiples = np.arange(1, 1000 // base + 1)[:, None]
    tones = np.sin(2 * np.pi * base / 16000 * multiples * np.arange(len(clip.audio)) + multiples**2) / multiples
    return mix(clip.audio, tones.sum(0).astype(np.float32), -8.0)


def _measure_shut_share(driver: PhoneticDriver, clips: list[AvClip]) -> None:
    """Print how much of the time the lips are shut, and what it gives to know it: each half of a clip is driven with the share that was
    measured in the other half."""
    shares, found, informed = [], [], {}
    for clip in clips:
        motion = motion_at(driver, clip.audio, clip.true_times)
        shares.append(float(is_shut(clip.opening).mean()))
        found.append(float(is_shut(motion.opening).mean()))
        middle = len(clip.times) // 2
        halves = []
        for own, other in ((slice(0, middle), slice(middle, None)), (slice(middle, None), slice(0, middle))):
            share = shrunk_share(float(is_shut(clip.opening)[other].mean()), clip.seconds / 2)
            halves.append(motion_at(driver.for_presenter(share), clip.audio, clip.true_times[own]))
        whole = MouthMotion.concatenate(halves)
        informed[clip.name] = Prediction(opening=whole.opening, width=whole.width)
    names = np.array([clip.person for clip in clips])
    by_person = [np.mean([np.array(values)[names == name].mean() for name in people(clips)]) for values in (shares, found)]
    print(f"lips shut, mean of people: {by_person[0]:.3f} in truth, {by_person[1]:.3f} predicted")
    _print_metrics("with the share of shut lips of the presenter (from the other half of the clip)", driver_metrics(clips, informed))


def _match_level(speech: Float32, other: Float32) -> Float32:
    """Return `other` at the level of `speech`."""
    return other / max(1e-6, float(other.std())) * float(speech.std())


def _measure_speed(driver: PhoneticDriver, speech: Float32) -> None:
    wave = np.resize(speech, _SPEED_S * 16000).astype(np.float32)
    start = time.perf_counter()
    frames = sum(len(block) for block in driver.motion([wave], Fraction(25), _SPEED_S * 25))
    print(f"speed: {frames / 25 / (time.perf_counter() - start):.0f} x real time on one core")


def _print_metrics(name: str, metrics: DriverMetrics) -> None:
    print(
        f"{name}: opening r {metrics.opening_r:.3f} (mean of clips {metrics.opening_r_mean:.3f}, median {metrics.opening_r_median:.3f}),"
        f" width r {metrics.width_r:.3f}, amplitude {metrics.amplitude:.2f}, closures hit {metrics.closures_hit:.2f},"
        f" false {metrics.closures_false:.2f}"
    )


if __name__ == "__main__":
    main()
