"""Represent when each phoneme and word of a transcript is spoken, and derive it from the path of the Viterbi search."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Int32, Int64
from heygem_daemon.lipsync.speech.transcript.graph import SILENCE, DecodingGraph
from heygem_daemon.lipsync.speech.transcript.words import Word

ROW_RATE: Final = 50
"""Rows of posteriors per second; row k is centred on k / ROW_RATE s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One viseme of a phoneme (a diphthong has two), or a pause: ipa "", word -1. start, end: s. confidence: 0-1."""

    ipa: str
    word: int
    viseme: int
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignedWord:
    """One spoken word. index: its place among the words of the transcript (omitted words are missing). start, end: s. confidence: 0-1."""

    index: int
    phonemes: tuple[str, ...]
    start: float
    end: float
    confidence: float


class Columns(NamedTuple):
    """The segments as arrays [N]: viseme int32, start and end float64 in s, confidence float32."""

    viseme: Int32
    start: Float64
    end: Float64
    confidence: Float32


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """A transcript along a recording. Segments are in order and do not overlap; between them is speech outside the transcript.

    language: espeak-ng's name of the voice. coverage: fraction of the words of the transcript that are spoken. margin: by how much this
    transcript explains the audio better than wrong ones, natural logarithm of odds per row of speech. confidence: mean of the words, 0-1.
    matches: whether coverage and margin are high enough (see `match`).
    """

    language: str
    segments: tuple[Segment, ...]
    words: tuple[AlignedWord, ...]
    coverage: float
    margin: float
    confidence: float
    matches: bool

    @cached_property
    def columns(self) -> Columns:
        """The segments as arrays."""
        return Columns(
            viseme=np.array([each.viseme for each in self.segments], np.int32),
            start=np.array([each.start for each in self.segments], np.float64),
            end=np.array([each.end for each in self.segments], np.float64),
            confidence=np.array([each.confidence for each in self.segments], np.float32),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """The R runs of equal states of a path: state int32 [R]; first row and row after the last, int64 [R]; mean score float64 [R]."""

    state: Int32
    first: Int64
    after: Int64
    score: Float64


def runs_of(states: Int32, scores: Float32) -> Runs:
    """Return the runs of a path. states: int32 [n]; scores: float32 [n], the score of each row in its state."""
    first = np.flatnonzero(np.diff(states, prepend=-1))
    after = np.append(first[1:], len(states))
    return Runs(state=states[first], first=first, after=after, score=np.add.reduceat(scores.astype(np.float64), first) / (after - first))


def segments_of(runs: Runs, graph: DecodingGraph, words: Sequence[Word]) -> tuple[tuple[Segment, ...], tuple[AlignedWord, ...]]:
    """Return the segments, pauses among them, and the words."""
    segments: list[Segment] = []
    spoken: list[AlignedWord] = []
    current: list[Segment] = []
    for state, first, after, score in zip(runs.state.tolist(), runs.first.tolist(), runs.after.tolist(), runs.score.tolist(), strict=True):
        word, phone = int(graph.word[state]), int(graph.phone[state])
        if current and (current[-1].word != word or phone < 0):
            spoken.append(_word(current, words))
            current = []
        start, end = max(first - 0.5, 0.0) / ROW_RATE, (after - 0.5) / ROW_RATE
        if phone >= 0:
            phoneme = words[word].phonemes[words[word].phones[phone].phoneme]
            current.append(
                Segment(ipa=phoneme, word=word, viseme=int(graph.column[state]), start=start, end=end, confidence=float(np.exp(score)))
            )
            segments.append(current[-1])
        elif graph.column[state] == SILENCE:
            segments.append(Segment(ipa="", word=-1, viseme=SILENCE, start=start, end=end, confidence=float(np.exp(score))))
    if current:
        spoken.append(_word(current, words))
    return tuple(segments), tuple(spoken)


def _word(segments: Sequence[Segment], words: Sequence[Word]) -> AlignedWord:
    lengths = np.array([each.end - each.start for each in segments])
    confidence = float(np.average([each.confidence for each in segments], weights=lengths))
    index = segments[0].word
    return AlignedWord(index=index, phonemes=words[index].phonemes, start=segments[0].start, end=segments[-1].end, confidence=confidence)
