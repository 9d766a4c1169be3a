"""A face that moves by itself is told from one that is still, whatever the camera does."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.face.shape_motion import FEWEST_FRAMES, LEAST_MOTION, ShapeMotion
from heygem_daemon.lipsync.geometry.mouth_prior import opening_motion
from heygem_daemon.lipsync.geometry.pose import mean_face
from tests.lipsync.conftest import Clip

FRAMES: Final = 75
NOISE: Final = 0.006
"""IOD, the standard deviation of a landmark of a noisy video from frame to frame."""


@pytest.fixture(scope="module")
def face(clip: Clip) -> Float64:
    """The mean canonical face of the portrait, [468, 3]."""
    return mean_face(clip.tracks)


def head(face: Float64, *, yaw: float = 0.0, opening: float = 0.0) -> Float64:
    """Return points [468, 2] in IOD of a turned head (degrees) with the mouth open (IOD)."""
    turned: Float64 = (face + opening * opening_motion(face)) @ Rotation.from_euler("y", yaw, degrees=True).as_matrix().T
    return turned[:, :2]


def filmed(points: Float64, camera: Float64) -> Float32:
    """Return landmarks [468, 3] in pixels through a camera: an affine map [2, 3]."""
    seen = points @ camera[:, :2].T + camera[:, 2]
    return np.column_stack([seen, np.zeros(len(seen))]).astype(np.float32)


def camera(*, x: float = 400, y: float = 300, scale: float = 60, roll: float = 0, slant: float = 0) -> Float64:
    cos, sin = np.cos(roll), np.sin(roll)
    return np.column_stack([scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[1 - slant, slant], [0, 1]]), (x, y)])


CAMERAS: Final[dict[str, Callable[[float], Float64]]] = {
    "still": lambda _: camera(),
    "panning": lambda t: camera(x=100 + 200 * t),
    "zooming": lambda t: camera(scale=60 + 30 * t),
    "turning": lambda t: camera(roll=0.5 * t),
    "upside_down": lambda _: camera(roll=np.pi),
    "shaking": lambda t: camera(x=400 + 9 * np.sin(11 * t), y=300 + 7 * np.sin(17 * t), roll=0.05 * np.sin(8 * t)),
    "walking": lambda t: camera(x=300 + 40 * t, slant=0.1 * np.sin(2 * t)),
}


def motion(
    face: Float64, seen: Callable[[float], Float64], *, yaw: float = 0, opening: float = 0, noise: float = NOISE, frames: int = FRAMES
) -> ShapeMotion:
    """Return the motion of a head that turns by `yaw` degrees to either side and opens the mouth by up to `opening` IOD."""
    random, result = np.random.default_rng(0), ShapeMotion()
    for frame in range(frames):
        time = frame / 25
        points = head(face, yaw=yaw * np.sin(3 * time), opening=opening * (0.5 - 0.5 * np.cos(20 * time)))
        result.add(frame, filmed(points + random.normal(0, noise, points.shape), seen(time)))
    return result


@pytest.mark.parametrize("seen", CAMERAS.values(), ids=CAMERAS)
def test_a_photo_is_still_whatever_the_camera_does(face: Float64, seen: Callable[[float], Float64]) -> None:
    assert not motion(face, seen).is_alive


@pytest.mark.parametrize("seen", CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize(("yaw", "opening"), [(0, 0.1), (5, 0), (3, 0.05)], ids=["speaks", "turns", "both"])
def test_who_speaks_or_turns_the_head_moves(face: Float64, seen: Callable[[float], Float64], yaw: float, opening: float) -> None:
    assert motion(face, seen, yaw=yaw, opening=opening).is_alive


def test_the_amount_is_the_standard_deviation_without_the_noise(face: Float64) -> None:
    seen = CAMERAS["shaking"]
    clean = motion(face, seen, yaw=6, noise=0).amount
    assert clean > 2 * LEAST_MOTION
    assert motion(face, seen, yaw=6, noise=0.01).amount == pytest.approx(clean, rel=0.1)
    assert motion(face, seen, noise=0.01).amount < LEAST_MOTION / 2


def test_too_few_frames_tell_nothing(face: Float64) -> None:
    assert not motion(face, CAMERAS["still"], opening=0.3, frames=FEWEST_FRAMES - 1).is_alive
    assert ShapeMotion().amount == 0


def test_two_parts_of_a_track_count_together(face: Float64) -> None:
    still, moving = motion(face, CAMERAS["still"]), motion(face, CAMERAS["still"], opening=0.1)
    both = still.merge(moving)
    assert both.frames == 2 * FRAMES
    assert still.amount < both.amount < moving.amount
