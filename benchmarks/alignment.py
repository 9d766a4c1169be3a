"""Measure how exactly a transcript is aligned to a recording, and whether a wrong transcript is rejected.

    python -m benchmarks.alignment [--grid DIR] [--weights FILE] [--count 30]

GRID: DIR holds clips of a real speaker as npz (`audio`, int16 at 16 kHz) and words.json (clip -> [word, start, end]); the errors are those
of the words' starts and ends. Synthetic voices that the encoder was not trained on report when they speak each phoneme; the errors are
those of the starts of visemes (espeak-ng and flite: scripts/setup.sh --training). found: fraction of the true visemes that the alignment
has; accepted: fraction of right transcripts that are accepted; rejected: fraction of wrong ones (of another recording in the same
language, and of another language) that are rejected; low 5%, top 5%: quantiles of the margins of right and of wrong transcripts.
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

Encode = Callable[[Float32], Float32]
"""Computes posteriors, float32 [m, 16] at 50 Hz, from audio, float32 [n] at 16 kHz."""

VOICES = {"en": "en+steph", "cmn": f"{MANDARIN}+f2", "de": "de+miguel", "es": "es+steph", "it": "it+m3", "pl": "pl+f2", "ru": "ru+miguel"}
OTHER_LANGUAGE = "Heute sprechen wir über den Mond und über die Menschen, die dort oben gewesen sind. Bitte bringt Papier und Stifte mit."
GERMAN_INSTEAD = "Today we talk about the moon and about the people who have been up there. Please bring some paper and a few pens."
SENTENCES_TOGETHER = 3


@dataclass(kw_only=True)
class AlignmentMetrics:
    """The measurements on the recordings of one voice.

    errors_ms: of the times that truth and alignment both have; expected: how many times the truth has.
    right, wrong: the alignments of right and of wrong transcripts; None where a wrong one was rejected before alignment.
    """

    errors_ms: list[float] = field(default_factory=list)
    expected: int = 0
    right: list[Alignment] = field(default_factory=list)
    wrong: list[Alignment | None] = field(default_factory=list)

    def line(self, name: str) -> str:
        """Return the row of the table for the voice `name`."""
        errors = np.array(self.errors_ms or [np.nan])
        accepted = np.mean([each.matches for each in self.right])
        rejected = np.mean([each is None or not each.matches for each in self.wrong]) if self.wrong else np.nan
        margins = [each.margin for each in self.right], [each.margin for each in self.wrong if each is not None]
        low, high = np.quantile(margins[0], 0.05), np.quantile(margins[1], 0.95) if margins[1] else np.nan
        found = len(self.errors_ms) / self.expected
        return (
            f"{name:22} {len(self.right):5} {np.median(errors):8.1f} {np.mean(errors <= 40):7.2f} {found:6.2f}"
            f" {accepted:8.2f} {rejected:8.2f} {np.mean([each.confidence for each in self.right]):6.2f} {low:7.2f} {high:7.2f}"
        )


def measure_grid(folder: Path, encode: Encode, count: int) -> AlignmentMetrics:
    """Compare with the words of real speech. A clip has six words; a wrong transcript (of another clip) may share some."""
    metrics = AlignmentMetrics()
    clips = list(json.loads((folder / "words.json").read_text(encoding="utf-8")).items())[:count]
    spoken = [[(word, start, end) for word, start, end in words if word not in {"sil", "sp"}] for _, words in clips]
    for index, (clip, _) in enumerate(clips):
        with np.load(folder / f"{clip}.npz") as arrays:
            posteriors = encode(arrays["audio"].astype(np.float32) / 32768)
        words = list(pronounce(" ".join(word for word, *_ in spoken[index]), "en"))
        alignment = align_words(words, posteriors, "en")
        metrics.right.append(alignment)
        metrics.expected += 2 * len(spoken[index])
        if len(words) == len(spoken[index]):  # else espeak-ng runs two words into one
            for word in alignment.words:
                _, start, end = spoken[index][word.index]
                metrics.errors_ms += [abs(word.start - start) * 1000, abs(word.end - end) * 1000]
        other = " ".join(word for word, *_ in spoken[(index - 7) % len(spoken)])
        metrics.wrong += [align(other, "en", [posteriors]).alignment, align(OTHER_LANGUAGE, "de", [posteriors]).alignment]
    return metrics


def measure_synthetic(language: str, encode: Encode, count: int, *, voice: str | None = None) -> AlignmentMetrics:
    """Compare with the phoneme times that a synthetic voice reports. voice: one of flite's, else espeak-ng's held-out ones."""
    metrics = AlignmentMetrics()
    code = MANDARIN if language == "cmn" else language
    transcripts = list(_transcripts(language, count))
    foreign = GERMAN_INSTEAD if language == "de" else OTHER_LANGUAGE
    for index, text in enumerate(transcripts):
        if voice is None:
            samples, phones = espeak.espeak().speak(text, VOICES[language], rate=160)
        else:
            with tempfile.TemporaryDirectory() as folder:
                samples, phones = flite.speak(text, voice, Path(folder))
        posteriors = encode(samples)
        alignment = align_words(list(pronounce(text, code)), posteriors, code)
        metrics.right.append(alignment)
        truth = viseme_starts(viseme_labels(samples, phones))
        metrics.expected += len(truth)
        metrics.errors_ms += start_errors_ms(truth, alignment)
        metrics.wrong += [align(wrong, None, [posteriors]).alignment for wrong in (transcripts[index - 1], foreign)]
    return metrics


def _transcripts(language: str, count: int) -> Iterator[str]:
    sentences = texts.sentences(language, seed=77)
    for first in range(0, count * SENTENCES_TOGETHER, SENTENCES_TOGETHER):
        yield ". ".join(sentences[first : first + SENTENCES_TOGETHER]) + "."


def viseme_starts(labels: npt.NDArray[np.int8]) -> list[tuple[int, float]]:
    """Return (viseme, start in s) of the runs of equal labels, pauses left out."""
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    return [(int(labels[start]), start / LABEL_RATE) for start in starts if labels[start] > 0]


def start_errors_ms(truth: list[tuple[int, float]], alignment: Alignment) -> list[float]:
    """Return the errors of the starts of those visemes that both sequences have. truth: (viseme, start in s)."""
    found: list[tuple[int, float]] = []
    previous = 0
    for segment in alignment.segments:
        if segment.viseme != previous and segment.viseme:
            found.append((segment.viseme, segment.start))
        previous = segment.viseme
    matcher = SequenceMatcher(None, [viseme for viseme, _ in truth], [viseme for viseme, _ in found], autojunk=False)
    pairs = [(truth[a + i][1], found[b + i][1]) for a, b, size in matcher.get_matching_blocks() for i in range(size)]
    return [abs(true - aligned) * 1000 for true, aligned in pairs]


def measure_speed(encode: Encode) -> str:
    """Return a sentence: the CPU time of aligning a long recording, the encoder left out."""
    text = ". ".join(texts.sentences("en", seed=3)[:120]) + "."
    samples, _ = espeak.espeak().speak(text, VOICES["en"])
    posteriors = encode(samples)
    start = time.process_time()
    align(text, "en", [posteriors])
    seconds = time.process_time() - start
    hour = 3600 * SAMPLE_RATE / len(samples)
    return f"{len(samples) / SAMPLE_RATE:.0f} s of speech aligned in {seconds:.1f} s of one core: {seconds * hour:.0f} s for an hour"


def report(encode: Encode, folder: Path | None, count: int) -> None:
    """Print the table. folder: the GRID clips."""
    print(f"{'':22} {'n':>5} {'median':>8} {'<=40ms':>7} {'found':>6} {'accepted':>8} {'rejected':>8}", end="")
    print(f" {'conf':>6} {'low 5%':>7} {'top 5%':>7}")
    if folder is not None:
        print(measure_grid(folder, encode, count).line("GRID (real, words)"), flush=True)
    print(measure_synthetic("en", encode, count, voice="awb").line("flite awb"), flush=True)
    for language, voice in VOICES.items():
        print(measure_synthetic(language, encode, count).line(f"espeak-ng {voice}"), flush=True)
    print(measure_speed(encode))


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
