"""Weights are measured on people they were not trained on, and adopted only where the gain is beyond doubt."""

from dataclasses import replace

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.clips import people
from heygem_daemon.lipsync.adaptation.cross_validation import Method, can_split_by_person, cross_validate, group_folds
from tests.lipsync.adaptation.conftest import Gains, make_clip

CLIPS = [make_clip(f"{person}-{i:04d}", person, seed=10 * p + i) for p, person in enumerate("abcdefg") for i in range(2)]


def test_nobody_who_is_held_out_is_learned_from_and_everybody_is_held_out_once() -> None:
    folds = group_folds(CLIPS)
    assert len(folds) == 5
    for fold in folds:
        assert set(people(fold.held_out)).isdisjoint(people(fold.train))
        assert len(fold.held_out) + len(fold.train) == len(CLIPS)
    assert sorted(clip.name for fold in folds for clip in fold.held_out) == [clip.name for clip in CLIPS]


def test_of_two_people_parts_of_the_time_are_held_out_neighbours_together() -> None:
    clips = [replace(clip, person="a") for clip in CLIPS[:6]]
    assert not can_split_by_person(clips)
    assert [[clip.name for clip in fold.held_out] for fold in group_folds(clips)] == [
        ["a-0000", "a-0001"],
        ["b-0000", "b-0001"],
        ["c-0000", "c-0001"],
    ]


def test_what_is_learned_from_mouths_that_follow_the_audio_is_better(method: Method[Gains]) -> None:
    result = cross_validate(CLIPS, method)
    assert result.by_person
    assert result.before.opening_r < 0
    assert result.after.opening_r > 0.8
    assert result.gain > 0.8
    assert result.is_better


def test_what_is_learned_from_mouths_that_follow_something_else_is_not_adopted(method: Method[Gains]) -> None:
    good = replace(method, shipped=np.array([2.0, 0.0]))
    strange = [make_clip(clip.name, clip.person, seed=i, follows=False) for i, clip in enumerate(CLIPS)]
    result = cross_validate(strange, good)
    assert not result.is_better
    assert "gain" in result.rejections[0]


def test_weights_that_are_as_good_as_those_in_force_are_not_adopted(method: Method[Gains]) -> None:
    first = cross_validate(CLIPS, method)
    again = cross_validate(CLIPS, method, in_force=first.scores)
    assert again.gain == pytest.approx(0)
    assert not again.is_better


def test_weights_that_flatten_the_motion_are_not_adopted_however_well_they_correlate(method: Method[Gains]) -> None:
    result = cross_validate(CLIPS, method)
    flat = replace(result, before=replace(result.before, amplitude=1.0), after=replace(result.after, amplitude=0.5))
    assert flat.rejections == ("amplitude 1.00 -> 0.50",)


def test_few_clips_that_disagree_prove_nothing(method: Method[Gains]) -> None:
    result = replace(cross_validate(CLIPS, method), gain=0.02, error=0.03)
    assert result.rejections == ("the gain of +0.020 is below 0.038",)
