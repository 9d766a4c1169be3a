"""The two ports of lip-sync: a Driver predicts how the mouth moves, a Renderer draws it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol, TypeVar, runtime_checkable

from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.progress import OnProgress
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.types import MediaInfo

Prepared = TypeVar("Prepared")

EVALUATED_SECONDS: Final = 60
"""Length of the beginning of a result whose mouth is measured again: enough for the metrics, and cheap beside rendering. A driver need
not measure its own mouths beyond it."""


class Driver(Protocol):
    """Predicts mouth motion from speech, streaming: memory does not grow with the recording.

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


@runtime_checkable
class PersonalDriver(Driver, Protocol):
    """A driver that takes into account how often a presenter's lips are shut: no recording tells, and people differ most in that."""

    def for_presenter(self, shut_share: float) -> Driver:
        """Return the driver for a person whose lips are shut in `shut_share` (0-1) of the time of speech."""
        ...


@runtime_checkable
class RecordingDriver(Driver, Protocol):
    """A driver whose computation of a recording can be kept, for every video that speaks it."""

    def for_recording(self, read: Callable[[], Iterable[Float32]], seconds: int) -> Driver:
        """Return the driver for one recording, whatever `speech` it is given. read: reads that from its beginning, as in `motion`.

        It keeps what it computes of the first `seconds` s. Only one reader at a time may use it."""
        ...


@runtime_checkable
class ListeningDriver(Driver, Protocol):
    """A driver that can tell where somebody speaks before it predicts any motion, at little cost."""

    def speech_activity(self, speech: Iterable[Float32], frame_rate: Fraction, frames: int) -> Bool:
        """Return bool [frames]: whether somebody speaks at i / frame_rate. speech: as in `motion`."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameContext:
    """The source frames that a VisualDriver sees.

    frames: the source frame of each frame to make, in order (`frame.index` may run backwards); tracks: of the whole video.
    """

    frames: Iterable[Frame]
    tracks: FaceTracks


class NotDriven(StrEnum):
    """Why a frame shows the mouth of the source, which speaks other words: no usable face of the presenter (none, that of
    somebody else, or one that dissolves into another shot), a head turned away, a covered mouth."""

    NO_FACE = "no_face"
    TURNED = "turned"
    COVERED = "covered"


@dataclass(frozen=True, kw_only=True)
class MouthView:
    """How much of a drawn mouth a frame may show, 0-1, and the reason why not all of it."""

    weight: float
    limit: NotDriven | None = None

    @property
    def not_driven(self) -> NotDriven | None:
        """The reason why less than half of the drawn mouth shows; None where the frame is driven."""
        return self.limit if self.weight < _DRIVEN else None


CLEAR_VIEW: Final = MouthView(weight=1.0)
_DRIVEN: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class RenderedFrame:
    """One output frame.

    target_opening: the lip opening that was drawn for, inner lips over outer eye corners, as the tracker measures it; NaN where the
    frame passed through untouched. not_driven: why the frame shows the mouth of the source, or more of it than of the drawn one.
    """

    frame: Frame
    target_opening: float
    not_driven: NotDriven | None = None

    @property
    def is_drawn(self) -> bool:
        return not math.isnan(self.target_opening)


class Renderer(Protocol[Prepared]):
    """Draws mouth motion, streaming: memory does not grow with the video.

    yaw_fade: degrees of yaw from which less is drawn on a head that turns away, and from which nothing is.
    """

    name: str
    yaw_fade: tuple[float, float]

    def prepare(self, video: MediaInfo, tracks: FaceTracks, workspace: Path, on_progress: OnProgress) -> Prepared:
        """Learn the presenter: everything that depends on the video alone. `workspace` is a directory of the per-video cache;
        what a former call left there is used again. Raises InputError (`no_face`) when no frame can be drawn on."""
        ...

    def render(self, prepared: Prepared, frames: Iterable[Frame], motion: Iterable[MouthMotion]) -> Iterator[RenderedFrame]:
        """Yield one frame per source frame, in order. `frame.index` is the index in the source (it may run backwards); the
        i-th frame of `frames` belongs to the i-th time of `motion`. A frame without a usable face passes through untouched."""
        ...

    def is_covered(self, prepared: Prepared) -> bool:
        """Return whether something covers the mouth in every frame of the video, so that `render` changes none."""
        ...
