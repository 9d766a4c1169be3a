"""Read clips of audio-visual speech: the audio of a person and the measured lips."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64

WIDTH_COLUMN = 1
"""The column of the array `P` of a clip's file that holds the mouth width."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AvClip:
    """One segment of one person speaking.

    name, person: anonymous labels; clips of one person share the second
    audio:   float32 [n], 16 kHz mono
    times:   float64 [T], s: the times of the video frames on the clock of the audio, as found
    lag:     s, the clip's constant offset, positive = mouth late: times - lag is when the mouth should have moved
    opening: float32 [T], inner lips 13-14 over outer eye corners (as geometry.mouth_metrics.lip_opening)
    width:   float32 [T], mouth width over outer eye corners
    lips:    float32 [T, 40, 3], the lip landmarks, pose-normalised, outer eye corners 1 apart
    """

    name: str
    person: str
    audio: Float32
    times: Float64
    lag: float
    opening: Float32
    width: Float32
    lips: Float32

    @property
    def true_times(self) -> Float64:
        """float64 [T], s: the frame times after the clip's constant offset is taken off."""
        return self.times - self.lag

    @property
    def seconds(self) -> float:
        return float(self.times[-1] - self.times[0])


def read_clip(path: Path) -> AvClip:
    """Read a clip's file (see docs/learning.md for the format). Raises OSError, KeyError or ValueError for one that is none."""
    with np.load(path, allow_pickle=False) as data:
        return AvClip(
            name=path.stem,
            person=str(data["person"]),
            audio=np.asarray(data["audio"] / np.float32(32768), np.float32),
            times=np.asarray(data["t"], np.float64),
            lag=float(data["av_lag"]),
            opening=np.asarray(data["raw"], np.float32),
            width=np.asarray(data["P"][:, WIDTH_COLUMN], np.float32),
            lips=np.asarray(data["lips"], np.float32),
        )


def read_clips(folder: Path) -> list[AvClip]:
    """Read every clip of a folder, by name."""
    return [read_clip(path) for path in sorted(folder.glob("*.npz"))]


def people(clips: Sequence[AvClip]) -> list[str]:
    """Return the persons of these clips, sorted."""
    return sorted({clip.person for clip in clips})
