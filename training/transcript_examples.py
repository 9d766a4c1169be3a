"""Examples from clips whose words are known, so that the transcript mappers are trained on real alignments."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.finetune import Example, with_posteriors
from heygem_daemon.lipsync.speech.transcript import align, blend_posteriors

_GRID: Final[tuple[Mapping[str, str], ...]] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvwxyz"},
    dict(zip("z123456789", ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), strict=True)),
    {"n": "now", "a": "again", "p": "please", "s": "soon"},
)
"""GRID's sentences are six words, and its files are named by a sign of each (Cooke, Barker, Cunningham and Shao 2006)."""
_SIGNS: Final = re.compile(r"(?:^|_)([blps][bgrw][abiw][a-z][z1-9][naps])$")


def words_of(clip: AvClip) -> str | None:
    """Return the words spoken in a clip of the GRID corpus, None for another clip.

    >>> words_of(clip)  # called grid_s31_lgbj5a
    'lay green by j five again'
    """
    signs = _SIGNS.search(clip.name)
    return " ".join(words[sign] for words, sign in zip(_GRID, signs.group(1), strict=True)) if signs else None


def transcript_examples(clips: Sequence[AvClip], examples: Sequence[Example]) -> list[Example]:
    """Return one more example for every clip whose words are known and found in its audio: with the posteriors that a transcript gives.

    examples: of the same clips as they are (not augmented), one each, in the same order.
    """
    made = []
    for clip, example in zip(clips, examples, strict=True):
        words = words_of(clip)
        if words is None:
            continue
        posteriors = example.acoustic.posteriors
        alignment = align(words, "en", [posteriors]).alignment
        if alignment is not None:
            rows = np.asarray(blend_posteriors(posteriors, alignment, 0), np.float32)
            made.append(with_posteriors(example, rows))
    return made
