"""Represent the words of a transcript as visemes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from heygem_daemon.lipsync.speech.phonemes import visemes_of_ipa


@dataclass(frozen=True, kw_only=True, slots=True)
class Phone:
    """One viseme of a word. length: relative to a typical one; phoneme: place of its phoneme in the word (a diphthong has two visemes)."""

    viseme: int
    length: float
    phoneme: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word as espeak-ng pronounces it. starts_clause: whether it is the first after a comma, a full stop or a line break."""

    phonemes: tuple[str, ...]
    phones: tuple[Phone, ...]
    starts_clause: bool

    @classmethod
    def of(cls, phonemes: Iterable[str], *, starts_clause: bool) -> Self:
        listed = tuple(phonemes)
        phones = tuple(
            Phone(viseme=viseme, length=length, phoneme=place) for place, ipa in enumerate(listed) for viseme, length in visemes_of_ipa(ipa)
        )
        return cls(phonemes=listed, phones=phones, starts_clause=starts_clause)
