"""Whether a script is what is spoken: it must explain the sound better than wrong scripts made of the very same sounds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Int32
from heygem_daemon.lipsync.speech.transcript.graph import OTHER, SILENCE, Chain, make_chain
from heygem_daemon.lipsync.speech.transcript.viterbi import best_path
from heygem_daemon.lipsync.speech.transcript.words import Sound, Word

MARGIN: Final = 0.12
CHANCE: Final = 0.8
"""Natural logarithm of odds per row of speech by which the right script must win: MARGIN, and CHANCE divided by the root of the number of
sounds compared, for the luck of short scripts. Six words of a real speaker (17 sounds): right 0.33-1.05, another language up to 0.25."""
COVERAGE: Final = 0.4
"""Share of the script's words that must be found, and share of the speech that must be words of the script, at least."""

_EXCERPTS: Final = 4
_EXCERPT_ROWS: Final = 1500
"""30 s. Comparing excerpts costs the same for a minute and for a day."""
_SEED: Final = 20260701


@dataclass(frozen=True, kw_only=True)
class Verdict:
    coverage: float
    margin: float
    matches: bool


def judge(scores: Float32, states: Int32, chain: Chain, words: Sequence[Word]) -> Verdict:
    """scores: float32 [n, 17]; states: int32 [n], the path of the script through them."""
    columns, spoken = chain.column[states], chain.sound[states] >= 0
    coverage = len(np.unique(chain.word[states[spoken]])) / len(words)
    scripted = float(spoken.sum() / max(np.count_nonzero(spoken | ((columns == OTHER) & (scores[:, SILENCE] < 0))), 1))
    margin, sounds = _margin(scores, states, chain, words) if spoken.any() else (0.0, 0)
    matches = sounds > 0 and margin >= MARGIN + CHANCE / sounds**0.5 and min(coverage, scripted) >= COVERAGE
    return Verdict(coverage=coverage, margin=margin, matches=matches)


def _margin(scores: Float32, states: Int32, chain: Chain, words: Sequence[Word]) -> tuple[float, int]:
    """Return by how much the script beats the best of its shuffled twins, per row of speech, in excerpts of the recording, and the number
    of sounds compared."""
    gained, rows, sounds = 0.0, 0, 0
    for begin in _excerpts(len(states)):
        there = states[begin : begin + _EXCERPT_ROWS]
        part = words[int(chain.word[there[0]]) : int(chain.word[there[-1]]) + 1]
        speech = int(np.count_nonzero(scores[begin : begin + _EXCERPT_ROWS, SILENCE] < 0))
        if not part or not speech:
            continue
        own = best_path(scores[begin : begin + _EXCERPT_ROWS], make_chain(part)).score
        others = [best_path(scores[begin : begin + _EXCERPT_ROWS], make_chain(twin)).score for twin in twins(part)]
        gained += own - max(others)
        rows += speech
        sounds += sum(len(word.sounds) for word in part)
    return (gained / rows if rows else 0.0), sounds


def _excerpts(rows: int) -> list[int]:
    if rows <= _EXCERPTS * _EXCERPT_ROWS:
        return list(range(0, rows, _EXCERPT_ROWS))
    return [place * (rows - _EXCERPT_ROWS) // (_EXCERPTS - 1) for place in range(_EXCERPTS)]


def twins(words: Sequence[Word]) -> list[list[Word]]:
    """Return wrong scripts of the same sounds, with words of the same lengths: backwards, and shuffled."""
    sounds = [sound for word in words for sound in word.sounds]
    order = np.random.default_rng(_SEED)
    return [
        _with_sounds(words, sounds[::-1]),
        *(_with_sounds(words, [sounds[place] for place in order.permutation(len(sounds))]) for _ in range(2)),
    ]


def _with_sounds(words: Sequence[Word], sounds: Sequence[Sound]) -> list[Word]:
    ends = np.cumsum([len(word.sounds) for word in words]).tolist()
    return [replace(word, sounds=tuple(sounds[end - len(word.sounds) : end])) for word, end in zip(words, ends, strict=True)]
