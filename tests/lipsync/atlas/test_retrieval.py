"""The path through the atlas is the cheapest one, also when it must be decided early."""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Bool, Float64, Int64
from heygem_daemon.lipsync.atlas.retrieval import CANDIDATES, LAG, CandidateIndex, FixedLagViterbi, InteriorIndex, join_costs, lip_features
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth, opening_of


def decided_path(joins: Float64, costs: Float64, *, lag: int = LAG, candidates: int = CANDIDATES) -> list[int]:
    path = FixedLagViterbi(joins, lag=lag, candidates=candidates)
    rows = [row for step in costs for row in path.push(step)]
    return rows + path.flush()


def path_cost(joins: Float64, costs: Float64, rows: Sequence[int]) -> float:
    return float(sum(costs[t, row] for t, row in enumerate(rows)) + sum(joins[a, b] for a, b in pairwise(rows)))


@pytest.mark.parametrize("seed", range(8))
def test_with_enough_look_ahead_the_path_is_the_cheapest_of_all(seed: int) -> None:
    noise = np.random.default_rng(seed)
    joins, costs = noise.random((4, 4)), noise.random((6, 4))
    best = min(product(range(4), repeat=6), key=lambda rows: path_cost(joins, costs, rows))
    assert decided_path(joins, costs, lag=6) == list(best)


def test_a_short_look_ahead_costs_a_few_per_cent_at_most() -> None:
    noise = np.random.default_rng(3)
    shapes = np.cumsum(noise.normal(0, 0.006, (200, 160)), axis=0) / 8
    joins = join_costs(shapes, np.zeros((200, 1)), np.zeros(200), np.arange(200))
    wanted = shapes[noise.integers(0, 200, 30)].repeat(8, axis=0) + noise.normal(0, 0.001, (240, 160))
    costs = np.linalg.norm(wanted[:, None] - shapes[None], axis=2) / 0.012
    best = path_cost(joins, costs, decided_path(joins, costs, lag=240, candidates=200))
    assert path_cost(joins, costs, decided_path(joins, costs)) < 1.04 * best


def test_a_row_is_decided_lag_steps_later() -> None:
    path = FixedLagViterbi(np.zeros((3, 3)), lag=4)
    assert [len(path.push(np.arange(3.0))) for _ in range(7)] == [0, 0, 0, 0, 1, 1, 1]
    assert len(path.flush()) == 4
    assert path.flush() == []


def test_after_a_flush_the_path_begins_anew() -> None:
    joins = np.full((2, 2), 100.0)
    np.fill_diagonal(joins, 0)
    path = FixedLagViterbi(joins, lag=2)
    first = [*path.push(np.array([0.0, 1])), *path.flush()]
    assert first == [0]
    assert [*path.push(np.array([1.0, 0])), *path.flush()] == [1]


def test_playing_on_is_free_and_jumping_is_not() -> None:
    costs = join_costs(np.zeros((6, 160)), np.zeros((6, 36)), np.zeros(6), np.array([0, 1, 2, 10, 11, 12]))
    assert costs[0, 1] == costs[3, 4] == 0
    assert costs[0, 0] == costs[0, 2] == 0.25
    assert costs[1, 0] == 0.4
    assert costs[2, 3] == pytest.approx(1.2)


def test_a_jump_to_a_mouth_that_shows_other_teeth_costs_more_and_playing_on_does_not() -> None:
    interiors = np.repeat([[0.2], [0.9]], [3, 3], axis=0) * np.ones((6, 36))
    costs = join_costs(np.zeros((6, 160)), interiors, np.zeros(6), np.array([0, 5, 10, 15, 20, 21]))
    assert costs[0, 2] == pytest.approx(1.2)
    assert costs[0, 3] == pytest.approx(1.2 + 2.0)
    assert costs[4, 5] == 0


def test_a_jump_costs_more_where_both_mouths_are_open() -> None:
    openings = np.array([0.0, 0.1, 0.2, 0.0])
    costs = join_costs(np.zeros((4, 160)), np.zeros((4, 36)), openings, np.array([0, 5, 10, 15]))
    assert costs[1, 2] == pytest.approx(costs[0, 3] + 2.0)
    assert costs[0, 2] == costs[2, 3] == costs[0, 3]


def candidate_index(
    faces: Float64,
    *,
    angles: Float64 | None = None,
    sharpness: Float64 | None = None,
    index: Int64 | None = None,
    is_clear: Bool | None = None,
) -> CandidateIndex:
    """Return candidates that face the camera, are equally sharp, follow each other, and are clear, if not given otherwise."""
    count = len(faces)
    return CandidateIndex(
        canonical=faces,
        openings=np.maximum(opening_of(faces), 0),
        angles=np.zeros((count, 3)) if angles is None else angles,
        sharpness=np.full(count, 50.0) if sharpness is None else sharpness,
        interiors=np.zeros((count, 36), np.float32),
        index=np.arange(count) if index is None else index,
        is_clear=np.ones(count, bool) if is_clear is None else is_clear,
    )


