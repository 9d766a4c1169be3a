"""Calibrate the lip opening, once per presenter: a drawn mouth mostly measures less open than its target, by a factor (.5 to 1) that
depends on lips, beard, light and on how much of a range the clip itself shows."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Int64
from heygem_daemon.lipsync.atlas.harvest import FrameSource
from heygem_daemon.lipsync.atlas.store import LARGEST_CLOSED
from heygem_daemon.lipsync.face.image_view import ImageView
from heygem_daemon.lipsync.face.mesh import SCORE, FaceMesh, region_of
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, opening_of
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.media.frame import Frame

Render = Callable[[Iterable[Frame], Iterable[MouthMotion]], Iterator[RenderedFrame]]
ReadOpening = Callable[[Frame, Float32], float]
"""Reads the lip opening of the face in a frame, given the landmarks [468, 3] it had before; NaN where there is none."""

TRIALS: Final = 3
TRIAL_FRAMES: Final = 32
"""Trials are drawn on three runs of 32 frames: the path through the atlas must be the one of real speech."""
_SYLLABLES: Final = ((0.34, 3.1, 0.0), (0.26, 5.3, 1.0), (0.2, 1.1, 2.0))
"""Amplitude, Hz, radians of the opening in a trial: syllables, their variation, phrases."""
_MEAN: Final = 0.4
_LARGEST_OPENING: Final = 1.1
"""The mean of the opening in a trial, and where it is clipped, as fractions of the person's range."""
_WIDTH_AMPLITUDE: Final = 0.25
_WIDTH_HZ: Final = 0.9
"""Amplitude of the width in a trial, as a fraction of the person's range, and its frequency."""
_PRIOR: Final = (1.0, 4e-3, 2e-5, 4e-3)
"""Weights of the prior "the frame shows the target" on offset, slope, bend and the weight of the frame's own opening."""
_LARGEST_OWN_WEIGHT: Final = 0.3
_SLOPES: Final = (0.45, 1.5)
"""Limits of what is fitted: the weight of the frame's own opening, and the slope of the measured opening over the target."""
_KNOTS: Final = 24
_TABLE_REACH: Final = 1.3
_LEAST_REACH: Final = 0.05
"""The table has so many target openings, from 0 to 1.3 times the largest one of the trials (at least that of .05 IOD)."""
_NEARLY_SHUT: Final = 0.02
"""A correction grows from nothing at shut lips to its whole at an opening of this much more, in IOD."""
_LARGEST_CORRECTION: Final = 0.06
"""A mouth is opened further by at most this, in IOD."""
_LARGEST_PRESS: Final = 0.03
_PRESS_RAMP: Final = 0.015
"""Shut lips are pressed together by at most the first, in IOD; mouths to be open by the second more than shut lips are not pressed."""


class OpeningCorrection:
    """Changes a target face so that the drawn frame shows the target opening.

    table: [2, k + 1]; k target openings and the measured ones, in IOD, both rising; in the last column the weight of the opening that
    the frame has by itself, and the mean of those openings. Empty: no correction. closed: what the presenter's most closed lips measure, in
    IOD.
    """

    def __init__(self, table: Float64, mouth: MouthModel, closed: float = 0.0) -> None:
        self._table, self._mouth, self._closed = table, mouth, min(closed, LARGEST_CLOSED)

    def __call__(self, target: Float64, own: float) -> Float64:
        """Return the canonical face [468, 3] to draw for the target face, on a frame whose own mouth is open by `own`, in IOD;
        shut lips stay shut, and nothing is drawn wider open than may be asked for."""
        if not self._table.size:
            return target
        opening, shut = float(opening_of(target)), self._mouth.openings[0]
        (targets, measured), (own_weight, usual) = self._table[:, :-1], self._table[:, -1]
        more = np.clip(float(np.interp(opening, measured, targets)) - opening, 0, _LARGEST_CORRECTION) - own_weight * (own - usual)
        more = max(more * np.clip((opening - shut) / _NEARLY_SHUT, 0, 1), min(0.0, shut - opening))
        more = min(more, max(0.0, self._mouth.widest_opening - opening))
        return self._mouth.opened_by(target, float(more))

    def sealed(self, face: Float64, shown: float) -> Float64:
        """Return the canonical face [468, 3] to draw with a source mouth that is open by `shown`, in IOD: shut lips overlap by what it is
        more open than closed ones.

        The mesh places the inner edges of lips that are apart partly on the teeth; without this a sliver of them stays between shut lips.
        """
        opening = float(opening_of(face))
        nearness = float(np.clip(1 - (opening - self._mouth.openings[0]) / _PRESS_RAMP, 0, 1))
        press = nearness * min(max(0.0, shown - max(self._closed, opening)), _LARGEST_PRESS)
        return self._mouth.opened_by(face, -press) if press > 0 else face


