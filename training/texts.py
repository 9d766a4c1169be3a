"""Sentences for the synthetic voices: those of Debian's `fortunes` packages, and syllables where there is no such package."""

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

FORTUNES: Final = Path("/usr/share/games/fortunes")
_FILES: Final[Mapping[str, str]] = {
    "en": "[a-z]*",
    "de": "de/*",
    "es": "es/*",
    "it": "it/*",
    "cs": "cs/*",
    "pl": "pl/*",
    "ru": "ru/*",
    "pt": "brasil",
    "cmn": "chinese",
}
_NOT_ENGLISH: Final = frozenset({"brasil", "chinese", "song100", "tang300", "ascii-art", "translate-me", "debian-hints"})
_SYLLABLES: Final[Mapping[str, tuple[str, str, str]]] = {
    "fr": ("b p m f v d t n l g c ch j r s z br pl tr", "a e é è i o ou u an on in eu oi ai", " s r l"),
    "nl": ("b p m f v d t n l g k h j r s z w sch", "a e i o u aa ee oo uu ij ui oe ei", " n r s t l"),
    "sv": ("b p m f v d t n l g k h j r s sk", "a e i o u å ä ö y", " n r s t l"),
    "fi": ("p m v d t n l k h j r s", "a e i o u ä ö y aa ee ii uu ai oi ie", " n s t"),
    "tr": ("b p m f v d t n l g k h y r s z ş ç c", "a e ı i o ö u ü", " n r l k m"),
    "id": ("b p m d t n l g k h j r s w y ng ny", "a e i o u", " n r s ng k"),
    "vi": ("b ph m đ t th n l g kh h ch r s x v ng nh tr", "a á à ạ ê ơ i o ô u ư ao ia ươ", " n ng m t"),
}
"""Beginnings, middles and ends of made-up syllables. Their words mean nothing, but have the phonemes of the language."""
_KANA: Final = (
    "あいうえおかきくけこがぎぐげごさしすせそざじずぜぞたちつてとだでどなにぬねのはひ"
    "ふへほばびぶべぼぱぴぷぺぽまみむめもやゆよらりるれろわん"
)
_INITIALS: Final = "b p m f d t n l g k h j q x zh ch sh r z c s"
_AFTER: Final[Mapping[str, str]] = {
    "jqx": "i ia ie iao iu ian in iang ing u ue uan un",
    "bpmf": "a ai ei ao an en ang eng u",
    "": "a ai ao an en ang eng ou u uo uan un ong",
}
_FREQUENT: Final = (
    "de shi yi bu wo le ren zai you ta zhe zhong da lai shang guo ge dao shuo men wei zi he ni di chu"
    " dui sheng neng er yu na zuo hao ma mei fa"
)
_WORDS: Final = (4, 16)


def sentences(language: str, seed: int = 0) -> list[str]:
    """Return sentences to speak, in a fixed order for a seed. Raises FileNotFoundError where the language's package is missing.

    language: a key of the tables above, or "cmn-latn-pinyin".
    """
    rng = random.Random(f"{language} {seed}")  # noqa: S311  (sampling)
    if language == "cmn-latn-pinyin":
        return [_pinyin(rng) for _ in range(1500)]
    if language == "ja":
        return [" ".join("".join(rng.choices(_KANA, k=rng.randint(2, 5))) for _ in range(rng.randint(4, 8))) for _ in range(800)]
    if language in _SYLLABLES:
        return [_made_up(rng, *_SYLLABLES[language]) for _ in range(800)]
    found = sorted(set(_fortunes(language)))
    if not found:
        raise FileNotFoundError(f"no sentences for {language}: is the Debian package of fortunes installed?")
    rng.shuffle(found)
    return found


def _fortunes(language: str) -> Iterator[str]:
    for path in sorted(FORTUNES.glob(_FILES[language])):
        if path.suffix in {".dat", ".u8"} or path.is_dir() or (language == "en" and (path.name in _NOT_ENGLISH or path.is_symlink())):
            continue
        text = path.read_text("utf-8", errors="ignore")
        yield from (_chinese if language == "cmn" else _spaced)(text)


def _spaced(text: str) -> Iterator[str]:
    """Yield the sentences of a text whose words are letters."""
    for part in re.split(r"[.!?%:;\n]{1,2}\s*(?=[A-ZА-ЯŁŚŻČŘŠŽÁÉÍÓÚ%]|$)", text):
        sentence = re.sub(r"\s+", " ", re.sub(r"[^\w', ]+", " ", part)).strip(" ,'")
        words = sentence.split()
        letters = sum(sign.isalpha() or sign in " ,'" for sign in sentence)
        if _WORDS[0] <= len(words) <= _WORDS[1] and letters == len(sentence) and not sentence.isupper():
            yield sentence


def _chinese(text: str) -> Iterator[str]:
    for part in re.split(r"[。！？；%\n]+", text):
        if re.fullmatch(r"[\u4e00-\u9fff，、]{6,40}", part.strip()):
            yield part.strip()


def _made_up(rng: random.Random, beginnings: str, middles: str, ends: str) -> str:
    def syllable() -> str:
        end = rng.choice(ends.split(" ")) if rng.random() < 0.4 else ""
        return rng.choice(beginnings.split()) + rng.choice(middles.split()) + end

    return " ".join("".join(syllable() for _ in range(rng.randint(1, 4))) for _ in range(rng.randint(5, 12)))


def _pinyin(rng: random.Random) -> str:
    """Return a line of pinyin with tone digits; espeak-ng's `cmn-latn-pinyin` reads them as tones."""

    def syllable() -> str:
        if rng.random() < 0.35:
            return rng.choice(_FREQUENT.split())
        initial = rng.choice(_INITIALS.split())
        finals = next(finals for starts, finals in _AFTER.items() if not starts or initial in starts)
        return initial + rng.choice(finals.split())

    return " ".join(syllable() + str(rng.choice((1, 2, 3, 4, 4, 5))) for _ in range(rng.randint(6, 15)))
