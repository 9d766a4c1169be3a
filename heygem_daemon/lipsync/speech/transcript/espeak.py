"""Convert text to phonemes with the espeak-ng of the system, as a process of its own (it is under the GPL, and never linked)."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.speech.transcript.language import MANDARIN
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem
from heygem_daemon.lipsync.speech.transcript.words import Word
from heygem_daemon.media.run import capture
from heygem_daemon.media.tool_ends import Completed

Command = tuple[str, ...]

_SECONDS: Final = 30.0
"""Time limit of one process: some fifty times what it needs for a piece."""
_PIECE: Final = 4000
"""Letters for one process: espeak-ng takes some ms to start and some hundred ms for this many."""
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…।؟。！？；;])\s*|\n\s*\n")
_BREAK: Final = re.compile(r"[\s,，、:：]")
_LANGUAGE_MARK: Final = re.compile(r"\([a-z-]+\)")
_STRESS: Final = str.maketrans("", "", "ˈˌ")
_TONES: Final = re.compile(r"(?<=.)[ɜ0-9]+$")
_TONAL: Final = frozenset({"cmn", "yue", "hak", "vi", "th", "my", "shn", "pa"})
LATIN_WORD: Final = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’.-][A-Za-zÀ-ɏ]+)*")
HAN: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_ENGLISH: Final = "en"


def phonemes_command(voice: str) -> Command:
    """Return the command that reads UTF-8 text from standard input and prints IPA: a line for each clause, phonemes joined by "_"."""
    return ("espeak-ng", "-q", "--ipa", "--sep=_", "--stdin", "-b", "1", "-v", voice)


def has_voice(voice: str) -> bool:
    """Return whether espeak-ng has this voice. Raises TranscriptProblem (`script_without_espeak`) where it is missing or is killed."""
    return _run(voice, "").code == 0


def require_working() -> None:
    """Read an English word. Raises TranscriptProblem (`script_without_espeak`) where that is not possible either, as the files of its
    voices are missing: before a verdict on a script, that its language is unknown or that it has no words."""
    done = _run(_ENGLISH, "one")
    if done.code != 0 or not done.stdout.strip():
        raise TranscriptProblem(WarningCode.SCRIPT_WITHOUT_ESPEAK)


def pronounce(text: str, voice: str) -> Iterator[Word]:
    """Yield the words of a text, with their phonemes, as `voice` reads it."""
    for piece in pieces(text):
        if voice == MANDARIN and HAN.search(text):
            yield from _pronounce_mixed(piece)
        else:
            yield from parse(_phonemes_of(piece.translate(_unreadable(voice)), voice), voice)


def pieces(text: str, limit: int = _PIECE) -> Iterator[str]:
    """Cut a text at the ends of sentences into pieces of at most `limit` letters; without sentences, anywhere between words."""
    piece = ""
    for sentence in _SENTENCE_END.split(text):
        for part in _split_long(" ".join(sentence.split()), limit):
            if piece and len(piece) + len(part) + 1 > limit:
                yield piece
                piece = ""
            piece = f"{piece}\n{part}" if piece else part
    if piece:
        yield piece


def _split_long(sentence: str, limit: int) -> Iterator[str]:
    while len(sentence) > limit:
        cuts = [found.end() for found in _BREAK.finditer(sentence, 0, limit)]
        cut = cuts[-1] if cuts else limit
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence


def parse(printed: str, voice: str) -> Iterator[Word]:
    """Yield the words in the output of espeak-ng. Marks of stress, tone and change of language are no phonemes."""
    is_tonal = voice.partition("-")[0] in _TONAL
    for clause in printed.splitlines():
        starts = True
        for group in clause.split():
            phonemes = [each.translate(_STRESS) for each in _LANGUAGE_MARK.sub("_", group).split("_")]
            if is_tonal:
                phonemes = [_TONES.sub("", each) for each in phonemes]
            word = Word.of([each for each in phonemes if each.strip("-")], starts_clause=starts)
            if word.phones:
                yield word
                starts = False


def _pronounce_mixed(text: str) -> Iterator[Word]:
    """Yield the words of Chinese with Latin words in it: those would be read as pinyin, so an English voice reads them."""
    place = 0
    english: dict[str, list[Word]] = {}
    for found in LATIN_WORD.finditer(text):
        yield from parse(_phonemes_of(text[place : found.start()], MANDARIN), MANDARIN)
        if found.group() not in english:
            english[found.group()] = list(parse(_phonemes_of(found.group(), _ENGLISH), _ENGLISH))
        yield from english[found.group()]
        place = found.end()
    yield from parse(_phonemes_of(text[place:], MANDARIN), MANDARIN)


@cache
def _unreadable(voice: str) -> dict[int, str]:
    """Return a translation of the characters that a voice reads as "Chinese letter": espeak-ng knows only the kana of Japanese."""
    return dict.fromkeys([*range(0x3400, 0xA000), *range(0xF900, 0xFB00)], " ") if voice == "ja" else {}


def _phonemes_of(text: str, voice: str) -> str:
    if not text.strip():
        return ""
    done = _run(voice, text)
    if done.code != 0:
        require_working()
        raise TranscriptProblem(WarningCode.SCRIPT_LANGUAGE_UNKNOWN)
    return done.stdout.decode("utf-8", "replace")


def _run(voice: str, text: str) -> Completed:
    try:
        return capture(phonemes_command(voice), seconds=_SECONDS, stdin=text.encode("utf-8", "replace"))
    except HeygemError as problem:
        raise TranscriptProblem(WarningCode.SCRIPT_WITHOUT_ESPEAK) from problem
