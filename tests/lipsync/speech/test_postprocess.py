"""The rules between the output of the networks and a mouth: amplitude, closures, rest."""

from dataclasses import replace

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.scores import SHUT
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES, viseme_index
from heygem_daemon.lipsync.speech import postprocess
from heygem_daemon.lipsync.speech.model import SHUT_SHARES, AcousticFeatures, Calibration, MotionPrediction
from heygem_daemon.lipsync.speech.network import FEATURES
from heygem_daemon.lipsync.speech.postprocess import REACH, PredictedRows, mouth_curve, shut_evidence
from heygem_daemon.lipsync.speech.voice_activity import SPEECH

ROWS = 200
THRESHOLD = 0.6
"""Evidence of "lips shut" from which they are, for most people."""
CALIBRATION = Calibration(
    opening_mean=0.5, opening_gain=0.2, shut_thresholds=(1.0, 0.8, 0.7, THRESHOLD, 0.5, 0.4, 0.3, 0.2), shut_share=0.2
)
NEVER = replace(CALIBRATION, shut_thresholds=(1 + postprocess._SHUT_EDGE,) * len(SHUT_SHARES))
"""Of a person whose lips no evidence shuts."""
FREE, PAUSED = postprocess._NEAR - 4, postprocess._NEAR + 4
"""Rows from speech within which the mouth moves freely, and from which on it is as in a pause."""
FAR = postprocess._REST + postprocess._REST_RAMP
"""Rows from speech from which on the mouth is at rest."""
APART, PAUSE = postprocess._SMALLEST_APART, postprocess._PAUSE


def rows(
    *spoken: slice, opening: float = 0.0, width: float = 0.0, shut: float = 0.0, lips: float = 0.0, certainty: float = 1.0
) -> PredictedRows:
    """Return rows of an "a" that is spoken at `spoken`, 50..149 where nothing else is given, and of silence before and after.

    lips: probability of p, b or m beside the "a", in rows 90..94; certainty: that of speech.
    """
    posteriors = np.zeros((ROWS, len(VISEMES)), np.float32)
    posteriors[:, 0] = 1
    speech = np.zeros(ROWS, np.float32)
    for part in spoken or (slice(50, 150),):
        posteriors[part] = np.eye(len(VISEMES))[viseme_index("aa")]
        speech[part] = certainty
    posteriors[90:95] *= 1 - lips
    posteriors[90:95, viseme_index("PP")] = lips

    def steady(value: float) -> Float32:
        return np.full(ROWS, value, np.float32)

    return PredictedRows(
        prediction=MotionPrediction(opening=steady(opening), width=steady(width), shut=steady(shut)),
        acoustic=acoustic(posteriors, speech),
        in_recording=np.ones(ROWS, bool),
        gate=np.zeros(ROWS, np.float32),
    )


def acoustic(posteriors: Float32, speech: Float32) -> AcousticFeatures:
    """Return features of which the rules use these alone."""
    return AcousticFeatures(
        features=np.zeros((ROWS, FEATURES), np.float32), posteriors=posteriors, speech=speech, loudness=np.zeros((ROWS, 2), np.float32)
    )


def with_loudness(predicted: PredictedRows, quiet: slice, loudness: float = 2 * postprocess._QUIET) -> PredictedRows:
    """Return the rows with another loudness in some of them; in the others it is the level of the speech."""
    changed = np.zeros((ROWS, 2), np.float32)
    changed[quiet, 0] = loudness
    return replace(predicted, acoustic=replace(predicted.acoustic, loudness=changed))


def with_opening(predicted: PredictedRows, opening: Float32) -> PredictedRows:
    return replace(predicted, prediction=replace(predicted.prediction, opening=opening))


def chance_rows(seed: int) -> PredictedRows:
    noise = np.random.default_rng(seed)
    odds = noise.random((ROWS, len(VISEMES))) ** 6 * np.where(np.arange(len(VISEMES)) == 0, 8, 1)
    return PredictedRows(
        prediction=MotionPrediction(
            opening=noise.normal(0, 1, ROWS).astype(np.float32),
            width=noise.normal(0, 1, ROWS).astype(np.float32),
            shut=noise.random(ROWS).astype(np.float32),
        ),
        acoustic=acoustic((odds / odds.sum(1, keepdims=True)).astype(np.float32), (noise.random(ROWS) ** 20).astype(np.float32)),
        in_recording=noise.random(ROWS) > 0.05,
        gate=(noise.random(ROWS) > 0.9).astype(np.float32),
    )


