"""The script of a recording, found in its sound: the way in."""

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
from heygem_daemon.lipsync.speech.transcript.graph import Chain, make_chain
from heygem_daemon.lipsync.speech.transcript.match import judge
from heygem_daemon.lipsync.speech.transcript.problem import ScriptProblem
from heygem_daemon.lipsync.speech.transcript.text import cleaned
from heygem_daemon.lipsync.speech.transcript.viterbi import best_path
from heygem_daemon.lipsync.speech.transcript.words import Word

OTHER_COST: Final = 2.0
"""Unscripted speech is as likely as the likeliest viseme less this, per row: a script that fits loses less."""
_FLOOR: Final = 0.01
"""Every viseme is given this probability at least, so that one row in which the network errs does not forbid a path."""
_PRIOR_SHARE: Final = 0.7
"""Posteriors hold the frequencies of the training texts; this power of the recording's own is taken out (0 none, 1 all)."""


@dataclass(frozen=True, kw_only=True)
class ScriptResult:
    """`alignment` is None where there is none, and `warning` then says why. voice: espeak-ng's name of the language."""

    alignment: Alignment | None = None
    warning: WarningCode | None = None
    voice: str | None = None


def align(text: str, language: str | None, posteriors: Iterable[Float32]) -> ScriptResult:
    """Align a script with a recording.

    text: the words; language: code of ISO 639 or espeak-ng, None to find it out; posteriors: float32 [k, 16] blocks, rows at 50 Hz (row
    k centred on k / 50 s), in the order of VISEMES. They are drawn only once the script is known to be readable. Deterministic.
    """
    plain = cleaned(text)
    try:
        voice = languages.find_voice(plain, language, espeak.has_voice)
        if voice is None:
            return ScriptResult(warning=WarningCode.SCRIPT_LANGUAGE_UNKNOWN if plain else WarningCode.SCRIPT_MISMATCH)
        words = list(espeak.pronounce(plain, voice))
    except ScriptProblem as problem:
        return ScriptResult(warning=problem.code)
    blocks = list(posteriors) if words else []
    rows = np.concatenate(blocks) if blocks else np.zeros((0, len(VISEMES)), np.float32)
    if not len(rows):
        return ScriptResult(warning=WarningCode.SCRIPT_MISMATCH, voice=voice)
    alignment = align_words(words, rows, voice)
    if not alignment.matches:
        return ScriptResult(warning=WarningCode.SCRIPT_MISMATCH, voice=voice)
    return ScriptResult(alignment=alignment, voice=voice)


def align_words(words: list[Word], posteriors: Float32, voice: str) -> Alignment:
    """Align words with posteriors, float32 [n, 16], n >= 1, whether or not they match."""
    scores = scores_of(posteriors)
    chain = make_chain(words)
    path = best_path(scores, chain)
    gains = scores[np.arange(len(scores)), chain.column[path.states]]
    runs = runs_of(path.states, gains)
    segments, spoken = segments_of(runs, chain, words)
    verdict = judge(scores, path.states, chain, words)
    lengths = [word.end - word.start for word in spoken]
    confidence = float(np.average([word.confidence for word in spoken], weights=lengths)) if spoken else 0.0
    return Alignment(
        language=voice,
        segments=segments,
        words=spoken,
        coverage=verdict.coverage,
        margin=verdict.margin,
        confidence=confidence,
        matches=verdict.matches,
    )


def scores_of(posteriors: Float32) -> Float32:
    """Return float32 [n, 17]: the logarithms of the visemes' odds, the best of a row at 0; the last column is unscripted speech."""
    prior = posteriors.mean(0, dtype=np.float64)
    log_prior = np.log(prior + _FLOOR).astype(np.float32)
    scores = np.empty((len(posteriors), len(VISEMES) + 1), np.float32)
    scores[:, :-1] = np.log(posteriors + np.float32(_FLOOR)) - np.float32(_PRIOR_SHARE) * log_prior
    scores[:, :-1] -= scores[:, :-1].max(1, keepdims=True)
    scores[:, -1] = -OTHER_COST
    return scores


__all__ = ["Chain", "ScriptResult", "align", "align_words", "scores_of"]