def mesh_reader(models: Path) -> ReadOpening:
    """Return a reader that uses the face mesh in `models`. Raises SetupError (`models_missing`)."""
    mesh = FaceMesh(models)

    def read(frame: Frame, expected: Float32) -> float:
        landmarks, score = mesh.read(ImageView(frame), region_of(expected))
        return float(lip_opening(landmarks[None])[0]) if score > SCORE else float("nan")

    return read


def calibrate(trials: list[tuple[int, int]], tracks: FaceTracks, frames: FrameSource, *, render: Render, read: ReadOpening) -> Float64:
    """Draw speech-like motion on runs of the video, measure the drawn mouths, and return the table of `OpeningCorrection`.

    trials: see `trial_runs`; render: the renderer without correction.
    """
    target: list[float] = []
    measured: list[float] = []
    own: list[float] = []
    for start, stop in trials:
        count = max(stop - start, TRIAL_FRAMES)
        source = frames(start, stop) if stop - start > 1 else list(frames(start, stop)) * count
        for done in render(source, [_trial_motion(count, float(tracks.frame_rate))]):
            if done.is_drawn:
                before = tracks.landmarks(done.frame.index, done.frame.index + 1)
                target.append(done.target_opening)
                own.append(float(lip_opening(before)[0]))
                measured.append(read(done.frame, before[0]))
    return fit_correction(np.array(target), np.array(measured), np.array(own))


def fit_correction(target: Float64, measured: Float64, own: Float64) -> Float64:
    """Return the table of `OpeningCorrection` from openings [n], in IOD: target, measured, and the frame's own; NaN is left out.

    A parabola of the target, made to rise, plus the weighted opening of the frame itself; ridge regression towards "measured is target".
    """
    valid = np.isfinite(target) & np.isfinite(measured) & np.isfinite(own)
    target, measured, own = target[valid], measured[valid], own[valid]
    usual = float(own.mean()) if len(own) else 0.0
    knots = np.linspace(0, _TABLE_REACH * max(float(target.max(initial=0)), _LEAST_REACH), _KNOTS)
    inputs = np.stack([np.ones(len(target)), target, target**2, own - usual], axis=1)
    excess = np.linalg.solve(inputs.T @ inputs + np.diag(_PRIOR), inputs.T @ (measured - target))
    curve = knots + np.stack([np.ones(_KNOTS), knots, knots**2], axis=1) @ excess[:3]
    slopes = np.clip(np.diff(curve) / np.diff(knots), *_SLOPES)
    rising = curve[0] + np.concatenate([[0], np.cumsum(slopes * np.diff(knots))])
    return np.stack([np.append(knots, np.clip(excess[3], 0, _LARGEST_OWN_WEIGHT)), np.append(rising, usual)])


def trial_runs(index: Int64) -> list[tuple[int, int]]:
    """Return (start, stop) of up to three runs of consecutive atlas frames, spread over the video. index: their numbers, ascending."""
    runs = np.split(index, np.flatnonzero(np.diff(index) != 1) + 1)
    starts = [(int(first), int(run[-1]) + 1) for run in runs for first in run[::TRIAL_FRAMES]]
    chosen = [starts[i] for i in np.unique(np.linspace(0, len(starts) - 1, TRIALS + 2).astype(int)[1:-1])]
    return [(start, min(start + TRIAL_FRAMES, stop)) for start, stop in chosen]


def _trial_motion(count: int, rate: float) -> MouthMotion:
    """Return motion of `count` frames that opens and shuts as speech does, over the whole range."""
    times = np.arange(count) / rate
    waves = [amplitude * np.sin(2 * np.pi * hertz * times + phase) for amplitude, hertz, phase in _SYLLABLES]
    visemes = np.zeros((count, len(VISEMES)), np.float32)
    visemes[:, 0] = 1
    return MouthMotion(
        times=times,
        opening=np.clip(_MEAN + np.sum(waves, axis=0), 0, _LARGEST_OPENING).astype(np.float32),
        width=(0.5 + _WIDTH_AMPLITUDE * np.sin(2 * np.pi * _WIDTH_HZ * times)).astype(np.float32),
        visemes=visemes,
    )
