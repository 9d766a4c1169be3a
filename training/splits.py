"""Split clips by person, so that nobody is evaluated with weights trained on them."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from heygem_daemon.lipsync.adaptation.clips import AvClip

SAME_PERSON: Final[Mapping[str, str]] = {"grid_bbaf2n": "grid_s1"}
"""Labels of the clips' files that mean the same person."""
HELD_OUT: Final = frozenset({"grid_s1"})
"""Never trained on: the speaker on whom transcripts are evaluated."""


def person_of(clip: AvClip) -> str:
    return SAME_PERSON.get(clip.person, clip.person)


def folds(clips: Sequence[AvClip], count: int) -> list[frozenset[str]]:
    """Split the persons into `count` groups of about equal length, always the same way."""
    frames = {person: sum(len(clip.times) for clip in clips if person_of(clip) == person) for person in sorted(map(person_of, clips))}
    groups: list[set[str]] = [set() for _ in range(count)]
    loads = np.zeros(count)
    for person in sorted(frames, key=lambda name: (-frames[name], name)):
        lightest = int(loads.argmin())
        groups[lightest].add(person)
        loads[lightest] += frames[person]
    return [frozenset(group) for group in groups]
