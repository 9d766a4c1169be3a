"""Choose the espeak-ng voice that reads a script."""

import re
from collections.abc import Callable, Iterator
from typing import Final

import py3langid

MANDARIN: Final = "cmn-latn-pinyin"
"""Reads Chinese characters and pinyin. espeak-ng's plain `cmn` spells most characters (and all pinyin) in English."""

_VOICES: Final = {
    "zh": MANDARIN,
    "cmn": MANDARIN,
    "wuu": MANDARIN,  # detectors confuse the two in writing
    "zh-yue": "yue",
    "zh-hk": "yue",
    "no": "nb",
    "nn": "nb",
    "iw": "he",
    "in": "id",
    "pcm": "en",
}
"""Language codes that espeak-ng knows by another name."""

_THREE_LETTERS: Final = {
    "ara": "ar",
    "bul": "bg",
    "cat": "ca",
    "ces": "cs",
    "cze": "cs",
    "chi": "zh",
    "zho": "zh",
    "dan": "da",
    "deu": "de",
    "ger": "de",
    "ell": "el",
    "gre": "el",
    "eng": "en",
    "spa": "es",
    "est": "et",
    "fas": "fa",
    "per": "fa",
    "fin": "fi",
    "fra": "fr",
    "fre": "fr",
    "heb": "he",
    "hin": "hi",
    "hrv": "hr",
    "hun": "hu",
    "ind": "id",
    "ita": "it",
    "jpn": "ja",
    "kor": "ko",
    "lit": "lt",
    "lav": "lv",
    "nld": "nl",
    "dut": "nl",
    "nob": "nb",
    "nor": "nb",
    "pol": "pl",
    "por": "pt",
    "ron": "ro",
    "rum": "ro",
    "rus": "ru",
    "slk": "sk",
    "slo": "sk",
    "slv": "sl",
    "srp": "sr",
    "swe": "sv",
    "tam": "ta",
    "tha": "th",
    "tur": "tr",
    "ukr": "uk",
    "urd": "ur",
    "vie": "vi",
}
"""ISO 639-2 and -3 codes of some large languages; espeak-ng goes by the two letters of ISO 639-1 where there are any."""

_SAMPLE: Final = 20_000
_CODE: Final = re.compile(r"[a-z]{2,8}(?:-[a-z0-9]{1,12}){0,3}")
_CHOICES: Final = 5


def voices_of(language: str) -> Iterator[str]:
    """Yield the names under which espeak-ng may know a language, the closest first: "pt-PT" -> "pt-pt", "pt"; "zh-CN" -> MANDARIN."""
    code = language.strip().lower().replace("_", "-")
    if not _CODE.fullmatch(code):
        return
    primary, dash, rest = code.partition("-")
    code = _THREE_LETTERS.get(primary, primary) + dash + rest
    prefixes = [code]
    while "-" in prefixes[-1]:
        prefixes.append(prefixes[-1].rpartition("-")[0])
    renamed = next((_VOICES[each] for each in prefixes if each in _VOICES), None)
    yield from prefixes if renamed is None else [renamed]


def find_voice(text: str, language: str | None, has_voice: Callable[[str], bool]) -> str | None:
    """Return the voice for the language given, else for the one the text looks most like; None where espeak-ng has none."""
    languages = [language] if language else detected(text)
    return next((voice for each in languages for voice in voices_of(each) if has_voice(voice)), None)


def detected(text: str) -> list[str]:
    """Return ISO 639-1 codes, the likeliest first; nothing for a text without letters."""
    sample = text[:_SAMPLE]
    if not any(sign.isalpha() for sign in sample):
        return []
    return [str(code) for code, _ in py3langid.rank(sample)[:_CHOICES]]
