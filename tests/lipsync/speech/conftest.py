"""Synthetic speech with known phoneme times, and the shipped weights."""

from dataclasses import dataclass

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.scores import is_shut
from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.speech.model import PhoneticModel, load
from heygem_daemon.lipsync.speech.phonemes import visemes_of_ipa
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import shipped_weights
from tests.synthetic_speech import synthesise
from training.utterance import Phone

TEXT = (
    "My brother Peter bought a map of Bombay. Please open the big box in the middle of the room, and bring me a cup of black pepper."
    " People may remember the lamp that Mary put above the piano. Maybe we will climb up the mountain tomorrow, before the boat comes back."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spoken:
    """text; wave: float32 [n], 16 kHz; phones: each phoneme with its start and end."""

    text: str
    wave: np.ndarray
    phones: list[Phone]

    def closures_met(self, times: np.ndarray, opening: np.ndarray) -> float:
        """Return the fraction of p, b and m at which (+-40 ms) the lips are shut. times: float64 [T], s."""
        lips = [p for p in self.phones if (visemes_of_ipa(p.ipa) or [(0, 1.0)])[0][0] == viseme_index("PP")]
        assert len(lips) > 15
        shut = times[is_shut(opening)]
        return float(np.mean([((shut > p.start - 0.04) & (shut < p.end + 0.04)).any() for p in lips]))


@pytest.fixture(scope="session")
def spoken() -> Spoken:
    """Some 13 s of English, full of p, b and m: two windows of the driver hold them."""
    wave, phones = synthesise(TEXT, "en-us", rate=185)
    assert len(wave) > 12 * 16000
    return Spoken(text=TEXT, wave=wave, phones=phones)


@pytest.fixture(scope="session")
def model() -> PhoneticModel:
    """The weights that are shipped."""
    return load(shipped_weights())


@pytest.fixture(scope="session")
def driver(model: PhoneticModel) -> PhoneticDriver:
    return PhoneticDriver(model)
