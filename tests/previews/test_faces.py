"""The face check says who could speak, and counts them as the engine does."""

import subprocess
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.face_tracks import FaceSelection
from heygem_daemon.lipsync.geometry.pose import fit_pose, mean_face
from heygem_daemon.lipsync.imaging import visibility
from heygem_daemon.lipsync.style import speech_track
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import DEFAULT_LIMITS
from heygem_daemon.previews import faces
from heygem_daemon.previews.faces import check_faces, report
from heygem_daemon.previews.protocol import Kind, PreviewRequest
from heygem_daemon.previews.stills import sample
from heygem_daemon.previews.work import PreviewWork
from tests.media.heic import encode_frame, heic
from tests.previews.conftest import ffmpeg


def check(path: Path, weights: Path) -> Mapping[str, Any]:
    return report(check_faces(sample(check_video(path)), weights))


def driven_at(path: Path, weights: Path, selection: FaceSelection, folder: Path) -> tuple[float, float]:
    """Return the middle of the face that a render with this option would drive, in fractions of the image."""
    info = check_video(path)
    assert info.video is not None
    size = (info.video.width, info.video.height)
    rate = Fraction(info.video.frame_rate)
    frames = VideoReader(info).frames()
    tracks = track_video(frames, size=size, frame_rate=rate, models=weights, selection=selection, directory=folder / str(selection))
    middle = np.nanmean(tracks.landmarks(0, tracks.frames)[:, :, :2], axis=(0, 1)) / size
    return float(middle[0]), float(middle[1])


def middle(face: Mapping[str, float]) -> tuple[float, float]:
    return face["x"] + face["width"] / 2, face["y"] + face["height"] / 2


def test_one_face_towards_the_camera_is_good(portrait_clip: Path, weights: Path) -> None:
    found = check(portrait_clip, weights)
    assert (found["verdict"], found["width"], found["height"]) == ("good", 384, 384)
    (face,) = found["faces"]
    assert (face["number"], face["verdict"]) == (0, "good")
    assert 60 < face["pixels"] < 150
    assert abs(face["yaw"]) < 19
    assert face["pixels"] == pytest.approx(face["width"] * 384, abs=1)


@pytest.mark.family(2)
@pytest.mark.parametrize("clip", ["two_faces", "two_people"])
def test_the_number_of_a_face_is_the_one_that_the_engine_drives(
    clip: str, request: pytest.FixtureRequest, weights: Path, tmp_path: Path
) -> None:
    path = request.getfixturevalue(clip)
    found = check(path, weights)
    assert found["verdict"] == "several"
    assert [face["number"] for face in found["faces"]] == [0, 1]
    assert middle(found["faces"][0])[0] < middle(found["faces"][1])[0]
    for face in found["faces"]:
        assert driven_at(path, weights, face["number"], tmp_path) == pytest.approx(middle(face), abs=0.05)
    assert driven_at(path, weights, "left", tmp_path) == pytest.approx(middle(found["faces"][0]), abs=0.05)


