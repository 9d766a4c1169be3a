"""How much of a drawn mouth shows: by the turn of the head, by gaps around, and by what covers the mouth."""

from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.imaging.visibility import COVERED_VIEW, faded_view, pose_view, pose_views
from heygem_daemon.lipsync.ports import CLEAR_VIEW, MouthView, NotDriven
from tests.lipsync.wav2lip.tracked import write_tracks


@pytest.mark.parametrize(
    ("yaw", "weight", "limit", "not_driven"),
    [
        (0.0, 1.0, None, None),
        (-23.0, 1.0, None, None),
        (26.9, None, NotDriven.TURNED, None),
        (-27.1, None, NotDriven.TURNED, NotDriven.TURNED),
        (31.0, 0.0, NotDriven.TURNED, NotDriven.TURNED),
        (-80.0, 0.0, NotDriven.TURNED, NotDriven.TURNED),
        (None, 0.0, NotDriven.NO_FACE, NotDriven.NO_FACE),
    ],
)
def test_a_head_that_turns_away_is_drawn_less_and_less(
    yaw: float | None, weight: float | None, limit: NotDriven | None, not_driven: NotDriven | None
) -> None:
    view = pose_view(yaw)
    assert weight is None or view.weight == weight
    assert (view.limit, view.not_driven) == (limit, not_driven)


def test_a_frame_next_to_a_gap_has_the_reason_of_the_gap() -> None:
    view = faded_view([COVERED_VIEW], [CLEAR_VIEW, CLEAR_VIEW])
    assert view.weight == pytest.approx(1 / 6)
    assert view.not_driven is NotDriven.COVERED
    assert faded_view([CLEAR_VIEW] * 2 + [COVERED_VIEW], [CLEAR_VIEW]).not_driven is None


def test_the_nearer_gap_decides() -> None:
    turned = MouthView(weight=0.0, limit=NotDriven.TURNED)
    assert faded_view([CLEAR_VIEW, turned], [CLEAR_VIEW, COVERED_VIEW]).not_driven is NotDriven.COVERED
    assert faded_view([turned], [CLEAR_VIEW, CLEAR_VIEW, COVERED_VIEW]).not_driven is NotDriven.TURNED


def test_between_clear_frames_all_of_the_mouth_shows() -> None:
    assert faded_view([CLEAR_VIEW] * 6, [CLEAR_VIEW] * 6) == CLEAR_VIEW


def test_the_views_of_a_video_go_by_its_tracks(face: np.ndarray, tmp_path: Path) -> None:
    def turned(degrees: float) -> np.ndarray:
        angle = np.radians(degrees)
        rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        return np.asarray(100 * face @ rotation.T + 200, np.float32)

    yaws = [0.0, 5.0, -5.0, 0.0, None, 45.0, -45.0, 2.0]
    views = pose_views(write_tracks(tmp_path, [None if yaw is None else turned(yaw) for yaw in yaws]))
    turned_away, faceless = NotDriven.TURNED, NotDriven.NO_FACE
    assert [view.not_driven for view in views] == [None, None, None, None, faceless, turned_away, turned_away, None]