def opening_at(row: int, predicted: PredictedRows, calibration: Calibration = CALIBRATION) -> float:
    return float(mouth_curve(predicted, calibration).opening[row])


@pytest.mark.parametrize(("predicted", "expected"), [(0.0, 0.5), (1.0, 0.7), (-1.0, 0.3), (9.0, 1.25)])
def test_the_calibration_turns_a_prediction_into_an_opening(predicted: float, expected: float) -> None:
    curve = mouth_curve(rows(opening=predicted), CALIBRATION)
    assert curve.opening[100] == pytest.approx(expected, abs=1e-6)


def test_the_width_is_calibrated_while_somebody_speaks_and_rests_at_a_half() -> None:
    curve = mouth_curve(rows(width=1.0), replace(CALIBRATION, width_mean=0.55, width_gain=0.2))
    assert curve.width[100] == pytest.approx(0.75, abs=1e-6)
    assert curve.width[0] == curve.width[-1] == 0.5


def test_lips_that_are_not_shut_are_apart_and_the_further_the_more_they_are_to_open() -> None:
    """What opens a little opens by less than was predicted to be missing, without a step or a kink."""
    asked = np.linspace(0, 1, 401)
    found = np.array([opening_at(100, rows(opening=value), replace(NEVER, opening_mean=0.0, opening_gain=1.0)) for value in asked])
    assert found[0] == pytest.approx(APART, abs=1e-6)
    assert found[0] >= SHUT  # of a mouth that opens as far as most
    np.testing.assert_allclose(found[asked >= 2 * APART], asked[asked >= 2 * APART], atol=1e-6)
    slopes = np.diff(found) / np.diff(asked)
    assert slopes.min() >= 0
    assert slopes.max() < 1.001
    assert np.abs(np.diff(slopes)).max() < 0.01


@pytest.mark.parametrize("predicted", [-2.5, -9.0])
def test_lips_do_not_meet_because_the_mouth_is_predicted_to_open_little_but_because_they_are_shut(predicted: float) -> None:
    """An opening below 0 is none."""
    assert opening_at(100, rows(opening=predicted), NEVER) == pytest.approx(APART, abs=1e-6)
    assert opening_at(100, rows(opening=predicted, shut=0.99)) == 0


def test_far_from_speech_the_mouth_is_at_rest() -> None:
    curve = mouth_curve(rows(opening=1.0, width=1.0), CALIBRATION)
    for there in (slice(0, 51 - FAR), slice(149 + FAR, ROWS)):
        assert (curve.opening[there] == 0).all()
        assert (curve.width[there] == 0.5).all()
        assert (curve.visemes[there, 0] == 1).all()
    near = FAR - 2 * postprocess._REST_RAMP + 1  # up to here it does not go to rest at all
    for there in (slice(50 - near, 50), slice(150, 150 + near)):
        assert curve.opening[there].min() > PAUSE * 0.7 - 1e-6
        np.testing.assert_allclose(curve.width[there], 0.75, atol=1e-6)


def test_a_single_row_of_speech_moves_the_mouth_as_far_as_the_reach_and_no_further() -> None:
    curve = mouth_curve(rows(slice(100, 101), opening=1.0, width=1.0), CALIBRATION)
    moved = np.flatnonzero((curve.opening > 0) | (curve.width > 0.5) | (curve.visemes[:, 0] < 1))
    assert (moved[0], moved[-1]) == (101 - FAR, 99 + FAR)
    assert 100 - moved[0] <= REACH


def test_a_mouth_comes_to_rest_without_a_snap() -> None:
    """Half of the way is done where speech is as far as the rest begins."""
    curve = mouth_curve(rows(slice(60, ROWS), opening=1.0, width=1.0), CALIBRATION)
    resting = curve.width[59 - FAR : 60]
    assert np.diff(resting).min() >= 0
    assert np.diff(resting).max() < 0.25 / postprocess._REST_RAMP * 1.05
    middle = 60 - postprocess._REST
    assert curve.width[middle - 1 : middle + 1].mean() == pytest.approx(0.625, abs=1e-6)


