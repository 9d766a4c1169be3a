"""Decide whether a transcript is what is spoken: it must explain the audio better than decoys, wrong transcripts of the same phones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Int32
from heygem_daemon.lipsync.speech.transcript.graph import OTHER, SILENCE, DecodingGraph, build_graph
from heygem_daemon.lipsync.speech.transcript.viterbi import best_path
from heygem_daemon.lipsync.speech.transcript.words import Phone, Word

MARGIN: Final = 0.12
CHANCE: Final = 0.8
"""Natural logarithm of odds per row of speech by which a transcript must beat its decoys: MARGIN, and CHANCE divided by the root of the
number of phones compared, because short ones may win by luck. Six words of a real speaker (17 phones): right 0.33-1.05, another language
up to 0.25."""
COVERAGE: Final = 0.4
"""Smallest fraction of the words of the transcript that are found, and of the speech that is in the transcript."""

_EXCERPTS: Final = 4
"""Excerpts of the recording in which decoys are compared."""
_EXCERPT_ROWS: Final = 1500
"""Rows of an excerpt: 30 s. With excerpts the comparison costs the same for a minute and for a day."""
_SEED: Final = 20260701


@dataclass(frozen=True, kw_only=True)
class MatchResult:
    """coverage: fraction of the words that are found; margin: natural logarithm of odds per row of speech over the best decoy."""

    coverage: float
    margin: float
    matches: bool


def verify(scores: Float32, states: Int32, graph: DecodingGraph, words: Sequence[Word]) -> MatchResult:
    """Return whether the transcript matches. scores: float32 [n, 17]; states: int32 [n], the path of the transcript through them."""
    columns, spoken = graph.column[states], graph.phone[states] >= 0
    coverage = len(np.unique(graph.word[states[spoken]])) / len(words)
    in_transcript = float(spoken.sum() / max(np.count_nonzero(spoken | ((columns == OTHER) & (scores[:, SILENCE] < 0))), 1))
    margin, phones = _margin(scores, states, graph, words) if spoken.any() else (0.0, 0)
    matches = phones > 0 and margin >= MARGIN + CHANCE / phones**0.5 and min(coverage, in_transcript) >= COVERAGE
    return MatchResult(coverage=coverage, margin=margin, matches=matches)


def _margin(scores: Float32, states: Int32, graph: DecodingGraph, words: Sequence[Word]) -> tuple[float, int]:
    """Return the score of the transcript over its best decoy per row of speech, in excerpts of the recording, and the number of phones
    compared."""
    gained, rows, phones = 0.0, 0, 0
    for begin in _excerpts(len(states)):
        path = states[begin : begin + _EXCERPT_ROWS]
        part = words[int(graph.word[path[0]]) : int(graph.word[path[-1]]) + 1]
        speech = int(np.count_nonzero(scores[begin : begin + _EXCERPT_ROWS, SILENCE] < 0))
        if not part or not speech:
            continue
        own = best_path(scores[begin : begin + _EXCERPT_ROWS], build_graph(part)).score
        others = [best_path(scores[begin : begin + _EXCERPT_ROWS], build_graph(decoy)).score for decoy in decoys(part)]
        gained += own - max(others)
        rows += speech
        phones += sum(len(word.phones) for word in part)
    return (gained / rows if rows else 0.0), phones


def _excerpts(rows: int) -> list[int]:
    if rows <= _EXCERPTS * _EXCERPT_ROWS:
        return list(range(0, rows, _EXCERPT_ROWS))
    return [place * (rows - _EXCERPT_ROWS) // (_EXCERPTS - 1) for place in range(_EXCERPTS)]


def decoys(words: Sequence[Word]) -> list[list[Word]]:
    """Return wrong transcripts of the same phones, with words of the same lengths: one backwards, two shuffled."""
    phones = [phone for word in words for phone in word.phones]
    order = np.random.default_rng(_SEED)
    return [
        _replace_phones(words, phones[::-1]),
        *(_replace_phones(words, [phones[place] for place in order.permutation(len(phones))]) for _ in range(2)),
    ]


def _replace_phones(words: Sequence[Word], phones: Sequence[Phone]) -> list[Word]:
    ends = np.cumsum([len(word.phones) for word in words]).tolist()
    return [replace(word, phones=tuple(phones[end - len(word.phones) : end])) for word, end in zip(words, ends, strict=True)]
