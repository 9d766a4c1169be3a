"""Which frames go into the atlas."""

from collections.abc import Collection

import numpy as np

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.selection import select_rows
from heygem_daemon.lipsync.geometry.mouth_model import learn_mouth, opening_of
from heygem_daemon.lipsync.geometry.samples import FaceSample


def sample_of(face: Float64, count: int, *, scale: float = 100.0, gaps: Collection[int] = ()) -> FaceSample:
    """Return the faces of a speaker who turns the head."""
    mouth, times = learn_mouth(face[None], face), np.arange(count) / 25
    openings = np.abs(np.sin(times * 5)) * np.abs(np.sin(times * 0.3))
    index = np.array([i for i in range(count + len(gaps)) if i not in gaps])
    return FaceSample(
        index=index,
        points=np.zeros((count, 468, 2)),
        canonical=np.stack([mouth.target(float(opening), 0.5) for opening in openings]),
        angles=np.stack([10 * np.sin(times), 5 * np.cos(times), 0 * times], axis=1),
        scale=np.full(count, scale),
    )


def test_all_frames_of_a_short_clip_go_into_the_atlas(face: Float64) -> None:
    assert np.array_equal(select_rows(sample_of(face, 200)), np.arange(200))


def test_of_a_long_clip_varied_runs_are_taken(face: Float64) -> None:
    sample = sample_of(face, 1500)
    rows = select_rows(sample)
    assert 400 < len(rows) <= 480
    assert (np.diff(rows) > 0).all()
    assert (np.diff(rows) == 1).mean() > 0.8
    chosen, whole = opening_of(sample.canonical[rows]), opening_of(sample.canonical)
    assert chosen.max() > 0.97 * whole.max()
    assert chosen.min() < whole.min() + 0.005
    assert np.ptp(sample.angles[rows, 0]) > 0.95 * np.ptp(sample.angles[:, 0])


def test_of_large_faces_fewer_frames_are_taken_so_that_the_disk_does_not_fill(face: Float64) -> None:
    assert len(select_rows(sample_of(face, 600, scale=900.0))) < 150


def test_runs_do_not_reach_over_gaps(face: Float64) -> None:
    sample = sample_of(face, 900, gaps=(300, 301))
    rows = select_rows(sample)
    assert sample.index[rows].tolist() == sorted(set(sample.index[rows].tolist()))