def test_a_mouth_opens_before_the_audio_and_closes_after_it_without_a_snap() -> None:
    opening = mouth_curve(rows(), CALIBRATION).opening
    np.testing.assert_allclose(opening[50 - FREE : 150 + FREE], 0.5, atol=1e-6)
    assert opening[50 - PAUSED] < 0.5 * PAUSE + 1e-6
    assert np.diff(opening[:75]).min() >= 0
    assert np.diff(opening[125:]).max() <= 0
    assert np.abs(np.diff(opening)).max() < 0.06


SHORT_PAUSE = (slice(20, 80), slice(120, 180))
"""Speech on both sides of .8 s."""
PAUSE_ROWS = slice(79 + PAUSED, 121 - PAUSED)
"""The rows of it that are far enough from both."""


def test_in_a_short_pause_the_mouth_goes_to_a_part_of_its_mean_opening() -> None:
    curve = mouth_curve(rows(*SHORT_PAUSE, width=1.0), CALIBRATION)
    assert len(curve.opening[PAUSE_ROWS]) > 15
    np.testing.assert_allclose(curve.opening[PAUSE_ROWS], PAUSE * 0.5, atol=1e-6)
    for spoken in (slice(20, 80 + FREE), slice(120 - FREE, 180)):
        np.testing.assert_allclose(curve.opening[spoken], 0.5, atol=1e-6)
    assert np.ptp(curve.width[50:150]) < 1e-6  # and the lips stay spread or rounded


def test_in_a_short_pause_the_mouth_does_not_chew() -> None:
    noise = np.random.default_rng(3).normal(0, 1, ROWS).astype(np.float32)
    restless = rows(*SHORT_PAUSE)
    opening = mouth_curve(with_opening(restless, noise), CALIBRATION).opening
    inside = opening[PAUSE_ROWS]
    assert inside.mean() == pytest.approx(PAUSE * 0.5, abs=0.05)
    assert np.abs(np.diff(inside)).max() < 0.02
    assert np.abs(np.diff(opening[40:80])).max() > 0.1


HUSHED = slice(80, 125)
"""Rows in which nothing is heard, though they count as speech."""
HELD = slice(80 + postprocess._QUIET_ROWS + 1, 125 - postprocess._QUIET_ROWS - 1)
"""Those of them in which the mouth holds still."""


def test_where_nothing_is_heard_the_mouth_holds_still_at_a_part_of_its_mean_opening() -> None:
    noise = np.random.default_rng(4).normal(0, 1, ROWS).astype(np.float32)
    restless = with_opening(rows(slice(0, ROWS)), noise)
    loud, hushed = (mouth_curve(each, CALIBRATION).opening for each in (restless, with_loudness(restless, HUSHED)))
    assert np.abs(np.diff(loud[HELD])).max() > 0.1
    assert np.abs(np.diff(hushed[HELD])).max() < 0.01
    assert hushed[HELD].mean() == pytest.approx(postprocess._HELD * loud.mean(), abs=0.02)
    for heard in (slice(0, HELD.start - 2), slice(HELD.stop + 2, ROWS)):  # it begins to move before the sound
        assert np.array_equal(hushed[heard], loud[heard])


def test_a_held_mouth_is_as_far_open_as_before_in_a_pause_as_well_and_rests_far_from_speech() -> None:
    held = mouth_curve(with_loudness(rows(), slice(0, ROWS)), CALIBRATION).opening
    np.testing.assert_allclose(held[60:160], postprocess._HELD * 0.5, atol=1e-6)
    assert (held[: 51 - FAR] == 0).all()
    assert (held[149 + FAR :] == 0).all()


@pytest.mark.parametrize(("loudness", "is_held"), [(postprocess._QUIET + 0.01, False), (postprocess._QUIET - 0.01, True)])
def test_audio_is_quiet_thirty_decibels_below_the_speech(loudness: float, is_held: bool) -> None:
    held = opening_at(100, with_loudness(rows(), HUSHED, loudness)) < 0.45
    assert held == is_held


def test_the_silence_of_a_stop_is_too_short_to_hold_the_mouth() -> None:
    stop = slice(90, 90 + 2 * postprocess._QUIET_ROWS)
    spoken = rows(lips=1.0)
    loud, hushed = (mouth_curve(each, CALIBRATION).opening for each in (spoken, with_loudness(spoken, stop)))
    assert np.array_equal(loud, hushed)


