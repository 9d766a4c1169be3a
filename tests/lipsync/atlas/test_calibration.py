"""How the opening is corrected for what a drawn mouth measures less than its target."""

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.atlas.calibration import OpeningCorrection, fit_correction
from heygem_daemon.lipsync.geometry.mouth_model import learn_mouth, opening_of


def test_the_correction_makes_up_for_a_smaller_measured_opening(face: Float64) -> None:
    mouth = learn_mouth(face[None], face)
    trial_targets = np.linspace(0.01, 0.15, 90)
    correct = OpeningCorrection(fit_correction(trial_targets, 0.7 * trial_targets, 0 * trial_targets), mouth)
    target = mouth.target(0.5, 0.5)
    assert opening_of(correct(target, 0.0)) == pytest.approx(float(opening_of(target)) / 0.7, rel=0.12)


def test_the_correction_leaves_shut_lips_shut_and_never_closes_a_mouth(face: Float64) -> None:
    mouth = learn_mouth(face[None], face)
    trial_targets = np.linspace(0.01, 0.15, 90)
    less, more = (OpeningCorrection(fit_correction(trial_targets, gain * trial_targets, 0 * trial_targets), mouth) for gain in (0.6, 1.4))
    assert opening_of(less(mouth.rest, 0.0)) == pytest.approx(float(opening_of(mouth.rest)), abs=1e-6)
    target = mouth.target(0.5, 0.5)
    assert opening_of(more(target, 0.0)) == pytest.approx(float(opening_of(target)), abs=1e-6)


def test_without_trials_nothing_is_corrected(face: Float64) -> None:
    mouth = learn_mouth(face[None], face)
    target = mouth.target(0.7, 0.5)
    for table in (np.zeros((0, 0)), fit_correction(*np.zeros((3, 0))), fit_correction(*np.full((3, 9), np.nan))):
        assert OpeningCorrection(table, mouth)(target, 0.0) == pytest.approx(target)


def test_the_weight_of_the_frames_own_opening_is_taken_off(face: Float64) -> None:
    mouth = learn_mouth(face[None], face)
    trial_targets, own = np.tile(np.linspace(0.01, 0.15, 30), 3), np.repeat([0.0, 0.1, 0.2], 30)
    correct = OpeningCorrection(fit_correction(trial_targets, trial_targets + 0.2 * (own - 0.1), own), mouth)
    target = mouth.target(0.5, 0.5)
    over_open, over_shut = (float(opening_of(correct(target, before))) for before in (0.2, 0.0))
    assert over_shut - over_open == pytest.approx(0.04, rel=0.15)
    assert opening_of(correct(mouth.rest, 0.2)) == pytest.approx(float(opening_of(mouth.rest)), abs=1e-6)


def test_nothing_is_drawn_wider_open_than_may_be_asked_for(face: Float64) -> None:
    mouth = learn_mouth(face[None], face)
    trial_targets = np.linspace(0.01, 0.2, 90)
    correct = OpeningCorrection(fit_correction(trial_targets, 0.6 * trial_targets, 0 * trial_targets), mouth)
    wide = mouth.target(1.1, 0.5)
    assert float(opening_of(wide)) < mouth.widest_opening < float(opening_of(wide)) + 0.06
    assert opening_of(correct(wide, 0.0)) == pytest.approx(mouth.widest_opening)


def test_shut_lips_overlap_by_what_an_open_source_mouth_is_open(face: Float64) -> None:
    mouth = learn_mouth(face[None], face)
    correct, shut = OpeningCorrection(np.zeros((0, 0)), mouth), mouth.openings[0]
    assert opening_of(correct.sealed(mouth.rest, shut + 0.02)) == pytest.approx(shut - 0.02)
    assert opening_of(correct.sealed(mouth.rest, 0.2)) == pytest.approx(shut - 0.03)
    assert correct.sealed(mouth.rest, shut) is mouth.rest
    closed = OpeningCorrection(np.zeros((0, 0)), mouth, closed=0.025)
    assert closed.sealed(mouth.rest, 0.025) is mouth.rest
    assert opening_of(closed.sealed(mouth.rest, 0.04)) == pytest.approx(shut - 0.015)
    never_shut = OpeningCorrection(np.zeros((0, 0)), mouth, closed=0.1)
    assert opening_of(never_shut.sealed(mouth.rest, 0.1)) == pytest.approx(shut - 0.03)
    open_mouth = mouth.target(0.3, 0.5)
    assert correct.sealed(open_mouth, 0.2) is open_mouth
