"""How much of a drawn mouth shows: by the turn of the head, by gaps around, and by what covers the mouth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.atlas.renderer import PreparedAtlas
from heygem_daemon.lipsync.geometry.pose import FaceReader
from heygem_daemon.lipsync.imaging.visibility import COVERED_VIEW, faded_view, pose_view, pose_views, presenter_visibility
from heygem_daemon.lipsync.ports import CLEAR_VIEW, MouthView, NotDriven
from heygem_daemon.lipsync.wav2lip.renderer import PasteRenderer
from tests.lipsync.conftest import Clip
from tests.lipsync.wav2lip.tracked import write_tracks


@pytest.mark.parametrize(
    ("yaw", "weight", "limit", "not_driven"),
    [
        (0.0, 1.0, None, None),
        (-40.0, 1.0, None, None),
        (42.9, None, NotDriven.TURNED, None),
        (-43.1, None, NotDriven.TURNED, NotDriven.TURNED),
        (46.0, 0.0, NotDriven.TURNED, NotDriven.TURNED),
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


@pytest.mark.parametrize(
    ("yaw", "yaws", "weight"),
    [
        (38.0, [0.0, 31.0], 1.0),  # within 8 degrees of a frame there is a mouth from
        (38.0, [0.0, 27.0], 0.5),
        (38.0, [0.0, 24.0], 0.0),
        (38.0, [-38.0, 0.0], 0.0),  # turned the other way
        (23.0, [-38.0], 1.0),  # what looks roughly at the camera takes any mouth
        (27.0, [0.0], 0.5),
        (50.0, [50.0], 0.0),
        (38.0, [], 1.0),  # not known
    ],
)
def test_a_turned_head_is_drawn_where_the_presenter_shows_a_mouth_of_like_yaw(yaw: float, yaws: list[float], weight: float) -> None:
    for side in (1, -1):
        view = pose_view(side * yaw, yaws=side * np.array(yaws))
        assert view.weight == pytest.approx(weight)
        assert view.limit is (None if weight == 1 else NotDriven.TURNED)


def test_what_a_presenter_shows_decides_on_a_turned_head(clip: Clip, prepared: PreparedAtlas) -> None:
    def view(yaw: float, shown: float) -> MouthView:
        """Return the view of a head at `yaw` of a presenter whose heads are turned by `shown` more than they are."""
        faces = prepared.presenter.faces
        presenter = replace(prepared.presenter, faces=replace(faces, angles=faces.angles + np.array([shown, 0, 0])))
        face = FaceReader(clip.tracks, presenter.reference)(5)
        assert face is not None
        return presenter_visibility(presenter)(clip.frames[5], replace(face, angles=face.angles + np.array([yaw, 0, 0])))

    assert view(0.0, 0.0) == view(30.0, 30.0) == CLEAR_VIEW
    assert view(30.0, 0.0).not_driven is NotDriven.TURNED


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

    yaws = [0.0, 5.0, -5.0, 0.0, None, 55.0, -55.0, 35.0]
    tracks = write_tracks(tmp_path, [None if yaw is None else turned(yaw) for yaw in yaws])
    away, faceless = NotDriven.TURNED, NotDriven.NO_FACE
    assert [view.not_driven for view in pose_views(tracks)] == [None, None, None, None, faceless, away, away, None]
    assert [view.not_driven for view in pose_views(tracks, PasteRenderer.yaw_fade)] == [None, None, None, None, faceless, away, away, away]
