"""Do the lips meet on p, b and m? Speech with known phoneme times, by voices that the weights were not trained on.

    python -m benchmarks.closures [--count 12]                    what the driver asks for
    python -m benchmarks.closures --render VIDEO... --out DIR     and what is seen in rendered videos

flite and espeak-ng speak (scripts/setup.sh --training). A closure is found where the opening falls below 15 % of its 95th percentile
within 40 ms of the phoneme; in videos also by 15 % of the way from its 2nd to its 95th, for presenters whose shut lips the tracker
does not see as 0.
"""

import argparse
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.lipsync.face.tracker import FaceTracker
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening
from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.render_request import RenderRequest
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonemes import visemes_of_ipa
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.recording_motion import align_recording, motion_at
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from training import espeak, flite
from training.texts import sentences
from training.utterance import SAMPLE_RATE

_VOICES = (
    ("en", "en-us+steph"),
    ("en", "en+miguel"),
    ("cmn", "cmn-latn-pinyin+m3"),
    ("de", "de+f2"),
    ("es", "es+klatt4"),
    ("en", "flite awb"),
)
_NEAR = 0.04
_GAP_S = 0.5
_MODELS = Path("weights")


@dataclass(frozen=True, kw_only=True)
class Said:
    """A sentence: wave float32 [n] at 16 kHz, and when lips should meet in it, (start, end) in s."""

    text: str
    language: str
    wave: np.ndarray
    closures: list[tuple[float, float]]


def say(language: str, voice: str, count: int) -> list[Said]:
    said = []
    with tempfile.TemporaryDirectory() as folder:
        for text in sentences(language, seed=7)[:count]:
            spoken = flite.speak(text, "awb", Path(folder)) if voice == "flite awb" else espeak.espeak().speak(text, voice)
            closures = [(p.start, p.end) for p in spoken[1] if (visemes_of_ipa(p.ipa) or [(0, 1.0)])[0][0] == viseme_index("PP")]
            said.append(Said(text=text, language={"cmn": "cmn-latn-pinyin"}.get(language, language), wave=spoken[0], closures=closures))
    return said


def low(opening: np.ndarray, floor: float = 0.0) -> np.ndarray:
    return opening < floor + 0.15 * (np.nanpercentile(opening, 95) - floor)


def met(shut: np.ndarray, times: np.ndarray, closures: Iterable[tuple[float, float]]) -> int:
    return sum(bool(shut[(times >= start - _NEAR) & (times <= end + _NEAR)].any()) for start, end in closures)


def asked(driver: PhoneticDriver, voice: str, said: list[Said]) -> None:
    """Print what the driver asks for, by the sound alone and with the words."""
    counts, shares = [0, 0], [[], []]
    for one in said:
        times = np.arange(0, len(one.wave) / SAMPLE_RATE, 0.02)
        for which, script in enumerate((None, align_recording(driver, one.wave, one.text, one.language))):
            shut = low(motion_at(driver, one.wave, times, script).opening)
            counts[which] += met(shut, times, one.closures)
            shares[which].append(float(shut.mean()))
    total = sum(len(one.closures) for one in said)
    print(f"{voice} | {total} | {counts[0] / total:.0%} | {counts[1] / total:.0%} | {np.mean(shares[0]):.0%}, {np.mean(shares[1]):.0%}")


def rendered(session: RenderSession, voice: str, said: list[Said], video: Path, out: Path, with_words: bool) -> None:
    """Print what a video shows that speaks all of it."""
    gap = np.zeros(round(_GAP_S * SAMPLE_RATE), np.float32)
    starts = np.cumsum([0] + [len(one.wave) + len(gap) for one in said]) / SAMPLE_RATE
    name = f"{video.stem}__{voice.replace(' ', '_')}{'__words' if with_words else ''}"
    recording, output = out / f"{name}.wav", out / f"{name}.mp4"
    soundfile.write(recording, np.concatenate([part for one in said for part in (one.wave, gap)]), SAMPLE_RATE)
    words = RenderOptions(text=" ".join(one.text for one in said), language=said[0].language) if with_words else RenderOptions()
    session.render(RenderRequest(recording=recording, video=video, output=output, options=words))
    opening, rate = seen(output)
    times = np.arange(len(opening)) / rate
    closures = [(at + start, at + end) for at, one in zip(starts, said, strict=False) for start, end in one.closures]
    found = [met(low(opening, floor), times, closures) / len(closures) for floor in (0.0, float(np.nanpercentile(opening, 2)))]
    print(
        f"{video.stem} | {voice}{' with the script' if with_words else ''} | {len(closures)} | {found[0]:.0%} | {found[1]:.0%}"
        f" | {low(opening).mean():.0%}",
        flush=True,
    )


def seen(result: Path) -> tuple[np.ndarray, float]:
    """Return the lip opening in a video, float32 [n], NaN where no face is seen, and its frame rate."""
    info = probe(result)
    reader = VideoReader(info)
    tracker = FaceTracker(_MODELS, frame_rate=reader.video.frame_rate)
    with closing(reader.frames()) as frames:
        followed = [tracker.follow(frame) for frame in frames]
    opening = [float(lip_opening(faces[0].landmarks[None])[0]) if faces else np.nan for faces in followed]
    return np.array(opening, np.float32), float(reader.video.frame_rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12, help="sentences per voice")
    parser.add_argument("--render", type=Path, nargs="+", default=[], metavar="VIDEO")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--voices", nargs="+", default=[voice for _, voice in _VOICES])
    options = parser.parse_args()
    torch.set_num_threads(1)
    spoken = {voice: say(language, voice, options.count) for language, voice in _VOICES if voice in options.voices}
    driver = PhoneticDriver(load(shipped_weights()))
    print("voice | closures | by the sound | with the script | of all the time shut (sound, script)")
    for voice, said in spoken.items():
        asked(driver, voice, said)
    if options.render:
        options.out.mkdir(parents=True, exist_ok=True)
        session = RenderSession(models_dir=_MODELS, cache_dir=options.out / "cache", device="auto")
        print("video | voice | closures | shut | shut above the presenter's least | of all the time shut")
        for video in options.render:
            for voice, said in spoken.items():
                for with_words in (False, True):
                    rendered(session, voice, said, video.absolute(), options.out.absolute(), with_words)


if __name__ == "__main__":
    main()