@pytest.mark.slow  # tests/lipsync/face/test_selection.py has the rule
def test_a_face_much_smaller_than_another_has_no_number_as_in_a_render(portrait: Path, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "background.png"
    ffmpeg("-i", portrait, "-filter_complex", "[0]split[a][b];[b]scale=110:110,pad=110:512[s];[s][a]hstack", path)
    found = check(path, weights)
    assert [face["number"] for face in found["faces"]] == [0]
    assert driven_at(path, weights, 0, tmp_path) == pytest.approx(middle(found["faces"][0]), abs=0.03)


def test_without_a_face_there_is_none(faceless: Path, weights: Path) -> None:
    assert check(faceless, weights) == {"verdict": "none", "faces": [], "width": 320, "height": 240}


def test_a_face_whose_lips_move_less_than_the_trackers_noise_is_too_small(portrait: Path, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    ffmpeg("-i", portrait, "-vf", "scale=256:256", path)
    found = check(path, weights)
    assert (found["verdict"], found["faces"][0]["verdict"]) == ("too_small", "too_small")
    assert faces.SMALLEST_FACE == speech_track.SMALLEST_FACE


def test_a_face_of_which_the_mouth_gets_worse_is_turned(portrait_clip: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaw = check(portrait_clip, weights)["faces"][0]["yaw"]
    monkeypatch.setattr(faces, "LARGEST_YAW", abs(yaw) - 0.1)
    assert check(portrait_clip, weights)["verdict"] == "turned"
    assert visibility.pose_view(faces.LARGEST_YAW).weight == 1


@pytest.mark.slow
def test_a_head_turned_aside_is_measured_as_the_renderer_measures_it(shared_media: Path, weights: Path, tmp_path: Path) -> None:
    """In this clip the head turns from 3 to 23 degrees within a second."""
    info = check_video(shared_media / "latentsync_demo2_1080x1920_25_hevc.mp4")
    assert info.video is not None
    size = (info.video.width, info.video.height)
    frames = VideoReader(info).frames(0, 38)
    tracks = track_video(frames, size=size, frame_rate=info.video.frame_rate, models=weights, directory=tmp_path)
    landmarks = tracks.landmarks(0, 38)
    rendered = fit_pose(landmarks.astype(np.float64), mean_face(tracks)).angles()[:, 0]
    assert np.ptp(rendered) > 15
    assert [faces._pose(each)[1] for each in landmarks] == pytest.approx(rendered, abs=1)


def test_a_video_that_begins_black_shows_the_face_that_follows(portrait_clip: Path, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "fade.mp4"
    ffmpeg("-i", portrait_clip, "-vf", "trim=end=1.6,fade=in:st=0:d=0.9", "-an", path)
    found = check_faces(sample(check_video(path)), weights)
    assert report(found)["verdict"] == "good"
    assert found.shown.frame.y.mean() > 60


@pytest.mark.family(2)
@pytest.mark.parametrize("turn", [90, 180])
def test_a_video_that_was_filmed_sideways_is_shown_upright(portrait_clip: Path, weights: Path, tmp_path: Path, turn: int) -> None:
    path = tmp_path / "turned.mp4"
    turned = {90: "transpose=cclock", 180: "hflip,vflip"}[turn]
    raw = tmp_path / "raw.mp4"
    ffmpeg("-i", portrait_clip, "-vf", f"crop=384:300:0:0,{turned}", "-an", raw)
    ffmpeg("-display_rotation", -turn, "-i", raw, "-c", "copy", path) if _knows_rotation() else _tag_rotation(raw, path, turn)
    found = check(path, weights)
    assert (found["width"], found["height"], found["verdict"]) == (384, 300, "good")
    assert middle(found["faces"][0])[1] < 0.75


def _knows_rotation() -> bool:
    return b"display_rotation" in subprocess.run(("ffmpeg", "-h", "full"), capture_output=True, check=True).stdout


def _tag_rotation(raw: Path, path: Path, turn: int) -> None:
    ffmpeg("-i", raw, "-c", "copy", "-metadata:s:v:0", f"rotate={turn}", path)


@pytest.mark.family(4)
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "heic"])
def test_portraits_of_every_kind_are_checked_upright(portrait: Path, weights: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"portrait.{kind}"
    if kind == "heic":
        path.write_bytes(heic(encode_frame(portrait, tmp_path), (512, 512)))
    else:
        ffmpeg("-i", portrait, path)
    assert check(path, weights)["verdict"] == "good"


def test_a_photo_that_a_phone_turned_is_upright(portrait: Path, weights: Path, tmp_path: Path) -> None:
    image = cv2.rotate(np.asarray(cv2.imread(str(portrait)))[:400], cv2.ROTATE_90_COUNTERCLOCKWISE)
    done, encoded = cv2.imencode(".jpg", image)
    assert done
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = encoded.tobytes()
    path = tmp_path / "phone.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    found = check(path, weights)
    assert (found["width"], found["height"], found["verdict"]) == (512, 400, "good")


@pytest.mark.slow
def test_a_still_of_a_large_video_counts_the_pixels_of_the_video(portrait: Path, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "frame.jpg"
    ffmpeg("-i", portrait, "-vf", "pad=1920:1080:0:0,scale=3840:2160", path)
    work = PreviewWork(models=weights, limits=DEFAULT_LIMITS)
    requests = [PreviewRequest(number=1, kind=Kind.FACES, path=str(path), is_frame=is_frame) for is_frame in (True, False)]
    as_frame, as_portrait = (work(request)["faces"][0]["pixels"] for request in requests)
    assert as_frame == pytest.approx(2 * as_portrait, abs=2)


def test_missing_models_are_named(portrait: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        check(portrait, tmp_path)
    assert caught.value.code == "models_missing"
