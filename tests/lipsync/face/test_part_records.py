"""The faces of a part of a video on disk."""

from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.face.likeness import TEXTURE_POINTS
from heygem_daemon.lipsync.face.part_records import PartFrame, PartWriter, read_part
from heygem_daemon.lipsync.face.tracker import TrackedFace


def face(track: int) -> TrackedFace:
    random = np.random.default_rng(track)
    texture = random.integers(0, 256, len(TEXTURE_POINTS), np.uint8) if track % 2 else None
    return TrackedFace(track=track, landmarks=random.random((468, 3), np.float32), score=0.75, texture=texture)


def test_frames_are_read_as_they_were_written(tmp_path: Path) -> None:
    frames = [
        PartFrame(fingerprint=2**32 - 1, is_cut=False, faces=(face(0), face(3))),
        PartFrame(fingerprint=0, is_cut=True, faces=(), dissolve=(54, 2)),
        PartFrame(fingerprint=5, is_cut=False, faces=(face(4),)),
    ]
    with PartWriter(tmp_path / "part") as writer:
        for frame in frames:
            writer.add(frame)
    again = list(read_part(tmp_path / "part"))
    heads = [(frame.fingerprint, frame.is_cut, frame.dissolve) for frame in again]
    assert heads == [(2**32 - 1, False, None), (0, True, (54, 2)), (5, False, None)]
    assert [[(face.track, face.score) for face in frame.faces] for frame in again] == [[(0, 0.75), (3, 0.75)], [], [(4, 0.75)]]
    for wanted, found in zip(frames, again, strict=True):
        assert all(np.array_equal(a.landmarks, b.landmarks) for a, b in zip(wanted.faces, found.faces, strict=True))
        assert all(np.array_equal(a.texture, b.texture) for a, b in zip(wanted.faces, found.faces, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("lost", [1, 468 * 12 + 3])
def test_a_file_that_ends_within_a_frame_is_refused(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "part"
    with PartWriter(path) as writer:
        writer.add(PartFrame(fingerprint=1, is_cut=False, faces=(face(0),)))
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(OSError, match="ends within a frame"):
        list(read_part(path))