def test_the_lips_meet_for_a_p_b_or_m_after_a_silence() -> None:
    """Before it is audible."""
    opening = mouth_curve(with_loudness(rows(lips=1.0), slice(55, 90)), CALIBRATION).opening
    assert opening[87:92].max() == 0
    assert opening[75] == pytest.approx(postprocess._HELD * 0.5, abs=0.05)


def test_a_held_mouth_depends_on_nothing_beyond_the_reach() -> None:
    quiet = with_loudness(rows(slice(0, ROWS)), slice(0, ROWS))
    other = quiet.prediction.opening.copy()
    other[100] += 1
    there, here = (mouth_curve(each, CALIBRATION).opening for each in (quiet, with_opening(quiet, other)))
    changed = np.flatnonzero(np.abs(there - here) > 1e-6)
    assert postprocess._HELD_ROWS - 4 <= np.abs(changed - 100).max() <= REACH


def test_in_a_long_pause_the_mouth_rests() -> None:
    opening = mouth_curve(rows(slice(0, 45), slice(155, ROWS)), CALIBRATION).opening
    resting = opening[44 + FAR : 156 - FAR]
    assert len(resting) > 15
    assert (resting == 0).all()
    assert opening[[20, 180]] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("certainty", "part"), [(0.0, 0.0), (SPEECH[0], 0.0), (sum(SPEECH) / 2, 0.5), (SPEECH[1], 1.0), (1.0, 1.0)])
def test_the_detector_of_speech_decides_and_not_the_visemes(certainty: float, part: float) -> None:
    """At half the certainty, the mouth is half way to a pause and half way to rest."""
    moving, paused = 0.5, PAUSE * 0.5
    assert opening_at(100, rows(certainty=certainty)) == pytest.approx(part * (part * moving + (1 - part) * paused), abs=1e-5)


def test_nothing_moves_outside_the_recording() -> None:
    silent = mouth_curve(replace(rows(width=1.0), in_recording=np.zeros(ROWS, bool)), CALIBRATION)
    assert silent.opening.max() == 0
    assert (silent.width == 0.5).all()
    assert (silent.visemes[:, 0] == 1).all()


def test_a_recording_that_ends_in_a_word_comes_to_rest_after_it() -> None:
    curve = mouth_curve(replace(rows(slice(50, ROWS)), in_recording=np.arange(ROWS) < 120), CALIBRATION)
    assert curve.opening[110] == pytest.approx(0.5)
    assert curve.opening[120 + FAR :].max() == 0


def test_the_lips_close_as_it_becomes_likely_that_they_are_shut() -> None:
    opening = [opening_at(100, rows(shut=THRESHOLD + above)) for above in (-0.6, -0.15, -0.1, 0.0, 0.1, 0.15, 0.4)]
    assert opening[0] == opening[1] == pytest.approx(0.5)
    assert np.all(np.diff(opening[1:6]) < 0)
    assert opening[3] == pytest.approx(0.25, abs=1e-6)  # half way
    assert opening[5] == opening[6] == 0


def test_the_probability_is_all_the_evidence_of_a_mouth_that_is_predicted_to_open_as_usual() -> None:
    shut = np.array([0.01, 0.3, 0.5, 0.9], np.float32)
    found = shut_evidence(MotionPrediction(opening=np.zeros(4, np.float32), width=np.zeros(4, np.float32), shut=shut))
    np.testing.assert_allclose(found, shut, rtol=1e-5)


def test_the_less_a_mouth_is_predicted_to_open_the_more_speaks_for_shut_lips() -> None:
    """Whatever the probability: each deviation less multiplies the odds by as much."""
    opening = np.linspace(-2, 2, 9, dtype=np.float32)
    odds = []
    for probability in (0.1, 0.5, 0.9):
        found = shut_evidence(MotionPrediction(opening=opening, width=0 * opening, shut=np.full(9, probability, np.float32)))
        odds.append(np.log(found.astype(np.float64) / (1 - found)) - np.log(probability / (1 - probability)))
    np.testing.assert_allclose(odds, np.tile(-postprocess._OPENING_WEIGHT * opening, (3, 1)), atol=1e-3)


