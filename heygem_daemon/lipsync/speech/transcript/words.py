"""The words of a script as sounds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from heygem_daemon.lipsync.speech.phonemes import visemes_of_ipa


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """One viseme of a word: `length` relative to a typical one; `phoneme` is its phoneme's place in the word (a diphthong has two)."""

    viseme: int
    length: float
    phoneme: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word as espeak-ng pronounces it. starts_clause: the first one after a comma, a full stop, a line."""

    phonemes: tuple[str, ...]
    sounds: tuple[Sound, ...]
    starts_clause: bool

    @classmethod
    def of(cls, phonemes: Iterable[str], *, starts_clause: bool) -> Self:
        listed = tuple(phonemes)
        sounds = tuple(
            Sound(viseme=viseme, length=length, phoneme=place) for place, ipa in enumerate(listed) for viseme, length in visemes_of_ipa(ipa)
        )
        return cls(phonemes=listed, sounds=sounds, starts_clause=starts_clause)
