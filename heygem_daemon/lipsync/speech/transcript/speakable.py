"""Decide whether the words of a script can be spoken in a recording at all, before anything is spent on them.

A script of which less than match.COVERAGE is spoken is never used. The limits are what fast speech has, divided by that: a script beyond
them could not be found in its recording however it is read, so the cost of a script is bounded by the length of the recording.
"""

import unicodedata
from typing import Final

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.speech.transcript.espeak import HAN, LATIN_WORD
from heygem_daemon.lipsync.speech.transcript.match import COVERAGE
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem

SIGNS_PER_SECOND: Final = 20 / COVERAGE
WORDS_PER_SECOND: Final = 5 / COVERAGE
PHONES_PER_SECOND: Final = 25 / COVERAGE
LATIN_PER_SECOND: Final = 1 / COVERAGE
"""Of fast speech: signs without spaces, words (300 a minute), phones, and Latin words among Chinese (each costs two processes), divided by
the fraction that has to be found."""
MORE_SIGNS: Final = 2000
MORE_WORDS: Final = 400
MORE_PHONES: Final = 3000
MORE_LATIN: Final = 50
"""What any script may have beyond that, however short its recording: headings, notes, a ruler of dashes."""
LONGEST_STACK: Final = 30
"""Combining marks on one letter; Unicode's Stream-Safe Text Format (UAX 15, section 13) has no more."""


def require_speakable_text(text: str, seconds: float) -> None:
    """Raise TranscriptProblem (`script_too_long`) where a text has far more words or signs than `seconds` of speech."""
    written = text.split()
    latin = sum(1 for _ in LATIN_WORD.finditer(text)) if HAN.search(text) else 0
    if (
        sum(map(len, written)) > seconds * SIGNS_PER_SECOND + MORE_SIGNS
        or len(written) > seconds * WORDS_PER_SECOND + MORE_WORDS
        or latin > seconds * LATIN_PER_SECOND + MORE_LATIN
    ):
        raise TranscriptProblem(WarningCode.SCRIPT_TOO_LONG)


def require_speakable_phones(phones: int, seconds: float) -> None:
    """Raise TranscriptProblem (`script_too_long`) where there are far more phones than `seconds` of speech has: numbers are short."""
    if phones > seconds * PHONES_PER_SECOND + MORE_PHONES:
        raise TranscriptProblem(WarningCode.SCRIPT_TOO_LONG)


def without_stacks(text: str) -> str:
    """Return a text in which no letter has more than LONGEST_STACK combining marks: their order takes the square of their number."""
    if text.isascii():
        return text
    kept: list[str] = []
    height = 0
    for sign in text:
        height = height + 1 if unicodedata.combining(sign) else 0
        if height <= LONGEST_STACK:
            kept.append(sign)
    return "".join(kept)


__all__ = ["require_speakable_phones", "require_speakable_text", "without_stacks"]
