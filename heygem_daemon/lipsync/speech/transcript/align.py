"""Align a transcript with a recording."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.transcript import espeak
from heygem_daemon.lipsync.speech.transcript import language as languages
from heygem_daemon.lipsync.speech.transcript.alignment import Alignment, runs_of, segments_of
from heygem_daemon.lipsync.speech.transcript.graph import build_graph
from heygem_daemon.lipsync.speech.transcript.match import verify
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem
from heygem_daemon.lipsync.speech.transcript.speakable import require_speakable_phones, require_speakable_text
from heygem_daemon.lipsync.speech.transcript.text import plain_text
from heygem_daemon.lipsync.speech.transcript.viterbi import best_path
from heygem_daemon.lipsync.speech.transcript.words import Word

OTHER_COST: Final = 2.0
"""Natural logarithm of odds per row by which speech outside the transcript is less likely than the likeliest viseme."""
_FLOOR: Final = 0.01
"""Least probability of a viseme, so that one row in which the network errs does not exclude a path."""
_PRIOR_EXPONENT: Final = 0.7
"""Posteriors contain the frequencies of visemes in the training texts; they are divided by this power of the frequencies in the recording
(0 none, 1 all)."""


@dataclass(frozen=True, kw_only=True)
class AlignmentResult:
    """alignment: None where the transcript is not used, for the reason `warning`. voice: espeak-ng's name of the language."""

    alignment: Alignment | None = None
    warning: WarningCode | None = None
    voice: str | None = None


def align(text: str, language: str | None, posteriors: Iterable[Float32], *, seconds: float = math.inf) -> AlignmentResult:
    """Align a transcript with a recording. Deterministic.

    text: the words; language: code of ISO 639 or espeak-ng, None to detect it; posteriors: float32 [k, 16] blocks, rows at 50 Hz (row k
    centred on k / 50 s), in the order of VISEMES. They are read only when the transcript has phonemes. seconds: length of the recording;
    words that cannot be spoken in it cost nothing.
    """
    try:
        require_speakable_text(text, seconds)
        plain = plain_text(text)
        voice = languages.find_voice(plain, language, espeak.has_voice)
        if voice is None:
            if plain:
                espeak.require_working()
            return AlignmentResult(warning=WarningCode.SCRIPT_LANGUAGE_UNKNOWN if plain else WarningCode.SCRIPT_MISMATCH)
        words = _words(plain, voice, seconds)
        if not words:
            espeak.require_working()
    except TranscriptProblem as problem:
        return AlignmentResult(warning=problem.code)
    blocks = list(posteriors) if words else []
    rows = np.concatenate(blocks) if blocks else np.zeros((0, len(VISEMES)), np.float32)
    if not len(rows):
        return AlignmentResult(warning=WarningCode.SCRIPT_MISMATCH, voice=voice)
    alignment = align_words(words, rows, voice)
    if not alignment.matches:
        return AlignmentResult(warning=WarningCode.SCRIPT_MISMATCH, voice=voice)
    return AlignmentResult(alignment=alignment, voice=voice)


def _words(text: str, voice: str, seconds: float) -> list[Word]:
    words: list[Word] = []
    phones = 0
    for word in espeak.pronounce(text, voice):
        words.append(word)
        phones += len(word.phones)
        require_speakable_phones(phones, seconds)
    return words


def align_words(words: list[Word], posteriors: Float32, voice: str) -> Alignment:
    """Align words with posteriors, float32 [n, 16], n >= 1, whether or not they match."""
    scores = scores_of(posteriors)
    graph = build_graph(words)
    path = best_path(scores, graph)
    gains = scores[np.arange(len(scores)), graph.column[path.states]]
    runs = runs_of(path.states, gains)
    segments, spoken = segments_of(runs, graph, words)
    match = verify(scores, path.states, graph, words)
    lengths = [word.end - word.start for word in spoken]
    confidence = float(np.average([word.confidence for word in spoken], weights=lengths)) if spoken else 0.0
    return Alignment(
        language=voice,
        segments=segments,
        words=spoken,
        coverage=match.coverage,
        margin=match.margin,
        confidence=confidence,
        matches=match.matches,
    )


def scores_of(posteriors: Float32) -> Float32:
    """Return the scores of the Viterbi search, float32 [n, 17]: natural logarithms of odds, the best of a row at 0.

    The last column is speech outside the transcript. posteriors: float32 [n, 16].
    """
    prior = posteriors.mean(0, dtype=np.float64)
    log_prior = np.log(prior + _FLOOR).astype(np.float32)
    scores = np.empty((len(posteriors), len(VISEMES) + 1), np.float32)
    scores[:, :-1] = np.log(posteriors + np.float32(_FLOOR)) - np.float32(_PRIOR_EXPONENT) * log_prior
    scores[:, :-1] -= scores[:, :-1].max(1, keepdims=True)
    scores[:, -1] = -OTHER_COST
    return scores


__all__ = ["AlignmentResult", "align", "align_words", "scores_of"]
