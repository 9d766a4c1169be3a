"""From a video to the tracks of its speaking face."""

import subprocess
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from heygem_daemon.core.errors import InputError, SetupError
from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.face_tracks import FaceSelection, FaceTracks
from heygem_daemon.lipsync.progress import Progress
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from tests.lipsync.face.conftest import as_frame

Scene = Callable[..., Image]
RATE = Fraction(25)


@pytest.fixture
def track(weights: Path, tmp_path: Path) -> Callable[..., FaceTracks]:
    def run(images: Iterable[Image], selection: FaceSelection = "largest") -> FaceTracks:
        images = list(images)
        frames = (as_frame(image, i) for i, image in enumerate(images))
        size = (images[0].shape[1], images[0].shape[0])
        return track_video(frames, size=size, frame_rate=RATE, models=weights, selection=selection, directory=tmp_path)

    return run


def read(path: Path, weights: Path, directory: Path, stop: int | None = None) -> FaceTracks:
    info = probe(path)
    assert info.video is not None
    size = (info.video.width, info.video.height)
    return track_video(VideoReader(info).frames(0, stop), size=size, frame_rate=info.video.frame_rate, models=weights, directory=directory)


def test_a_clip_is_tracked_on_every_frame(portrait_clip: Path, weights: Path, tmp_path: Path) -> None:
    tracks = read(portrait_clip, weights, tmp_path)
    assert (tracks.frames, tracks.size, tracks.frame_rate) == (50, (384, 384), RATE)
    assert tracks.valid.all()
    assert (tracks.shot == 0).all()
    landmarks = tracks.landmarks(0, 50)
    frames = np.arange(50)
    drift = -(16 * np.sin(2 * np.pi * frames / 50)) * 384 / 440
    found = landmarks[:, [33, 263, 1, 152], 0].mean(axis=1)
    assert np.corrcoef(found, drift)[0, 1] > 0.995
    assert np.abs((found - found.mean()) - (drift - drift.mean())).max() < 2, "pixels"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames.npy", "landmarks.f32", "tracks.json"]


def test_a_still_image_is_a_video_of_one_frame(track: Callable[..., FaceTracks], face: Image) -> None:
    tracks = track([face])
    assert tracks.frames == 1
    assert tracks.valid.tolist() == [True]


@pytest.mark.parametrize(("selection", "x"), [("left", 120), ("right", 480), ("largest", 480), (0, 120)])
def test_the_selected_one_of_two_faces_is_kept(track: Callable[..., FaceTracks], scene: Scene, selection: FaceSelection, x: float) -> None:
    tracks = track([scene((30, 70, 0.7), (360, 50, 0.95))] * 5, selection)
    assert tracks.valid.all()
    assert tracks.landmarks(0, 5)[:, 1, 0] == pytest.approx([x] * 5, abs=6)


def test_every_shot_has_its_own_face_and_frames_without_one_pass(track: Callable[..., FaceTracks], scene: Scene) -> None:
    slide = cv2.resize(np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8), (640, 360), interpolation=cv2.INTER_NEAREST)
    first, second = scene((30, 50, 1.0), wall=1), scene((330, 60, 0.9), wall=2)
    tracks = track([first] * 4 + [slide] * 6 + [second] * 4)
    assert tracks.shot.tolist() == [0] * 4 + [1] * 6 + [2] * 4
    assert tracks.valid.tolist() == [True] * 4 + [False] * 6 + [True] * 4
    landmarks = tracks.landmarks(0, 14)
    assert np.isnan(landmarks[4:10]).all()
    assert landmarks[3, 1, 0] < 200
    assert landmarks[10, 1, 0] > 400


def test_a_video_without_any_face_is_refused_by_name(weights: Path, tmp_path: Path) -> None:
    frames = (as_frame(np.full((120, 160, 3), 20 * i, np.uint8), i) for i in range(10))
    with pytest.raises(InputError) as caught:
        track_video(frames, size=(160, 120), frame_rate=RATE, models=weights, directory=tmp_path, name="slides.mp4")
    assert caught.value.code == "no_face"
    assert "slides.mp4" in caught.value.message


def test_missing_models_are_a_setup_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        track_video([], size=(64, 64), frame_rate=RATE, models=tmp_path, directory=tmp_path / "tracks")
    assert caught.value.code == "models_missing"


def test_progress_counts_every_frame(weights: Path, tmp_path: Path, face: Image) -> None:
    steps: list[Progress] = []
    frames = (as_frame(face, i) for i in range(4))
    track_video(frames, size=(256, 256), frame_rate=RATE, models=weights, directory=tmp_path, total=3, on_progress=steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [
        ("analyse", 1, 3),
        ("analyse", 2, 3),
        ("analyse", 3, 3),
        ("analyse", 4, 4),
    ]


@pytest.mark.family(5)
@pytest.mark.parametrize(
    ("name", "eyes"),
    [
        ("latentsync_demo2_1080x1920_25_hevc.mp4", 167),
        ("latentsync_demo3_1080x1920_30_hevc.mp4", 128),
        ("softcatala_webcam_1080x720_30.mp4", 204),
        ("vr_face2_844_25_h264.mp4", 188),
        ("vr_face4_700_30_h264.mp4", 131),
    ],
)
def test_no_frame_of_a_real_clip_is_lost(shared_media: Path, weights: Path, tmp_path: Path, name: str, eyes: float) -> None:
    tracks = read(shared_media / name, weights, tmp_path, stop=60)
    assert tracks.valid.all()
    landmarks = tracks.landmarks(0, 60)
    assert np.median(np.linalg.norm(landmarks[:, 33] - landmarks[:, 263], axis=1)) == pytest.approx(eyes, rel=0.12)


@pytest.mark.slow  # every shot has its own face above
def test_real_clips_cut_together_are_separated_at_the_exact_frame(shared_media: Path, weights: Path, tmp_path: Path) -> None:
    a, b = shared_media / "vr_face2_844_25_h264.mp4", shared_media / "vr_face4_700_30_h264.mp4"
    graph = ";".join(
        [
            "[0:v]scale=480:480,setsar=1,fps=25,trim=end_frame=30[a]",
            "[1:v]scale=480:480,setsar=1,fps=25,trim=end_frame=25[b]",
            "testsrc2=s=480x480:r=25,trim=end_frame=20,setsar=1[c]",
            "[a][c][b]concat=n=3",
        ]
    )
    clip = tmp_path / "cut.mp4"
    command = (
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(a),
        "-i",
        str(b),
        "-filter_complex",
        graph,
        "-an",
        "-r",
        "25",
        "-preset",
        "veryfast",
        str(clip),
    )
    subprocess.run(command, check=True, timeout=60)
    tracks = read(clip, weights, tmp_path / "tracks")
    assert tracks.shot.tolist() == [0] * 30 + [1] * 20 + [2] * 25
    assert tracks.valid.tolist() == [True] * 30 + [False] * 45, "the last shot shows somebody else"
