"""The rules between the output of the networks and a mouth: amplitude, closures, rest."""

from dataclasses import replace

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES, viseme_index
from heygem_daemon.lipsync.speech.model import Calibration, MotionPrediction
from heygem_daemon.lipsync.speech.postprocess import REACH, PredictedRows, mouth_curve

ROWS = 200
CALIBRATION = Calibration(opening_mean=0.5, opening_gain=0.2, shut=(0.4, 0.8))


def rows(*, first: int = 50, last: int = 150, opening: float = 0.0, width: float = 0.0, shut: float = 0.0) -> PredictedRows:
    """Return the rows of an "a" in first..last-1, with silence before and after."""
    posteriors = np.zeros((ROWS, len(VISEMES)), np.float32)
    posteriors[:, 0] = 1
    posteriors[first:last] = np.eye(len(VISEMES))[viseme_index("aa")]

    def steady(value: float) -> Float32:
        return np.full(ROWS, value, np.float32)

    return PredictedRows(
        prediction=MotionPrediction(opening=steady(opening), width=steady(width), shut=steady(shut)),
        posteriors=posteriors,
        in_recording=np.ones(ROWS, bool),
        gate=np.zeros(ROWS, np.float32),
    )


def chance_rows(seed: int) -> PredictedRows:
    noise = np.random.default_rng(seed)
    odds = noise.random((ROWS, len(VISEMES))) ** 6 * np.where(np.arange(len(VISEMES)) == 0, 8, 1)
    return PredictedRows(
        prediction=MotionPrediction(
            opening=noise.normal(0, 1, ROWS).astype(np.float32),
            width=noise.normal(0, 1, ROWS).astype(np.float32),
            shut=noise.random(ROWS).astype(np.float32),
        ),
        posteriors=(odds / odds.sum(1, keepdims=True)).astype(np.float32),
        in_recording=noise.random(ROWS) > 0.05,
        gate=(noise.random(ROWS) > 0.9).astype(np.float32),
    )


@pytest.mark.parametrize(("predicted", "expected"), [(0.0, 0.5), (1.0, 0.7), (-1.0, 0.3), (9.0, 1.25)])
def test_the_calibration_turns_a_prediction_into_an_opening(predicted: float, expected: float) -> None:
    curve = mouth_curve(rows(opening=predicted), CALIBRATION)
    assert curve.opening[100] == pytest.approx(expected, abs=1e-6)


def test_the_width_is_calibrated_while_somebody_speaks_and_rests_at_a_half() -> None:
    curve = mouth_curve(rows(width=1.0), replace(CALIBRATION, width_mean=0.55, width_gain=0.2))
    assert curve.width[100] == pytest.approx(0.75, abs=1e-6)
    assert curve.width[0] == curve.width[-1] == 0.5


def test_lips_spread_or_round_before_they_open_and_after_they_shut() -> None:
    curve = mouth_curve(rows(width=1.0, first=60, last=140), CALIBRATION)
    for there in (48, 150):
        assert curve.opening[there] == 0
        assert curve.width[there] > 0.6
    assert (curve.width[[30, 170]] == 0.5).all()


def test_a_mouth_opens_a_little_before_the_audio_and_closes_a_little_after_it() -> None:
    opening = mouth_curve(rows(), CALIBRATION).opening
    moving = np.flatnonzero(opening > 0.02)
    assert 35 <= moving[0] <= 45
    assert 153 <= moving[-1] <= 163
    assert np.abs(np.diff(opening)).max() < 0.2  # no snap


@pytest.mark.parametrize(("length", "opens"), [(1, False), (2, False), (3, True), (10, True)])
def test_a_click_is_no_word(length: int, opens: bool) -> None:
    assert bool(mouth_curve(rows(last=50 + length), CALIBRATION).opening.max() > 0.3) is opens


def test_nothing_moves_outside_the_recording() -> None:
    silent = replace(rows(), in_recording=np.zeros(ROWS, bool))
    assert mouth_curve(silent, CALIBRATION).opening.max() == 0


def test_the_lips_close_as_it_becomes_likely_that_they_are_shut() -> None:
    opening = [mouth_curve(rows(shut=shut), CALIBRATION).opening[100] for shut in (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)]
    assert opening[0] == opening[1] == pytest.approx(0.5)
    assert np.all(np.diff(opening[1:6]) < 0)
    assert opening[3] == pytest.approx(0.25, abs=1e-6)  # half way
    assert opening[5] == opening[6] == 0


def test_the_lips_meet_where_the_gate_of_a_transcript_is_shut() -> None:
    gated = rows()
    gated.gate[90:95] = 1
    opening = mouth_curve(gated, CALIBRATION).opening
    assert opening[90:95].max() == 0
    assert opening[[89, 95]].min() > 0.4


def test_an_opening_too_small_to_be_seen_becomes_shut_lips_without_a_step() -> None:
    small = [mouth_curve(rows(), replace(CALIBRATION, opening_mean=mean)).opening[100] for mean in (0.01, 0.049, 0.051)]
    assert small[0] == pytest.approx(0.002, abs=1e-6)
    assert small[2] - small[1] < 0.005


@pytest.mark.parametrize("seed", range(5))
def test_any_rows_give_a_mouth_in_its_range(seed: int) -> None:
    curve = mouth_curve(chance_rows(seed), CALIBRATION)
    assert curve.opening.dtype == curve.width.dtype == curve.visemes.dtype == np.float32
    assert 0 <= curve.opening.min() <= curve.opening.max() <= 1.25
    assert 0 <= curve.width.min() <= curve.width.max() <= 1.1
    assert curve.visemes.min() >= 0
    np.testing.assert_allclose(curve.visemes.sum(1), 1, atol=1e-5)


def test_the_posteriors_that_were_given_stay_as_they_are() -> None:
    given = chance_rows(1)
    kept = given.posteriors.copy()
    mouth_curve(given, CALIBRATION)
    assert np.array_equal(given.posteriors, kept)


@pytest.mark.parametrize("seed", range(5))
def test_a_row_depends_on_nothing_beyond_its_reach(seed: int) -> None:
    whole, other = chance_rows(seed), chance_rows(seed + 100)
    border = 100
    mixed = PredictedRows(
        prediction=MotionPrediction(
            **{name: np.where(np.arange(ROWS) < border, a, getattr(other.prediction, name)) for name, a in vars(whole.prediction).items()}
        ),
        posteriors=np.where(np.arange(ROWS)[:, None] < border, whole.posteriors, other.posteriors),
        in_recording=np.where(np.arange(ROWS) < border, whole.in_recording, other.in_recording),
        gate=np.where(np.arange(ROWS) < border, whole.gate, other.gate),
    )
    a, b = mouth_curve(whole, CALIBRATION), mouth_curve(mixed, CALIBRATION)
    np.testing.assert_allclose(a.opening[: border - REACH], b.opening[: border - REACH], atol=1e-6)
    assert not np.allclose(a.opening[border:], b.opening[border:])
