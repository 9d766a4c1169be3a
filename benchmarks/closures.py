"""Measure whether the lips meet on p, b and m, with speech of known phoneme times by voices that the weights were not trained on.

    python -m benchmarks.closures [--count 12]                    in the motion that the driver computes
    python -m benchmarks.closures --render VIDEO... --out DIR     and in rendered videos

flite and espeak-ng speak (scripts/setup.sh --training). A closure is found where the opening falls below 15 % of its 95th percentile
within 40 ms of the phoneme; in videos also by 15 % of the way from its 2nd to its 95th, for presenters whose closed lips the tracker
does not measure as 0.
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
from heygem_daemon.lipsync.arrays import Bool, Float32, Float64
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
_NEAR_S = 0.04
_GAP_S = 0.5
"""Silence after each sentence of a rendered recording."""
_MODELS = Path("weights")


@dataclass(frozen=True, kw_only=True)
class SpokenSentence:
    """wave: float32 [n] at 16 kHz; closures: when the lips should meet, (start, end) in s."""

    text: str
    language: str
    wave: Float32
    closures: list[tuple[float, float]]


def speak(language: str, voice: str, count: int) -> list[SpokenSentence]:
    """Return `count` sentences, spoken by flite or espeak-ng."""
    spoken = []
    with tempfile.TemporaryDirectory() as folder:
        for text in sentences(language, seed=7)[:count]:
            wave, phones = flite.speak(text, "awb", Path(folder)) if voice == "flite awb" else espeak.espeak().speak(text, voice)
            closures = [(p.start, p.end) for p in phones if (visemes_of_ipa(p.ipa) or [(0, 1.0)])[0][0] == viseme_index("PP")]
            code = "cmn-latn-pinyin" if language == "cmn" else language
            spoken.append(SpokenSentence(text=text, language=code, wave=wave, closures=closures))
    return spoken


def is_closed(opening: Float32, floor: float = 0.0) -> Bool:
    """Return bool [T]: below 15 % of the way from `floor` to the 95th percentile."""
    return np.asarray(opening < floor + 0.15 * (np.nanpercentile(opening, 95) - floor))


def count_found(closed: Bool, times: Float64, closures: Iterable[tuple[float, float]]) -> int:
    """Return in how many of `closures` the lips are closed at some time, give or take 40 ms. times: float64 [T], s."""
    return sum(bool(closed[(times >= start - _NEAR_S) & (times <= end + _NEAR_S)].any()) for start, end in closures)


def measure_driver(driver: PhoneticDriver, voice: str, spoken_sentences: list[SpokenSentence]) -> None:
    """Print the closures in the driver's motion, from the audio alone and with the transcript."""
    counts = [0, 0]
    fractions: tuple[list[float], list[float]] = ([], [])
    for sentence in spoken_sentences:
        times = np.arange(0, len(sentence.wave) / SAMPLE_RATE, 0.02)
        alignments = (None, align_recording(driver, sentence.wave, sentence.text, sentence.language))
        for which, alignment in enumerate(alignments):
            closed = is_closed(motion_at(driver, sentence.wave, times, alignment).opening)
            counts[which] += count_found(closed, times, sentence.closures)
            fractions[which].append(float(closed.mean()))
    total = sum(len(sentence.closures) for sentence in spoken_sentences)
    found, closed_time = [f"{count / total:.0%}" for count in counts], [f"{np.mean(each):.0%}" for each in fractions]
    print(f"{voice} | {total} | {' | '.join(found)} | {', '.join(closed_time)}")


def measure_rendered(
    session: RenderSession, voice: str, spoken_sentences: list[SpokenSentence], video: Path, out: Path, with_transcript: bool
) -> None:
    """Render a video that speaks all sentences, and print the closures in it."""
    gap = np.zeros(round(_GAP_S * SAMPLE_RATE), np.float32)
    starts = np.cumsum([0] + [len(sentence.wave) + len(gap) for sentence in spoken_sentences]) / SAMPLE_RATE
    name = f"{video.stem}__{voice.replace(' ', '_')}{'__transcript' if with_transcript else ''}"
    recording, output = out / f"{name}.wav", out / f"{name}.mp4"
    soundfile.write(recording, np.concatenate([part for sentence in spoken_sentences for part in (sentence.wave, gap)]), SAMPLE_RATE)
    options = RenderOptions()
    if with_transcript:
        options = RenderOptions(text=" ".join(sentence.text for sentence in spoken_sentences), language=spoken_sentences[0].language)
    session.render(RenderRequest(recording=recording, video=video, output=output, options=options))
    opening, rate = measured_opening(output)
    times = np.arange(len(opening)) / rate
    closures = [(at + start, at + end) for at, one in zip(starts, spoken_sentences, strict=False) for start, end in one.closures]
    floors = (0.0, float(np.nanpercentile(opening, 2)))
    found = [count_found(is_closed(opening, floor), times, closures) / len(closures) for floor in floors]
    print(
        f"{video.stem} | {voice}{' with the transcript' if with_transcript else ''} | {len(closures)} | {found[0]:.0%} | {found[1]:.0%}"
        f" | {is_closed(opening).mean():.0%}",
        flush=True,
    )


def measured_opening(result: Path) -> tuple[Float32, float]:
    """Return the lip opening in a video, float32 [T], NaN where no face is found, and its frame rate."""
    info = probe(result)
    reader = VideoReader(info)
    tracker = FaceTracker(_MODELS, frame_rate=reader.video.frame_rate)
    with closing(reader.frames()) as frames:
        tracked = [tracker.follow(frame) for frame in frames]
    opening = [float(lip_opening(faces[0].landmarks[None])[0]) if faces else np.nan for faces in tracked]
    return np.array(opening, np.float32), float(reader.video.frame_rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12, help="sentences per voice")
    parser.add_argument("--render", type=Path, nargs="+", default=[], metavar="VIDEO")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--voices", nargs="+", default=[voice for _, voice in _VOICES])
    options = parser.parse_args()
    torch.set_num_threads(1)
    spoken = {voice: speak(language, voice, options.count) for language, voice in _VOICES if voice in options.voices}
    driver = PhoneticDriver(load(shipped_weights()))
    print("voice | closures | from the audio | with the transcript | of all the time closed (audio, transcript)")
    for voice, spoken_sentences in spoken.items():
        measure_driver(driver, voice, spoken_sentences)
    if options.render:
        options.out.mkdir(parents=True, exist_ok=True)
        session = RenderSession(models_dir=_MODELS, cache_dir=options.out / "cache", device="auto")
        print("video | voice | closures | closed | closed above the presenter's minimum | of all the time closed")
        for video in options.render:
            for voice, spoken_sentences in spoken.items():
                for with_transcript in (False, True):
                    measure_rendered(session, voice, spoken_sentences, video.absolute(), options.out.absolute(), with_transcript)


if __name__ == "__main__":
    main()
