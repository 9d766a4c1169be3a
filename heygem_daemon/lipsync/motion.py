"""The motion of a mouth, independent of head pose and person: a driver predicts it, a renderer draws it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from heygem_daemon.lipsync.arrays import Bool, Float32, Float64

VISEMES: Final = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou", "ax")
"""The 15 visemes of MPEG-4 / Oculus in their usual order, and the neutral vowel as a sixteenth."""


def viseme_index(name: str) -> int:
    """Return the column of the viseme `name` in VISEMES."""
    return VISEMES.index(name)


_SILENT: Final = viseme_index("sil")
_HALF: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class MouthMotion:
    """The motion of a mouth at T frame times, independent of head pose and person.

    times:        float64 [T], s from the start of the recording
    opening:      float32 [T], lip opening as a fraction of the person's range: 0 = lips meet, 1 = the widest of normal speech
    width:        float32 [T], mouth width as a fraction of the person's range: 0 = rounded, .5 = rest, 1 = spread
    visemes:      float32 [T, 16], weights in the order of VISEMES, each row sums to 1
    lips:         float32 [T, 40, 3] or None: displacement of the lip landmarks (geometry.landmarks.LIPS, ascending index) from rest,
                  in canonical units (outer eye corners 1 apart); where given it replaces opening and width; renderers need not use depth
    mouth_images: float32 [T, h, w, 3] or None: the mouth as the driver generated it, 0-255, blue first, for renderers that paste it
    confidence:   float32 [T] or None: the driver's own confidence in this motion, 0-1
    """

    times: Float64
    opening: Float32
    width: Float32
    visemes: Float32
    lips: Float32 | None = None
    mouth_images: Float32 | None = None
    confidence: Float32 | None = None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def is_speech(self) -> Bool:
        """bool [T]: where the driver hears speech: silence has less than half of the weight."""
        return np.asarray(self.visemes[:, _SILENT] < _HALF)

    def __getitem__(self, rows: slice) -> Self:
        """Return the frame times `rows`; the arrays are views."""
        return replace(
            self,
            times=self.times[rows],
            opening=self.opening[rows],
            width=self.width[rows],
            visemes=self.visemes[rows],
            lips=None if self.lips is None else self.lips[rows],
            mouth_images=None if self.mouth_images is None else self.mouth_images[rows],
            confidence=None if self.confidence is None else self.confidence[rows],
        )

    @classmethod
    def concatenate(cls, blocks: Sequence["MouthMotion"]) -> Self:
        """Return consecutive blocks, at least one, as one; an optional array that some block lacks is None."""
        return cls(
            times=np.concatenate([block.times for block in blocks]),
            opening=np.concatenate([block.opening for block in blocks]),
            width=np.concatenate([block.width for block in blocks]),
            visemes=np.concatenate([block.visemes for block in blocks]),
            lips=_concatenate([block.lips for block in blocks]),
            mouth_images=_concatenate([block.mouth_images for block in blocks]),
            confidence=_concatenate([block.confidence for block in blocks]),
        )


def _concatenate(parts: Sequence[Float32 | None]) -> Float32 | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if len(present) == len(parts) else None
