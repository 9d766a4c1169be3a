"""What the picture makes of an asked mouth, learnt once per presenter: a drawn mouth mostly comes out less open than asked, by a
factor (.5 to 1) that depends on lips, beard, light and on how much of a range the clip itself shows."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Int64
from heygem_daemon.lipsync.face.image_view import Picture
from heygem_daemon.lipsync.face.mesh import SCORE, FaceMesh, region_of
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, opening_of
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.media.frame import Frame

FrameSource = Callable[[int, int], Iterable[Frame]]
"""Gives the frames start to stop of the video."""
Render = Callable[[Iterable[Frame], Iterable[MouthMotion]], Iterator[RenderedFrame]]
ReadOpening = Callable[[Frame, Float32], float]
"""Reads the lip opening of the face in a frame, given the landmarks [468, 3] it had before; NaN where there is none."""

STRETCHES: Final = 3
STRETCH: Final = 32
"""Trials are drawn on three stretches of 32 frames: the path through the atlas must be the one of real speech."""
_SYLLABLES: Final = ((0.34, 3.1, 0.0), (0.26, 5.3, 1.0), (0.2, 1.1, 2.0))
"""Amplitude, Hz, radians of the trial motion: syllables, their variation, phrases."""
_MEAN: Final = 0.4
_PRIOR: Final = (1.0, 4e-3, 2e-5, 4e-3)
"""Weights of "the picture shows what is asked" on offset, slope, bend and the share of the frame's own opening."""
_MOST_SHARE: Final = 0.3
_SLOPES: Final = (0.45, 1.5)
_KNOTS: Final = 24
_REACH: Final = 1.3
_SHUT: Final = 0.02
_LARGEST: Final = 0.06


class Correction:
    """Changes an asked canonical face so that the picture shows the opening that was asked.

    table: [2, k + 1]; k asked openings and what was obtained, in IOD, both rising; last, how much of the opening that the frame has
    by itself shines through, and the mean of those openings. Empty: no correction.
    """

    def __init__(self, table: Float64, mouth: MouthModel) -> None:
        self._table, self._mouth = table, mouth

    def __call__(self, target: Float64, own: float) -> Float64:
        """Return the canonical face [468, 3] to draw for the one asked for, on a frame whose own mouth is open by `own`, in IOD;
        shut lips stay shut."""
        if not self._table.size:
            return target
        asked, shut = float(opening_of(target)), self._mouth.openings[0]
        (openings, obtained), (share, usual) = self._table[:, :-1], self._table[:, -1]
        more = np.clip(float(np.interp(asked, obtained, openings)) - asked, 0, _LARGEST) - share * (own - usual)
        more = max(more * np.clip((asked - shut) / _SHUT, 0, 1), min(0.0, shut - asked))
        return np.asarray(target + more * self._mouth.weight[:, None] * self._mouth.open_basis)


def mesh_reader(models: Path) -> ReadOpening:
    """Return a reader that uses the face mesh in `models`. Raises SetupError (`models_missing`)."""
    mesh = FaceMesh(models)

    def read(frame: Frame, expected: Float32) -> float:
        landmarks, score = mesh.read(Picture(frame), region_of(expected))
        return float(lip_opening(landmarks[None])[0]) if score > SCORE else float("nan")

    return read


def calibrate(index: Int64, tracks: FaceTracks, frames: FrameSource, *, render: Render, read: ReadOpening) -> Float64:
    """Draw speech-like motion on stretches of the video, read the mouths again, and return the table of `Correction`.

    index: the frame numbers of the atlas, ascending; render: the renderer without correction.
    """
    asked: list[float] = []
    obtained: list[float] = []
    own: list[float] = []
    for start, stop in _stretches(index):
        count = max(stop - start, STRETCH)
        source = frames(start, stop) if stop - start > 1 else list(frames(start, stop)) * count
        for done in render(source, [_trial(count, float(tracks.frame_rate))]):
            if done.is_drawn:
                before = tracks.landmarks(done.frame.index, done.frame.index + 1)
                asked.append(done.asked_opening)
                own.append(float(lip_opening(before)[0]))
                obtained.append(read(done.frame, before[0]))
    return fitted(np.array(asked), np.array(obtained), np.array(own))


def fitted(asked: Float64, obtained: Float64, own: Float64) -> Float64:
    """Return the table of `Correction` from openings [n], in IOD: asked, obtained, and the frame's own; NaN is left out.

    A parabola of what was asked, made to rise, plus a share of the frame's own; ridge regression towards obtaining what is asked.
    """
    seen = np.isfinite(asked) & np.isfinite(obtained) & np.isfinite(own)
    asked, obtained, own = asked[seen], obtained[seen], own[seen]
    usual = float(own.mean()) if len(own) else 0.0
    knots = np.linspace(0, _REACH * max(float(asked.max(initial=0)), 0.05), _KNOTS)
    inputs = np.stack([np.ones(len(asked)), asked, asked**2, own - usual], axis=1)
    excess = np.linalg.solve(inputs.T @ inputs + np.diag(_PRIOR), inputs.T @ (obtained - asked))
    curve = knots + np.stack([np.ones(_KNOTS), knots, knots**2], axis=1) @ excess[:3]
    slopes = np.clip(np.diff(curve) / np.diff(knots), *_SLOPES)
    rising = curve[0] + np.concatenate([[0], np.cumsum(slopes * np.diff(knots))])
    return np.stack([np.append(knots, np.clip(excess[3], 0, _MOST_SHARE)), np.append(rising, usual)])


def _stretches(index: Int64) -> list[tuple[int, int]]:
    """Return (start, stop) of up to three stretches of consecutive atlas frames, spread over the video."""
    runs = np.split(index, np.flatnonzero(np.diff(index) != 1) + 1)
    starts = [(int(first), int(run[-1]) + 1) for run in runs for first in run[::STRETCH]]
    chosen = [starts[i] for i in np.unique(np.linspace(0, len(starts) - 1, STRETCHES + 2).astype(int)[1:-1])]
    return [(start, min(start + STRETCH, stop)) for start, stop in chosen]


def _trial(count: int, rate: float) -> MouthMotion:
    """Return motion of `count` frames that opens and shuts as speech does, over the whole range."""
    times = np.arange(count) / rate
    waves = [amplitude * np.sin(2 * np.pi * hertz * times + phase) for amplitude, hertz, phase in _SYLLABLES]
    visemes = np.zeros((count, len(VISEMES)), np.float32)
    visemes[:, 0] = 1
    return MouthMotion(
        times=times,
        opening=np.clip(_MEAN + np.sum(waves, axis=0), 0, 1.1).astype(np.float32),
        width=(0.5 + 0.25 * np.sin(2 * np.pi * 0.9 * times)).astype(np.float32),
        visemes=visemes,
    )
