"""Convert phonemes in the International Phonetic Alphabet, as espeak-ng writes them, to visemes."""

import unicodedata
from collections.abc import Mapping
from typing import Final

from heygem_daemon.lipsync.motion import viseme_index

_LETTERS: Final[Mapping[str, str]] = {
    "PP": "pbmɓʙɸβ",
    "FF": "fvʋɱⱱ",
    "TH": "θð",
    "DD": "tdʈɖɗ",
    "kk": "kgɡɠqɢxɣχʁhɦħʕʔŋɴcɟçʝʜʀɰ",
    "CH": "ʃʒʂʐɕʑɧ",
    "SS": "szɬɮ",
    "nn": "nlɲɳɭʎɫʟɺ",
    "RR": "ɹɻrɾɽ",
    "aa": "aæɑɐʌɶ",
    "E": "eɛ",
    "ih": "iɪɨjɯɿ",
    "oh": "oɔɤɒ",
    "ou": "uʊwʉyʏøœɵɥʍ",
    "ax": "əɜɘɚɝɞ",
}
"""Viseme -> IPA letters without diacritics, by the place of articulation that a viewer sees."""

_VISEME: Final[Mapping[str, int]] = {letter: viseme_index(viseme) for viseme, letters in _LETTERS.items() for letter in letters}
_AFFRICATES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("tʃ", "dʒ", "tɕ", "dʑ", "tʂ", "dʐ", "ʈʂ", "ɖʐ"), "CH"),
    **dict.fromkeys(("ts", "dz"), "SS"),
}
_ASPIRATED: Final = frozenset("tkpcɕsʂ")
_LENGTH: Final = "ː"
_LONG: Final = 0.6
"""Relative duration that a length mark adds to a vowel."""


def visemes_of_ipa(ipa: str) -> list[tuple[int, float]]:
    """Return (index into VISEMES, relative duration) of one phoneme: a diphthong gives two, a pause or an unknown sign none.

    >>> visemes_of_ipa("aɪ")
    [(10, 1.0), (12, 1.0)]
    """
    if ipa.startswith("("):  # espeak-ng's mark of a change of language, e.g. "(en)"
        return []
    letters = "".join(sign for sign in unicodedata.normalize("NFD", ipa) if not unicodedata.combining(sign))
    found: list[tuple[int, float]] = []
    place = 0
    while place < len(letters):
        pair = letters[place : place + 2]
        if pair in _AFFRICATES:
            place += 2
            retroflex = letters[place : place + 1] == "."  # espeak-ng writes the zh and ch of pinyin "ts."
            found.append((viseme_index("CH" if retroflex else _AFFRICATES[pair]), 1.0))
            place += retroflex
            continue
        letter = letters[place]
        aspiration = letter == "h" and place > 0 and letters[place - 1] in _ASPIRATED
        if letter in _VISEME and not aspiration:
            found.append((_VISEME[letter], 1.0))
        elif letter == _LENGTH and found:
            found[-1] = (found[-1][0], found[-1][1] + _LONG)
        place += 1
    return found
