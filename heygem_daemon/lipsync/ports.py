"""The two questions of lip-sync, as ports: what should the mouth do (Driver), and how does it look (Renderer)."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.types import MediaInfo

FloatArray = npt.NDArray[np.float32]
Prepared = TypeVar("Prepared")

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

    times: npt.NDArray[np.float64]
    opening: FloatArray
    width: FloatArray
    visemes: FloatArray
    lips: FloatArray | None = None
    pictures: FloatArray | None = None
    trust: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.times)


class Driver(Protocol):
    """Speech to mouth motion, streaming: memory does not grow with the recording.

    model_hashes: the sha256 of its weights, by name.
    """

    name: str
    model_hashes: Mapping[str, str]

    def motion(self, speech: Iterable[FloatArray], frame_rate: Fraction, frames: int) -> Iterator[MouthMotion]:
        """Yield consecutive blocks of motion, `frames` frame times in all, at i / frame_rate.

        speech: consecutive blocks of mono float32 at 16 kHz, any block length; after its end the mouth is at rest.
        The result does not depend on how speech is cut into blocks.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """What there is to look at. frames: the source frame of each frame to make, in order (`frame.index` may run backwards)."""

    frames: Iterable[Frame]
    tracks: FaceTracks


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`done` of `total` steps of `stage` (analyse, harvest, calibrate, render, verify) are behind us."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class RenderedFrame:
    """One output frame. `asked_opening`: the lip opening that was asked for, inner lips over outer eye corners (as the tracker
    measures it; NaN where the frame was passed through untouched)."""

    frame: Frame
    asked_opening: float

    @property
    def is_drawn(self) -> bool:
        return not math.isnan(self.asked_opening)


class Renderer(Protocol[Prepared]):
    """Mouth motion to picture, streaming: memory does not grow with the video."""

    name: str

    def prepare(self, video: MediaInfo, tracks: FaceTracks, workspace: Path, on_progress: OnProgress) -> Prepared:
        """Learn the presenter: everything that depends on the video alone. `workspace` is a directory of the per-video cache;
        what a former call left there is used again. Raises InputError (`no_face`) when no frame can be drawn on."""
        ...

    def render(self, prepared: Prepared, frames: Iterable[Frame], motion: Iterable[MouthMotion]) -> Iterator[RenderedFrame]:
        """Yield one frame per source frame, in order. `frame.index` is the index in the source (it may run backwards); the
        i-th frame of `frames` belongs to the i-th time of `motion`. A frame without a usable face passes through untouched."""
        ...
