"""How well the speech driver follows real mouths, alone and with the words, and how fast it is.

    python benchmarks/driver.py CLIPS [--words CLIPS/words.json] [--weights FILE]

CLIPS: a folder of audio-visual clips (docs/learning.md) of people that the weights were not trained on; otherwise the figures flatter.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import librosa
import numpy as np
import torch

from heygem_daemon.lipsync.adaptation.augment import babble, coloured_noise, mixed, music
from heygem_daemon.lipsync.adaptation.clips import AvClip, people, read_clips
from heygem_daemon.lipsync.adaptation.scores import Prediction, Score, score
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.recording_motion import align_recording, motion_at
from heygem_daemon.lipsync.speech.weights import shipped_weights

_SECONDS = 120
_INTRO_S = 10


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
    _say("sound alone", _judge(driver, clips, lambda clip: clip.audio))
    _say("babble, 10 dB below", _judge(driver, clips, lambda clip: _noisy(clip, clips)))
    if options.words:
        _with_words(driver, clips, json.loads(options.words.read_text("utf-8")))
    _other_sounds(driver, clips, options.music)
    _speed(driver, np.concatenate([clip.audio for clip in clips]))


def _judge(
    driver: PhoneticDriver, clips: list[AvClip], sound: Callable[[AvClip], np.ndarray], words: Mapping[str, str] | None = None
) -> Score:
    predictions = {}
    for clip in clips:
        script = align_recording(driver, sound(clip), words[clip.name], "en") if words else None
        motion = motion_at(driver, sound(clip), clip.true_times, script)
        predictions[clip.name] = Prediction(opening=motion.opening, width=motion.width)
    return score(clips, predictions)


def _with_words(driver: PhoneticDriver, clips: list[AvClip], words: Mapping[str, list[tuple[str, float, float]]]) -> None:
    known = [clip for clip in clips if clip.name in words]
    texts = {clip.name: " ".join(word for word, _, _ in words[clip.name] if word.isalpha() and word not in {"sil", "sp"}) for clip in known}
    found = sum(align_recording(driver, clip.audio, texts[clip.name], "en") is not None for clip in known)
    _say("of the clips with words: sound alone", _judge(driver, known, lambda clip: clip.audio))
    _say(f"with words ({found} of {len(known)} aligned)", _judge(driver, known, lambda clip: clip.audio, texts))


def _noisy(clip: AvClip, clips: list[AvClip]) -> np.ndarray:
    others = [other.audio for other in clips if other.name != clip.name]
    return mixed(clip.audio, babble(others, len(clip.audio), np.random.default_rng(len(clip.audio))), 10.0)


def _other_sounds(driver: PhoneticDriver, clips: list[AvClip], recordings: list[Path]) -> None:
    noise = np.random.default_rng(0)

    def speed(wave: np.ndarray) -> float:
        times = np.arange(0, len(wave) / 16000, 0.04)
        return float(np.abs(np.diff(motion_at(driver, wave.astype(np.float32), times).opening)).mean())

    spoken = np.mean([speed(clip.audio) for clip in clips[:40]])
    for name, make in (("synthetic music", music), ("noise", coloured_noise)):
        played = np.mean([speed(_as_loud(clip.audio, make(len(clip.audio), noise))) for clip in clips[:40]])
        print(f"lip speed to {name} alone: {played / spoken:.0%} of that to speech")

    shares = [speed(librosa.load(path, sr=16000, offset=_INTRO_S, duration=60)[0]) / spoken for path in recordings]
    for path, share in zip(recordings, shares, strict=True):
        print(f"lip speed to {path.name} alone: {share:.0%} of that to speech")
    if shares:
        print(f"lip speed to these {len(shares)} recordings alone: {np.mean(shares):.1%}, the most {max(shares):.0%}")


def _as_loud(speech: np.ndarray, other: np.ndarray) -> np.ndarray:
    return other / max(1e-6, float(other.std())) * float(speech.std())


def _speed(driver: PhoneticDriver, speech: np.ndarray) -> None:
    wave = np.resize(speech, _SECONDS * 16000).astype(np.float32)
    began = time.perf_counter()
    frames = sum(len(block) for block in driver.motion([wave], Fraction(25), _SECONDS * 25))
    print(f"speed: {frames / 25 / (time.perf_counter() - began):.0f} x real time on one core")


def _say(name: str, found: Score) -> None:
    print(
        f"{name}: opening r {found.opening_r:.3f} (mean of clips {found.opening_r_mean:.3f}, median {found.opening_r_median:.3f}),"
        f" width r {found.width_r:.3f}, amplitude {found.amplitude:.2f}, closures hit {found.closures_hit:.2f},"
        f" false {found.closures_false:.2f}"
    )


if __name__ == "__main__":
    main()
