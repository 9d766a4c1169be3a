"""Nobody is evaluated with weights trained on them."""

from dataclasses import replace

import pytest

from tests.lipsync.adaptation.conftest import make_clip
from training.splits import HELD_OUT, SAME_PERSON, folds, person_of

BASE = make_clip("x", "x", seed=0, seconds=1)
PERSONS = {"a": 12, "b": 1, "c": 3, "d": 5, "e": 5, "grid_s1": 2, "grid_bbaf2n": 1}
"""Person -> clips of a second."""
CLIPS = [replace(BASE, name=f"{person}-{i}", person=person) for person, count in PERSONS.items() for i in range(count)]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_everybody_is_in_one_fold_and_only_in_one(count: int) -> None:
    groups = folds(CLIPS, count)
    assert len(groups) == count
    assert all(groups)
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert set().union(*groups) == {person_of(clip) for clip in CLIPS}


def test_two_labels_of_one_person_are_in_the_same_fold() -> None:
    assert SAME_PERSON["grid_bbaf2n"] == "grid_s1"
    assert person_of(CLIPS[-1]) == "grid_s1"
    assert person_of(CLIPS[0]) == "a"
    assert not any("grid_bbaf2n" in group for group in folds(CLIPS, 3))


def test_who_is_held_out_is_held_out_under_every_label() -> None:
    assert {person_of(clip) for clip in CLIPS if clip.person in {"grid_s1", "grid_bbaf2n"}} <= HELD_OUT


def test_folds_are_of_about_equal_length() -> None:
    groups = folds(CLIPS, 3)
    loads = sorted(sum(person_of(clip) in group for clip in CLIPS) for group in groups)
    assert loads == [8, 9, 12]


def test_the_order_of_the_clips_does_not_matter() -> None:
    assert folds(CLIPS, 4) == folds(CLIPS[::-1], 4)
