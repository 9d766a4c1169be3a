"""Synthetic posteriors: transcripts spoken at random lengths, with errors and noise."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.speech.transcript.espeak import pronounce
from heygem_daemon.lipsync.speech.transcript.words import Word

LESSON: Final = (
    "Hello there, this is the first lesson. We will talk about the moon, about people who went up there, and about maps. "
    "Please bring paper, pens and a map of Bombay."
)
OTHER: Final = (
    "Seven wizards quietly examine various strange objects behind the old church near our village every Friday. "
    "Nobody has ever asked them why, and they would hardly tell."
)
FRENCH: Final = (
    "Bonjour à tous, voici la première leçon. Nous parlerons de la lune et des gens qui y sont allés. Apportez du papier et une carte."
)


@dataclass(frozen=True, kw_only=True)
class SyntheticRecording:
    """posteriors: float32 [n, 16]; onsets: int [phones], the row at which each phone begins."""

    posteriors: np.ndarray
    onsets: np.ndarray


def words_of(text: str, voice: str = "en") -> list[Word]:
    return list(pronounce(text, voice))


def synthesise(words: list[Word], seed: int = 0, clarity: float = 3.0) -> SyntheticRecording:
    """Speak the words with pauses between clauses; about half of the rows have the wrong viseme on top at a clarity of 3."""
    order = np.random.default_rng(seed)
    labels, onsets = [0] * 25, []
    for word in words:
        if word.starts_clause:
            labels += [0] * int(order.integers(5, 30))
        for phone in word.phones:
            onsets.append(len(labels))
            labels += [phone.viseme] * max(1, int(order.normal(4 * phone.length, 1.2)))
    labels += [0] * 25
    sharp = np.eye(16)[labels]
    smooth = np.stack([np.convolve(column, [0.25, 0.5, 0.25], "same") for column in sharp.T], 1)
    return SyntheticRecording(posteriors=_odds(clarity * smooth + order.normal(0, 1.2, sharp.shape)), onsets=np.array(onsets))


def mumble(rows: int, seed: int = 1) -> np.ndarray:
    """Return the posteriors of speech in no transcript, float32 [rows, 16]: random visemes of random lengths."""
    order = np.random.default_rng(seed)
    labels = np.repeat(order.integers(1, 16, rows), order.integers(2, 6, rows))[:rows]
    return _odds(6.0 * np.eye(16)[labels] + order.normal(0, 1.2, (rows, 16)))


def _odds(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(odds / odds.sum(1, keepdims=True), np.float32)