@pytest.fixture
def mouth(face: Float64) -> MouthModel:
    return learn_mouth(face[None], face)


def test_the_mouth_nearest_to_the_target_is_the_cheapest(mouth: MouthModel) -> None:
    faces = np.stack([mouth.target(opening, 0.5) for opening in np.linspace(0, 1, 9)])
    assert int(candidate_index(faces).target_costs(faces[6], np.zeros(3)).argmin()) == 6


def test_a_head_turned_the_same_way_is_cheaper(mouth: MouthModel) -> None:
    faces = np.stack([mouth.target(0.5, 0.5)] * 2)
    costs = candidate_index(faces, angles=np.array([[0.0, 0, 0], [14, 0, 0]])).target_costs(faces[0], np.array([12.0, 0, 0]))
    assert costs[1] < costs[0]


def test_blurred_and_covered_mouths_cost_more(mouth: MouthModel) -> None:
    faces = np.stack([mouth.target(0.5, 0.5)] * 3)
    candidates = candidate_index(faces, sharpness=np.array([50.0, 5, 50]), is_clear=np.array([True, True, False]))
    sharp, blurred, covered = candidates.target_costs(faces[0], np.zeros(3))
    assert sharp < blurred < covered


def test_neighbours_exist_only_where_the_video_goes_on(mouth: MouthModel) -> None:
    candidates = candidate_index(np.stack([mouth.rest] * 4), index=np.array([5, 6, 9, 10]))
    assert (candidates.neighbour(0, 1), candidates.neighbour(1, 1), candidates.neighbour(2, -1), candidates.neighbour(3, -1)) == (
        1,
        1,
        2,
        2,
    )
    assert not candidates.is_jump(0, 1)
    assert candidates.is_jump(1, 2)


def test_lip_features_measure_rms_distance(mouth: MouthModel) -> None:
    moved = mouth.rest.copy()
    moved[:, 1] += 0.03
    assert np.linalg.norm(lip_features(moved[None]) - lip_features(mouth.rest[None])) == pytest.approx(0.03)


def test_an_upside_down_head_is_as_near_to_the_next_frame_as_an_upright_one(mouth: MouthModel) -> None:
    faces = np.stack([mouth.target(0.5, 0.5)] * 3)
    level = candidate_index(faces, angles=np.array([[0.0, 0, 1]] * 3)).target_costs(faces[0], np.array([0.0, 0, -1]))
    turned = candidate_index(faces, angles=np.array([[0.0, 0, -179]] * 3)).target_costs(faces[0], np.array([0.0, 0, 179]))
    assert turned == pytest.approx(level)


def interior_index(mouth: MouthModel, openings: Sequence[float], *, angles: Float64 | None = None) -> InteriorIndex:
    """Return an index of mouths that are so far open, as fractions of the range, each of another moment of the video."""
    faces = np.stack([mouth.target(opening, 0.5) for opening in openings])
    count = len(faces)
    return InteriorIndex(
        rows=np.arange(count),
        canonical=faces,
        angles=np.zeros((count, 3)) if angles is None else angles,
        sharpness=np.full(count, 50.0),
        index=10 * np.arange(count),
        openings=opening_of(faces),
    )


def test_the_interior_is_that_of_a_mouth_as_far_open_and_rather_further_than_less(mouth: MouthModel) -> None:
    index = interior_index(mouth, (0.2, 0.5, 0.8))
    chosen = [index.choose(mouth.target(opening, 0.5), np.zeros(3), after=None) for opening in (0.15, 0.5, 0.85, 0.66)]
    assert chosen == [0, 1, 2, 2]


def test_an_interior_stays_until_another_fits_far_better(mouth: MouthModel) -> None:
    index = interior_index(mouth, (0.5, 0.6, 1.0))
    assert index.choose(mouth.target(0.6, 0.5), np.zeros(3), after=0) == 0
    assert index.choose(mouth.target(1.0, 0.5), np.zeros(3), after=0) == 2


def test_of_two_interiors_the_one_of_a_head_turned_alike_is_shown(mouth: MouthModel) -> None:
    index = interior_index(mouth, (0.5, 0.5), angles=np.array([[0.0, 0, 0], [20, 0, 0]]))
    assert [index.choose(mouth.target(0.5, 0.5), np.array([yaw, 0.0, 0]), after=None) for yaw in (2.0, 18.0)] == [0, 1]


def test_who_never_opens_the_mouth_has_no_interior(mouth: MouthModel) -> None:
    none = InteriorIndex(
        rows=np.zeros(0, np.int64),
        canonical=np.stack([mouth.rest]),
        angles=np.zeros((1, 3)),
        sharpness=np.ones(1),
        index=np.zeros(1, np.int64),
        openings=np.zeros(1),
    )
    assert none.choose(mouth.target(1.0, 0.5), np.zeros(3), after=None) is None
