"""Face tracks on disk."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.lipsync.face_tracks import FaceTracks, TracksWriter, parse_selection

RATE = Fraction(30000, 1001)


def write(directory: Path, frames: int = 20, lost: tuple[int, ...] = (3, 4)) -> FaceTracks:
    with TracksWriter(directory, size=(640, 360), frame_rate=RATE) as writer:
        for i in range(frames):
            writer.append(None if i in lost else points(i), score=0.9, shot=i // 8)
        return writer.finish()


def points(i: int) -> np.ndarray:
    return np.random.default_rng(i).uniform(0, 640, (468, 3)).astype(np.float32)


def test_what_is_written_is_read_again_to_the_bit(tmp_path: Path) -> None:
    write(tmp_path)
    tracks = FaceTracks.open(tmp_path)
    assert (tracks.frames, tracks.size, tracks.frame_rate) == (20, (640, 360), RATE)
    assert np.flatnonzero(~tracks.valid).tolist() == [3, 4]
    assert tracks.shot.tolist() == [i // 8 for i in range(20)]
    assert tracks.score[[2, 3]].tolist() == [pytest.approx(0.9), 0.0]
    landmarks = tracks.landmarks(2, 7)
    assert landmarks.dtype == np.float32
    assert np.array_equal(landmarks[0], points(2))
    assert np.isnan(landmarks[1:3]).all()
    assert np.array_equal(landmarks[4], points(6))


def test_blocks_cover_every_frame_once(tmp_path: Path) -> None:
    tracks = write(tmp_path)
    blocks = list(tracks.blocks(7))
    assert [(start, len(block)) for start, block in blocks] == [(0, 7), (7, 7), (14, 6)]
    assert np.array_equal(np.concatenate([block for _, block in blocks]), tracks.landmarks(0, 20), equal_nan=True)


@pytest.mark.parametrize(("start", "stop", "count"), [(18, 99, 2), (20, 30, 0), (5, 5, 0), (9, 3, 0)])
def test_a_range_beyond_the_video_is_cut_like_a_slice(tmp_path: Path, start: int, stop: int, count: int) -> None:
    assert write(tmp_path).landmarks(start, stop).shape == (count, 468, 3)


@pytest.mark.parametrize("name", ["tracks.json", "frames.npy", "landmarks.f32"])
def test_incomplete_tracks_cannot_be_opened(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(TransientError) as caught:
        FaceTracks.open(tmp_path)
    assert caught.value.code == "io_error"


def test_unfinished_tracks_cannot_be_opened(tmp_path: Path) -> None:
    with TracksWriter(tmp_path, size=(64, 64), frame_rate=RATE) as writer:
        writer.append(points(0), score=1, shot=0)
    with pytest.raises(TransientError):
        FaceTracks.open(tmp_path)


HOUR = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from heygem_daemon.lipsync.face.selection import VideoFaces
from heygem_daemon.lipsync.face.tracker import TrackedFace
from heygem_daemon.lipsync.face_tracks import TracksWriter

points = np.random.default_rng(0).uniform(0, 640, (468, 3)).astype(np.float32)
directory, frames = Path(sys.argv[1]), int(sys.argv[2])
with TracksWriter(directory, size=(640, 360), frame_rate=Fraction(25)) as writer, VideoFaces(directory / "spool", size=(640, 360)) as faces:
    for _ in range(frames):
        faces.add([TrackedFace(track=0, landmarks=points, score=1.0)])
    for landmarks, score in faces.choose("largest"):
        writer.append(landmarks, score=score, shot=0)
    tracks = writer.finish()
assert sum(len(block) for _, block in tracks.blocks()) == frames
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_length_of_a_shot(tmp_path: Path) -> None:
    def peak(frames: int) -> int:
        command = [sys.executable, "-c", HOUR, str(tmp_path), str(frames)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)

    brief, long = peak(500), peak(6000)  # 6,000 frames are 34 MB of landmarks
    assert long - brief < 8_000, "KiB"


@pytest.mark.parametrize(("text", "selection"), [("largest", "largest"), ("left", "left"), ("0", 0), ("12", 12)])
def test_a_selection_is_read_from_text(text: str, selection: str | int) -> None:
    assert parse_selection(text) == selection


@pytest.mark.parametrize("text", ["", "-1", "big", "1.5", "²"])
def test_an_unknown_selection_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="largest, left, right, center"):
        parse_selection(text)
