"""A handful of utterances, spoken by espeak-ng alone: the only voice that every machine has."""

import pytest

from tests.synthetic_speech import synthesise
from training.utterance import Utterance, utterance

SENTENCES = (
    ("en-us", "en", "The boat came back before the morning."),
    ("en-us+m1", "en", "Maybe she will open the big blue box."),
    ("de+f1", "de", "Am Abend kommen alle Boote zurück."),
    ("es", "es", "El barco vuelve por la mañana."),
    ("en-us+m3", "en", "People remember what they like best."),  # a voice that is held out
    ("tr", "tr", "Sabah erken kalkan yol alır."),  # a language that is held out
)


def say(voice: str, language: str, text: str) -> Utterance:
    wave, phones = synthesise(text, voice)
    return utterance(wave, phones, language=language, voice=voice.partition("+")[2] or "base")


@pytest.fixture(scope="session")
def small_corpus() -> list[Utterance]:
    return [say(*each) for each in SENTENCES]
