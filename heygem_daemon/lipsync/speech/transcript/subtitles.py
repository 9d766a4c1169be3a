"""Take the spoken words out of subtitles (SubRip, WebVTT, SBV, SubStation Alpha) and of texts with time stamps (LRC and others).

Every pattern has bounded repetition: the time is linear in the length of the text, whatever stands in it.
"""

import html
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

_TIME: Final = r"\d{1,3}:\d{2}(?::\d{2})?[.,]\d{1,3}"
_CUE: Final = re.compile(rf"\s{{0,9}}{_TIME}(?:[ \t]{{1,9}}-->[ \t]{{1,9}}|,){_TIME}")
"""The line before the words of a cue: "00:01.000 --> 00:02.500", of SBV "0:00:01.000,0:00:02.500"."""
_STAMPS: Final = re.compile(r"(?:\s{0,9}[\[(]\d{1,3}:\d{2}(?::\d{2})?(?:[.:,]\d{1,3})?[\])])+")
"""Time stamps in front of a line: "[00:12.30]", "(0:12)"."""
_LRC_HEADER: Final = re.compile(r"\[(?:ar|ti|al|au|by|offset|length|re|ve|la|id|tool)\s{0,3}:.*\]\s*", re.IGNORECASE)

_TAG: Final = re.compile(r"<[^<>\n]{0,200}>")
_OVERRIDE: Final = re.compile(r"\{\\[^{}\n]{0,500}\}")
_NOT_SPOKEN: Final = re.compile(r"\[[^\[\]\n]{0,200}\]|[♪♫♩♬]")
"""Descriptions for people who do not hear ("[music]")."""
_SPEAKER_MARK: Final = re.compile(r"\s{0,9}(?:>>>?|[-–—])(?=\s)")
"""In front of the words of another speaker."""

_DRAWING: Final = re.compile(r"\{[^{}\n]{0,500}\\p[1-9]")
_FIELDS_BEFORE_TEXT: Final = 9
"""Of a line `Dialogue: ` in SubStation Alpha (v4 and v4+)."""


def spoken_words(text: str) -> str:
    """Return the words of subtitles, a line of theirs each, without timing, numbers and tags; a text that is no subtitles as it is."""
    lines = text.splitlines()
    if any(_CUE.match(line) for line in lines):
        return _join(_cue_lines(lines))
    if any(line.startswith("Dialogue:") for line in lines) and "[Events]" in text:
        return _join(_dialogue_lines(lines))
    if any(_STAMPS.match(line) for line in lines):
        return _join(_TAG.sub("", _STAMPS.sub("", line, count=1)) for line in lines if not _LRC_HEADER.fullmatch(line))
    return text


def _join(lines: Iterable[str]) -> str:
    """Return the lines as text; those that follow themselves (captions that roll up repeat each line) are taken once."""
    plain = (line.strip() for line in lines)
    return "\n".join(line for line, _ in groupby(line for line in plain if line))


def _cue_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines between the timing of each cue and the next blank line; what stands elsewhere are numbers, notes and styles."""
    cue: list[str] = []
    is_cue = False
    for line in lines:
        if _CUE.match(line):
            yield from cue[:-1] if cue and cue[-1].strip().isdecimal() else cue  # the number of a cue without a blank line in front
            cue, is_cue = [], True
        elif not line.strip():
            yield from cue
            cue, is_cue = [], False
        elif is_cue:
            cue.append(_without_markup(line))
    yield from cue


def _dialogue_lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        fields = line.split(",", _FIELDS_BEFORE_TEXT)
        if line.startswith("Dialogue:") and len(fields) > _FIELDS_BEFORE_TEXT and not _DRAWING.search(fields[-1]):
            yield _without_markup(re.sub(r"\\[Nnh]", " ", fields[-1]))


def _without_markup(line: str) -> str:
    plain = html.unescape(_OVERRIDE.sub("", _TAG.sub("", line)))
    return _SPEAKER_MARK.sub("", _NOT_SPOKEN.sub(" ", plain), count=1)
