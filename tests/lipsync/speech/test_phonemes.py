"""Every phoneme of the International Phonetic Alphabet has a viseme."""

import unicodedata

import pytest

from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.phonemes import visemes_of_ipa
from tests.synthetic_speech import synthesise

SENTENCES = {
    "en-us": "The quick brown fox jumps over the lazy dog, and measures the joy of church music.",
    "de": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "fr": "Portez ce vieux whisky au juge blond qui fume, un bon vin blanc.",
    "es": "El veloz murciélago hindú comía feliz cardillo y kiwi; la cigüeña tocaba.",
    "it": "Quel vituperabile xenofobo zelante assaggia il whisky ed esclama: alleluja, gli gnomi!",
    "pt": "Luís argüia à Júlia que brações, fé, chá, óxido, pôr, zângão eram palavras.",
    "pl": "Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "cs": "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "ru": "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "cmn": "今天我们学习怎么做面包，请大家把书放在桌子上。",
    "ja": "いろはにほへと ちりぬるを",
    "sv": "Flygande bäckasiner söka hwila på mjuka tuvor, sju sjuka sköterskor.",
    "tr": "Pijamalı hasta yağız şoföre çabucak güvendi.",
    "vi": "Do bạch kim rất quý nên sẽ dùng để lắp vô xương.",
}


def named(ipa: str) -> list[tuple[str, float]]:
    return [(VISEMES[place], length) for place, length in visemes_of_ipa(ipa)]


@pytest.mark.parametrize(
    ("ipa", "visemes"),
    [
        *[(letter, ["PP"]) for letter in "pbm"],
        *[(letter, ["FF"]) for letter in "fv"],
        *[(letter, ["TH"]) for letter in "θð"],
        *[(letter, ["DD"]) for letter in "td"],
        *[(letter, ["kk"]) for letter in "kɡgŋhx"],
        *[(letter, ["CH"]) for letter in ("ʃ", "ʒ", "tʃ", "dʒ", "tɕ", "ʈʂ", "ts.")],
        *[(letter, ["SS"]) for letter in ("s", "z", "ts", "dz")],
        *[(letter, ["nn"]) for letter in "nl"],
        *[(letter, ["RR"]) for letter in "ɹrɾ"],
        *[(letter, ["aa"]) for letter in "aɑæʌ"],
        *[(letter, ["ou"]) for letter in "uʊwy"],
        ("ə", ["ax"]),
        ("aɪ", ["aa", "ih"]),
        ("oʊ", ["oh", "ou"]),
        ("ɔɪ", ["oh", "ih"]),
        ("eɪ", ["E", "ih"]),
        ("aɪə", ["aa", "ih", "ax"]),
        ("ˈa", ["aa"]),
        ("ˌmː", ["PP"]),
        ("ɔ̃", ["oh"]),
        ("õ", ["oh"]),
        ("tʰ", ["DD"]),
        ("ph", ["PP"]),
        ("tʲ", ["DD"]),
        ("p.", ["PP"]),
    ],
)
def test_a_phoneme_looks_like_its_place_of_articulation(ipa: str, visemes: list[str]) -> None:
    assert [name for name, _ in named(ipa)] == visemes


@pytest.mark.parametrize("ipa", ["", "_", "_:", "|", "ˈ", "(en)", "(fr)", "?", "7"])
def test_a_pause_a_mark_or_an_unknown_sign_has_no_viseme(ipa: str) -> None:
    assert visemes_of_ipa(ipa) == []


def test_a_long_vowel_is_longer_than_a_short_one() -> None:
    assert named("a") == [("aa", 1.0)]
    assert named("aː") == [("aa", 1.6)]
    assert named("ɔːɪ") == [("oh", 1.6), ("ih", 1.0)]


def test_a_length_mark_alone_is_nothing() -> None:
    assert visemes_of_ipa("ː") == []


@pytest.mark.parametrize("voice", SENTENCES)
def test_every_phoneme_of_a_language_has_a_viseme(voice: str) -> None:
    _, phones = synthesise(SENTENCES[voice], voice)
    spoken = {phone.ipa for phone in phones if any(unicodedata.category(sign) == "Ll" for sign in phone.ipa)}
    assert len(spoken) > 9
    assert {ipa for ipa in spoken if not visemes_of_ipa(ipa)} == set()
