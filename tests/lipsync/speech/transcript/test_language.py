"""The language of a text and its espeak-ng voice are found."""

import pytest

from heygem_daemon.lipsync.speech.transcript.espeak import has_voice
from heygem_daemon.lipsync.speech.transcript.language import MANDARIN, detected, find_voice, voices_of


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Welcome to lesson one.", "en"),
        ("Guten Tag, wie geht es Ihnen?", "de"),
        ("Je ne sais pas.", "fr"),
        ("Hola, buenos días a todos", "es"),
        ("Buongiorno a tutti, oggi parliamo della luna", "it"),
        ("Olá, tudo bem com você?", "pt"),
        ("Goedemorgen, vandaag praten we over de maan", "nl"),
        ("Dzień dobry państwu", "pl"),
        ("Привет, как у вас дела сегодня?", "ru"),
        ("今天天气很好", "zh"),
        ("東京へ行きます", "ja"),
        ("안녕하세요 여러분", "ko"),
        ("مرحبا بكم في الدرس الأول", "ar"),
        ("आज हम चाँद के बारे में बात करेंगे", "hi"),
        ("Καλημέρα σε όλους", "el"),
        ("שלום לכולם", "he"),
        ("สวัสดีครับทุกคน", "th"),
    ],
)
def test_a_language_is_known_by_a_few_words(text: str, code: str) -> None:
    assert detected(text)[0] == code


def test_a_text_without_letters_has_no_language() -> None:
    assert detected("1, 2, 3 ...") == []
    assert find_voice("...", None, has_voice) is None


def test_codes_in_any_notation_find_the_voice() -> None:
    assert list(voices_of("pt_BR")) == ["pt-br", "pt"]
    assert list(voices_of("zh-Hans-CN")) == [MANDARIN]
    assert list(voices_of("deu")) == ["de"]
    assert list(voices_of("../../etc")) == []


def test_the_voice_is_one_that_espeak_has() -> None:
    assert find_voice("Guten Tag, wie geht es Ihnen?", None, has_voice) == "de"
    assert find_voice("Guten Tag", "en-GB", has_voice) == "en-gb"
    assert find_voice("你好", "zh-CN", has_voice) == MANDARIN
    assert find_voice("Hello", "tlh-x", has_voice) is None
