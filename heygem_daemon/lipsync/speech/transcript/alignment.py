"""When which sound of a script is spoken."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Int32, Int64
from heygem_daemon.lipsync.speech.transcript.graph import SILENCE, Chain
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
    """One spoken word: `index` counts the words of the script (left out ones are not here). start, end: s. confidence: 0-1."""

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
    """The script along the recording. Segments are in order and do not overlap; where there is none, something else is heard.

    language: espeak-ng's name of the voice. coverage: share of the script's words that are spoken. margin: how much better than wrong
    scripts this one explains the sound, in natural logarithms of odds per row of speech. confidence: mean of the words', 0-1.
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
        return Columns(
            viseme=np.array([each.viseme for each in self.segments], np.int32),
            start=np.array([each.start for each in self.segments], np.float64),
            end=np.array([each.end for each in self.segments], np.float64),
            confidence=np.array([each.confidence for each in self.segments], np.float32),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """The runs of equal states of a path: state int32 [R], first and after int64 [R] rows, gain float64 [R] the mean score of its rows."""

    state: Int32
    first: Int64
    after: Int64
    gain: Float64


def runs_of(states: Int32, gains: Float32) -> Runs:
    """gains: float32 [n], the score of each row in its state."""
    first = np.flatnonzero(np.diff(states, prepend=-1))
    after = np.append(first[1:], len(states))
    return Runs(state=states[first], first=first, after=after, gain=np.add.reduceat(gains.astype(np.float64), first) / (after - first))


def segments_of(runs: Runs, chain: Chain, words: Sequence[Word]) -> tuple[tuple[Segment, ...], tuple[AlignedWord, ...]]:
    """Return the segments, pauses among them, and the words."""
    segments: list[Segment] = []
    spoken: list[AlignedWord] = []
    held: list[Segment] = []
    for state, first, after, gain in zip(runs.state.tolist(), runs.first.tolist(), runs.after.tolist(), runs.gain.tolist(), strict=True):
        word, sound = int(chain.word[state]), int(chain.sound[state])
        if held and (held[-1].word != word or sound < 0):
            spoken.append(_word(held, words))
            held = []
        start, end = max(first - 0.5, 0.0) / ROW_RATE, (after - 0.5) / ROW_RATE
        if sound >= 0:
            phoneme = words[word].phonemes[words[word].sounds[sound].phoneme]
            held.append(
                Segment(ipa=phoneme, word=word, viseme=int(chain.column[state]), start=start, end=end, confidence=float(np.exp(gain)))
            )
            segments.append(held[-1])
        elif chain.column[state] == SILENCE:
            segments.append(Segment(ipa="", word=-1, viseme=SILENCE, start=start, end=end, confidence=float(np.exp(gain))))
    if held:
        spoken.append(_word(held, words))
    return tuple(segments), tuple(spoken)


def _word(segments: Sequence[Segment], words: Sequence[Word]) -> AlignedWord:
    lengths = np.array([each.end - each.start for each in segments])
    confidence = float(np.average([each.confidence for each in segments], weights=lengths))
    index = segments[0].word
    return AlignedWord(index=index, phonemes=words[index].phonemes, start=segments[0].start, end=segments[-1].end, confidence=confidence)
