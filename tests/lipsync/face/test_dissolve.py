"""Cross-dissolves."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.face.dissolve import DissolveDetector
from heygem_daemon.lipsync.face.image_view import ImageView
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader

RATE = Fraction(25)
BEFORE = 20


@pytest.fixture(scope="module")
def shots(scene: Callable[..., Image]) -> tuple[Float32, Float32]:
    """Two thumbnails of different shots."""
    first, second = scene((60, 60, 1.0), wall=1), scene((330, 60, 1.1), wall=2)
    return ImageView(first).thumbnail(), ImageView(second).thumbnail()


def found(thumbnails: list[Float32]) -> set[int]:
    """Return the numbers of the frames that belong to a dissolve."""
    detector, frames = DissolveDetector(RATE), set()
    for number, thumbnail in enumerate(thumbnails):
        detector.push(thumbnail)
        if dissolve := detector.find():
            assert dissolve[0] <= detector.window
            frames |= set(range(number - dissolve[0], number - dissolve[1] + 1))
    return frames


def mixed(first: Float32, second: Float32, frames: int) -> list[Float32]:
    return [first * (1 - k / (frames + 1)) + second * (k / (frames + 1)) for k in range(1, frames + 1)]


@pytest.mark.parametrize("frames", [5, 12, 25, 48])
def test_the_frames_of_a_dissolve_are_found(shots: tuple[Float32, Float32], frames: int) -> None:
    first, second = shots
    dissolve = found([first] * BEFORE + mixed(first, second, frames) + [second] * 30)
    wanted = set(range(BEFORE, BEFORE + frames))
    assert dissolve <= wanted
    assert len(wanted - dissolve) <= 0.12 * frames, "only those in which one shot shows hardly"


def test_a_cut_is_no_dissolve(shots: tuple[Float32, Float32]) -> None:
    first, second = shots
    assert not found([first] * 30 + [second] * 30)


def test_a_change_of_light_and_a_fade_to_black_are_none(shots: tuple[Float32, Float32]) -> None:
    first, _ = shots
    assert not found([first] * BEFORE + mixed(first, 0.4 * first, 12) + [0.4 * first] * 30)
    assert not found([first] * BEFORE + mixed(first, 0 * first, 12) + [0 * first] * 30)


def test_a_camera_that_pans_is_none(scene: Callable[..., Image]) -> None:
    wide = scene((190, 60, 1.1), (900, 60, 1.1), size=(1600, 360))
    steps = [0] * 20 + list(range(0, 900, 30)) + [900] * 20
    views = [ImageView(np.ascontiguousarray(wide[:, x : x + 640])).thumbnail() for x in steps]
    assert not found(views)


@pytest.mark.parametrize("name", ["vr_face4_700_30_h264.mp4", "softcatala_webcam_1080x720_30.mp4"])
def test_people_who_move_are_none_and_dissolve_into_each_other(shared_media: Path, name: str) -> None:
    def thumbnails(clip: str) -> list[Float32]:
        small = (ImageView(frame) for frame in VideoReader(check_video(shared_media / clip)).frames(0, 80))
        return [view.thumbnail()[:36, :36] for view in small]

    hers, his = thumbnails(name), thumbnails("vr_face2_844_25_h264.mp4")
    assert not found(hers)
    blend = [hers[40 + k] * (1 - (k + 1) / 16) + his[k] * ((k + 1) / 16) for k in range(15)]
    dissolve = found(hers[:40] + blend + his[15:60])
    assert dissolve <= set(range(40, 55))
    assert len(dissolve) >= 13
