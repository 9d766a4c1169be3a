"""How exactly a script is found in a recording, and whether a wrong one is noticed.

    python -m benchmarks.alignment [--grid DIR] [--weights FILE] [--count 30]

GRID: DIR holds clips of a real speaker as npz (`audio`, int16 at 16 kHz) and words.json (clip -> [word, start, end]); the errors are those
of the words' beginnings and ends. Synthetic voices that the encoder was not trained on tell when they speak each phoneme; the errors are
those of the beginnings of visemes. found: share of the true visemes that the alignment has; taken: share of right scripts that are
accepted; noticed: share of wrong ones (of another recording in the same language, and of another language) that are refused.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.transcript.align import align, align_words
from heygem_daemon.lipsync.speech.transcript.alignment import Alignment
from heygem_daemon.lipsync.speech.transcript.espeak import pronounce
from heygem_daemon.lipsync.speech.transcript.language import MANDARIN
from heygem_daemon.lipsync.speech.weights import shipped_weights
from training import espeak, flite, texts
from training.utterance import LABEL_RATE, SAMPLE_RATE, viseme_labels

Hear = Callable[[Float32], Float32]
"""float32 [n] at 16 kHz -> posteriors float32 [m, 16] at 50 Hz."""

VOICES = {"en": "en+steph", "cmn": f"{MANDARIN}+f2", "de": "de+miguel", "es": "es+steph", "it": "it+m3", "pl": "pl+f2", "ru": "ru+miguel"}
OTHER_LANGUAGE = "Heute sprechen wir über den Mond und über die Menschen, die dort oben gewesen sind. Bitte bringt Papier und Stifte mit."
GERMAN_INSTEAD = "Today we talk about the moon and about the people who have been up there. Please bring some paper and a few pens."
SENTENCES_TOGETHER = 3


@dataclass(kw_only=True)
class Figures:
    errors_ms: list[float] = field(default_factory=list)
    wanted: int = 0
    right: list[Alignment] = field(default_factory=list)
    wrong: list[Alignment | None] = field(default_factory=list)

    def line(self, name: str) -> str:
        errors = np.array(self.errors_ms or [np.nan])
        taken = np.mean([each.matches for each in self.right])
        noticed = np.mean([each is None or not each.matches for each in self.wrong]) if self.wrong else np.nan
        margins = [each.margin for each in self.right], [each.margin for each in self.wrong if each is not None]
        low, high = np.quantile(margins[0], 0.05), np.quantile(margins[1], 0.95) if margins[1] else np.nan
        return (
            f"{name:22} {len(self.right):5} {np.median(errors):8.1f} {np.mean(errors <= 40):7.2f} {len(self.errors_ms) / self.wanted:6.2f}"
            f" {taken:6.2f} {noticed:8.2f} {np.mean([each.confidence for each in self.right]):6.2f} {low:7.2f} {high:7.2f}"
        )


def grid(folder: Path, hear: Hear, count: int) -> Figures:
    """Compare with the words of real speech; six words a clip, of which those wrong by one clip are often the same."""
    figures = Figures()
    clips = list(json.loads((folder / "words.json").read_text(encoding="utf-8")).items())[:count]
    said = [[(word, start, end) for word, start, end in words if word not in {"sil", "sp"}] for _, words in clips]
    for place, (clip, _) in enumerate(clips):
        with np.load(folder / f"{clip}.npz") as arrays:
            posteriors = hear(arrays["audio"].astype(np.float32) / 32768)
        words = list(pronounce(" ".join(word for word, *_ in said[place]), "en"))
        alignment = align_words(words, posteriors, "en")
        figures.right.append(alignment)
        figures.wanted += 2 * len(said[place])
        if len(words) == len(said[place]):  # else espeak-ng runs two words into one
            for word in alignment.words:
                _, start, end = said[place][word.index]
                figures.errors_ms += [abs(word.start - start) * 1000, abs(word.end - end) * 1000]
        other = " ".join(word for word, *_ in said[place - 7])
        figures.wrong += [align(other, "en", [posteriors]).alignment, align(OTHER_LANGUAGE, "de", [posteriors]).alignment]
    return figures


def synthetic(language: str, hear: Hear, count: int, *, voice: str | None = None) -> Figures:
    """Compare with what a synthetic voice says it does. voice: one of flite's, else espeak-ng's held-back ones."""
    figures = Figures()
    code = MANDARIN if language == "cmn" else language
    said = list(_scripts(language, count))
    foreign = GERMAN_INSTEAD if language == "de" else OTHER_LANGUAGE
    for place, text in enumerate(said):
        if voice is None:
            samples, phones = espeak.espeak().speak(text, VOICES[language], rate=160)
        else:
            with tempfile.TemporaryDirectory() as folder:
                samples, phones = flite.speak(text, voice, Path(folder))
        posteriors = hear(samples)
        alignment = align_words(list(pronounce(text, code)), posteriors, code)
        figures.right.append(alignment)
        truth = runs(viseme_labels(samples, phones))
        figures.wanted += len(truth)
        figures.errors_ms += errors_ms(truth, alignment)
        figures.wrong += [align(wrong, None, [posteriors]).alignment for wrong in (said[place - 1], foreign)]
    return figures


def _scripts(language: str, count: int) -> Iterator[str]:
    sentences = texts.sentences(language, seed=77)
    for first in range(0, count * SENTENCES_TOGETHER, SENTENCES_TOGETHER):
        yield ". ".join(sentences[first : first + SENTENCES_TOGETHER]) + "."


def runs(labels: npt.NDArray[np.int8]) -> list[tuple[int, float]]:
    """Return (viseme, start in s) of the runs of equal labels, pauses left out."""
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    return [(int(labels[start]), start / LABEL_RATE) for start in starts if labels[start] > 0]


def errors_ms(truth: list[tuple[int, float]], alignment: Alignment) -> list[float]:
    """Return the errors of those beginnings of visemes that both sequences have."""
    found: list[tuple[int, float]] = []
    before = 0
    for segment in alignment.segments:
        if segment.viseme != before and segment.viseme:
            found.append((segment.viseme, segment.start))
        before = segment.viseme
    matcher = SequenceMatcher(None, [viseme for viseme, _ in truth], [viseme for viseme, _ in found], autojunk=False)
    pairs = [(truth[a + i][1], found[b + i][1]) for a, b, size in matcher.get_matching_blocks() for i in range(size)]
    return [abs(true - seen) * 1000 for true, seen in pairs]


def speed(hear: Hear) -> str:
    text = ". ".join(texts.sentences("en", seed=3)[:120]) + "."
    samples, _ = espeak.espeak().speak(text, VOICES["en"])
    posteriors = hear(samples)
    begun = time.process_time()
    align(text, "en", [posteriors])
    spent = time.process_time() - begun
    hour = 3600 * SAMPLE_RATE / len(samples)
    return f"{len(samples) / SAMPLE_RATE:.0f} s of speech aligned in {spent:.1f} s of one core: {spent * hour:.0f} s for an hour"


def report(hear: Hear, folder: Path | None, count: int) -> None:
    print(f"{'':22} {'n':>5} {'median':>8} {'<=40ms':>7} {'found':>6} {'taken':>6} {'noticed':>8} {'conf':>6} {'low 5%':>7} {'top 5%':>7}")
    if folder is not None:
        print(grid(folder, hear, count).line("GRID (real, words)"), flush=True)
    print(synthetic("en", hear, count, voice="awb").line("flite awb"), flush=True)
    for language, voice in VOICES.items():
        print(synthetic(language, hear, count).line(f"espeak-ng {voice}"), flush=True)
    print(speed(hear))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--count", type=int, default=30)
    options = parser.parse_args()
    driver = PhoneticDriver(load(options.weights or shipped_weights()))
    report(lambda wave: np.concatenate(list(driver.posteriors([wave]))), options.grid, options.count)


if __name__ == "__main__":
    main()
