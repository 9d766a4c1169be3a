"""Frames that are not driven are counted by their reason, and a result in which the old mouth speaks most of the words is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.lipsync.arrays import Bool
from heygem_daemon.lipsync.driven_frames import DrivenFrames, EarlyCheck, expected_frames
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.imaging.visibility import COVERED_VIEW, pose_view
from heygem_daemon.lipsync.ports import CLEAR_VIEW, MouthView, NotDriven
from tests.lipsync.wav2lip.tracked import write_tracks

Runs = Sequence[tuple[NotDriven | None, int, bool]]
"""Reason, number of frames, whether somebody speaks in them."""
FACELESS, TURNED, COVERED = NotDriven.NO_FACE, NotDriven.TURNED, NotDriven.COVERED


def counted(runs: Runs) -> DrivenFrames:
    frames = DrivenFrames()
    for reason, count, is_speech in runs:
        for _ in range(count):
            frames.add(reason, is_speech=is_speech)
    return frames


def test_the_share_is_that_of_all_frames_and_each_reason_has_its_own() -> None:
    frames = counted([(None, 85, True), (TURNED, 12, True), (FACELESS, 3, False)])
    assert frames.share == 0.15
    assert frames.shares() == {"no_face": 0.03, "turned": 0.12, "covered": 0.0}


def test_no_frame_is_no_share() -> None:
    assert (DrivenFrames().share, DrivenFrames().share_of_speech, DrivenFrames().warnings()) == (0, 0, {})


@pytest.mark.parametrize(
    ("runs", "codes"),
    [
        ([(None, 100, True)], set()),
        ([(None, 95, True), (TURNED, 5, True)], set()),
        ([(None, 94, True), (TURNED, 6, True)], {"head_turned"}),
        ([(None, 94, True), (COVERED, 6, True)], {"mouth_covered"}),
        ([(None, 94, True), (FACELESS, 6, True)], {"frames_without_face"}),
        ([(None, 80, True), (FACELESS, 10, True), (COVERED, 10, True)], {"frames_without_face", "mouth_covered"}),
        ([(None, 92, True), (FACELESS, 4, True), (TURNED, 3, True), (COVERED, 1, True)], {"frames_without_face"}),
        ([(None, 90, True), (FACELESS, 8, True), (TURNED, 2, True)], {"frames_without_face"}),
    ],
)
def test_a_warning_names_each_reason_above_five_percent_or_the_main_one(runs: Runs, codes: set[str]) -> None:
    assert set(counted(runs).warnings()) == codes


def test_a_warning_says_how_many_frames() -> None:
    assert counted([(None, 82, True), (TURNED, 18, False)]).warnings() == {"head_turned": "18% of the frames."}


@pytest.mark.parametrize(
    ("runs", "limit", "is_refused"),
    [
        ([(None, 50, True), (TURNED, 50, True)], 0.5, False),
        ([(None, 49, True), (TURNED, 51, True)], 0.5, True),
        ([(None, 20, True), (TURNED, 80, False)], 0.5, False),
        ([(None, 80, False), (TURNED, 20, True)], 0.5, True),
        ([(COVERED, 100, True)], 0.99, True),
        ([(COVERED, 100, True)], 1.0, False),
        ([(None, 89, True), (FACELESS, 11, True)], 0.1, True),
        ([(None, 30, False), (COVERED, 70, False)], 0.5, True),
        ([(None, 70, False), (COVERED, 30, False)], 0.5, False),
    ],
)
def test_more_than_the_limit_of_the_speech_is_refused_and_silence_does_not_count_unless_nobody_speaks(
    runs: Runs, limit: float, is_refused: bool
) -> None:
    frames = counted(runs)
    if not is_refused:
        frames.refuse(limit, "a.mp4")
        return
    with pytest.raises(InputError) as caught:
        frames.refuse(limit, "a.mp4")
    assert caught.value.code == "too_few_frames_driven"


@pytest.mark.parametrize(
    ("reason", "words"),
    [(TURNED, "the head is turned away"), (COVERED, "the mouth is covered"), (FACELESS, "the presenter's face is not visible")],
)
def test_the_refusal_names_the_video_the_share_and_the_reason_that_most_of_the_speech_has(reason: NotDriven, words: str) -> None:
    other = next(each for each in NotDriven if each is not reason)
    with pytest.raises(InputError) as caught:
        counted([(None, 20, True), (reason, 60, True), (other, 20, True), (other, 300, False)]).refuse(0.5, "a.mp4")
    assert "a.mp4" in caught.value.message
    assert "80%" in caught.value.message
    assert words in caught.value.message
    assert "0.5" in caught.value.hint


# -- before rendering --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tracks(tmp_path: Path) -> FaceTracks:
    """The tracks of a video of one shot, 40 frames."""
    return write_tracks(tmp_path / "tracks", [None] * 40)


def expected(tracks: FaceTracks, views: Sequence[MouthView], shown: Sequence[int] | None = None) -> DrivenFrames:
    shown = range(len(views)) if shown is None else shown
    return expected_frames(views, shown, tracks, [True] * len(shown))


def test_what_is_expected_has_the_ramps_of_the_renderers(tracks: FaceTracks) -> None:
    views = [CLEAR_VIEW] * 20 + [pose_view(90.0)] * 10 + [CLEAR_VIEW] * 10
    assert expected(tracks, views).not_driven == {TURNED: 14}


def test_a_video_played_back_and_forth_counts_as_often_as_it_is_shown(tracks: FaceTracks) -> None:
    views = [CLEAR_VIEW] * 20 + [COVERED_VIEW] * 20
    shown = [*range(40), *range(38, -1, -1)]
    assert expected(tracks, views, shown).not_driven == {COVERED: 20 + 2 + 19 + 2}


def test_nothing_fades_across_a_jump(tracks: FaceTracks) -> None:
    views = [CLEAR_VIEW] * 20 + [COVERED_VIEW] * 20
    assert expected(tracks, views, [*range(15), *range(25, 40)]).not_driven == {COVERED: 15}


def check_with(tracks: FaceTracks, speech: Bool, limit: float = 0.5) -> EarlyCheck:
    return EarlyCheck(name="a.mp4", limit=limit, tracks=tracks, frames=len(speech), listen=lambda: speech)


def test_a_hopeless_video_is_refused_early_and_a_doubtful_one_is_rendered(tracks: FaceTracks) -> None:
    def check(covered: int, limit: float = 0.5) -> None:
        views = [COVERED_VIEW] * covered + [CLEAR_VIEW] * (40 - covered)
        check_with(tracks, np.ones(40, bool), limit)(views)

    check(18)
    check(19)  # with its ramp 21 of 40, too close to the limit to be sure
    with pytest.raises(InputError) as caught:
        check(30)
    assert caught.value.code == "too_few_frames_driven"
    check(40, limit=1.0)
    EarlyCheck(name="a.mp4", limit=0.5, tracks=tracks, frames=40, listen=None)([COVERED_VIEW] * 40)


def test_only_the_speech_counts_early_too(tracks: FaceTracks) -> None:
    speech = np.arange(40) < 10
    views = [CLEAR_VIEW] * 15 + [COVERED_VIEW] * 25
    check_with(tracks, speech)(views)
    with pytest.raises(InputError):
        check_with(tracks, ~speech)(views)


def test_nobody_listens_to_the_recording_of_a_video_that_shows_the_mouth(tracks: FaceTracks) -> None:
    def fail() -> NoReturn:
        raise AssertionError("the recording was read")

    check = EarlyCheck(name="a.mp4", limit=0.5, tracks=tracks, frames=40, listen=fail)
    check([CLEAR_VIEW] * 36 + [COVERED_VIEW] * 4)
    with pytest.raises(AssertionError):
        check([CLEAR_VIEW] * 20 + [COVERED_VIEW] * 20)