def test_evidence_is_a_fraction_even_of_what_is_certain() -> None:
    shut, opening = (values.ravel().astype(np.float32) for values in np.meshgrid([0.0, 1e-9, 0.5, 1.0], [-30.0, 0.0, 30.0]))
    found = shut_evidence(MotionPrediction(opening=opening, width=opening, shut=shut))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert 0 <= found.min() < 0.001
    assert 0.999 < found.max() <= 1


def test_the_same_probability_shuts_a_mouth_that_is_predicted_to_open_little_and_none_that_opens_wide() -> None:
    by_opening = [opening_at(100, rows(shut=THRESHOLD, opening=predicted)) for predicted in (-1.0, -0.2, 0.0, 0.2, 1.0)]
    assert by_opening[0] == 0
    assert by_opening[2] == pytest.approx(0.25, abs=1e-6)
    assert by_opening[4] == pytest.approx(0.7)
    assert np.all(np.diff(by_opening) > 0)


def test_the_more_often_a_persons_lips_are_shut_the_less_evidence_shuts_them() -> None:
    by_share = [opening_at(100, rows(shut=0.5), replace(CALIBRATION, shut_share=share)) for share in (*SHUT_SHARES, 1.0)]
    assert by_share[0] == pytest.approx(0.5)
    assert by_share[-1] == 0
    assert np.all(np.diff(by_share) <= 0)
    assert 0.05 < opening_at(100, rows(shut=0.5), replace(CALIBRATION, shut_share=0.25)) < 0.45


@pytest.mark.parametrize(("probability", "part"), [(0.0, 1.0), (0.4, 1.0), (0.55, 0.5), (0.7, 0.0), (1.0, 0.0)])
def test_the_lips_meet_for_a_p_b_or_m_that_was_recognised_before_it_is_audible(probability: float, part: float) -> None:
    opening = mouth_curve(rows(lips=probability), CALIBRATION).opening
    np.testing.assert_allclose(opening[87:92], 0.5 * part, atol=1e-6)
    assert opening[[86, 92]] == pytest.approx([0.5, 0.5])


def test_the_lips_meet_where_the_gate_of_a_transcript_is_shut() -> None:
    gated = rows()
    gated.gate[90:95] = 1
    opening = mouth_curve(gated, CALIBRATION).opening
    assert opening[90:95].max() == 0
    assert opening[[89, 95]].min() > 0.4


def test_an_opening_too_small_to_be_seen_becomes_shut_lips_without_a_step() -> None:
    """As lips close: those that are not shut are further apart than that."""
    smallest = postprocess._SMALLEST_OPENING

    def closing(left: float) -> float:
        gated = rows()
        gated.gate[:] = 1 - left / 0.5
        return opening_at(100, gated)

    small = [closing(left) for left in (0.0, 0.01, smallest - 0.001, smallest + 0.001, 2 * smallest)]
    assert small[:2] == pytest.approx([0, 0.01**2 / smallest], abs=1e-6)
    assert 0 < small[3] - small[2] < 0.005
    assert small[4] == pytest.approx(2 * smallest, abs=1e-6)


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
    kept = given.acoustic.posteriors.copy()
    mouth_curve(given, CALIBRATION)
    assert np.array_equal(given.acoustic.posteriors, kept)


@pytest.mark.parametrize("seed", range(5))
def test_a_row_depends_on_nothing_beyond_its_reach(seed: int) -> None:
    whole, other = chance_rows(seed), chance_rows(seed + 100)
    border = 100
    mixed = PredictedRows(
        prediction=MotionPrediction(
            **{name: np.where(np.arange(ROWS) < border, a, getattr(other.prediction, name)) for name, a in vars(whole.prediction).items()}
        ),
        acoustic=whole.acoustic[:border].concatenate(other.acoustic[border:]),
        in_recording=np.where(np.arange(ROWS) < border, whole.in_recording, other.in_recording),
        gate=np.where(np.arange(ROWS) < border, whole.gate, other.gate),
    )
    a, b = mouth_curve(whole, CALIBRATION), mouth_curve(mixed, CALIBRATION)
    for name in ("opening", "width", "visemes"):
        np.testing.assert_allclose(getattr(a, name)[: border - REACH], getattr(b, name)[: border - REACH], atol=1e-6)
    assert not np.allclose(a.opening[border:], b.opening[border:])
