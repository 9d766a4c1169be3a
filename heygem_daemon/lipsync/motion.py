"""The motion of a mouth, free of pose and person: what a driver makes and a renderer draws."""

from dataclasses import dataclass
from typing import Final

from heygem_daemon.lipsync.arrays import Float32, Float64

VISEMES: Final = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou", "ax")
"""The 15 visemes of MPEG-4 / Oculus in their usual order, and the neutral vowel as a sixteenth."""


@dataclass(frozen=True, kw_only=True)
class MouthMotion:
    """What the mouth should do at each of T frame times, free of pose and person.

    times:    float64 [T], s from the start of the recording
    opening:  float32 [T], lip opening as a fraction of the person's range: 0 = lips meet, 1 = the widest of normal speech
    width:    float32 [T], mouth width as a fraction of the person's range: 0 = rounded, .5 = rest, 1 = spread
    visemes:  float32 [T, 16], weights in the order of VISEMES, each row sums to 1
    lips:     float32 [T, 40, 3] or None: displacement of the lip landmarks (face.topology.LIPS, ascending index) from rest, in
              canonical units (outer eye corners 1 apart); where given it says more than opening and width, and wins
    pictures: float32 [T, h, w, 3] or None: the mouth as the driver drew it, 0-255, blue first, for renderers that know where it belongs
    trust:    float32 [T] or None: how far the driver itself believes this, 0-1
    """

    times: Float64
    opening: Float32
    width: Float32
    visemes: Float32
    lips: Float32 | None = None
    pictures: Float32 | None = None
    trust: Float32 | None = None

    def __len__(self) -> int:
        return len(self.times)
