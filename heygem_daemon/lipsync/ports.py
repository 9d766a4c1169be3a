"""The two questions of lip-sync, as ports: what should the mouth do (Driver), and how does it look (Renderer)."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeVar

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.progress import OnProgress
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.types import MediaInfo

Prepared = TypeVar("Prepared")


class Driver(Protocol):
    """Speech to mouth motion, streaming: memory does not grow with the recording.

    model_hashes: the sha256 of its weights, by name.
    """

    name: str
    model_hashes: Mapping[str, str]

    def motion(self, speech: Iterable[Float32], frame_rate: Fraction, frames: int) -> Iterator[MouthMotion]:
        """Yield consecutive blocks of motion, `frames` frame times in all, at i / frame_rate.

        speech: consecutive blocks of mono float32 at 16 kHz, any block length; after its end the mouth is at rest.
        The result does not depend on how speech is cut into blocks.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameContext:
    """What there is to look at. frames: the source frame of each frame to make, in order (`frame.index` may run backwards)."""

    frames: Iterable[Frame]
    tracks: FaceTracks


@dataclass(frozen=True, kw_only=True)
class RenderedFrame:
    """One output frame. `target_opening`: the lip opening that was asked for, inner lips over outer eye corners (as the tracker
    measures it; NaN where the frame was passed through untouched)."""

    frame: Frame
    target_opening: float

    @property
    def is_drawn(self) -> bool:
        return not math.isnan(self.target_opening)


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
