"""Frames come back from memory and from the disk as they were; a full disk makes them incomplete, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.media import kept_frames
from heygem_daemon.media.frame import Frame, YuvSpace
from heygem_daemon.media.kept_frames import DISK_BYTES, KeptFrames, has_room

SPACE = YuvSpace(matrix="bt709", full_range=False)


def frame(index: int) -> Frame:
    packed = np.random.default_rng(index).integers(0, 256, 16 * 12 * 3 // 2, np.uint8)
    return Frame.from_i420(packed, width=16, height=12, index=index, space=SPACE)


@pytest.fixture(params=["memory", "disk"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> KeptFrames:
    return KeptFrames(tmp_path if request.param == "disk" else None)


def test_frames_come_back_in_any_order(kept: KeptFrames) -> None:
    with kept:
        for index in range(30, 40):
            kept.append(frame(index))
        assert len(kept) == 10
        for place in (9, 0, 4, 4, 9):
            back = kept[place]
            assert (back.index, back.width, back.height, back.space) == (30 + place, 16, 12, SPACE)
            assert np.array_equal(back.i420(), frame(30 + place).i420())


def test_the_last_frame_comes_first_and_its_place_is_free_again(kept: KeptFrames) -> None:
    with kept:
        for index in (5, 6, 7):
            kept.append(frame(index))
        assert [kept.pop().index, kept.pop().index] == [7, 6]
        kept.append(frame(8))
        assert [kept.pop().index for _ in range(2)] == [8, 5]
        assert len(kept) == 0


def test_the_file_has_no_name_and_goes_with_the_frames(tmp_path: Path) -> None:
    with KeptFrames(tmp_path) as kept:
        kept.append(frame(0))
        assert list(tmp_path.iterdir()) == []
    assert len(kept) == 0


def test_a_disk_that_is_full_makes_them_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with KeptFrames(tmp_path) as kept:
        kept.append(frame(0))
        monkeypatch.setattr(kept_frames, "_write", _full)
        kept.append(frame(1))
        assert not kept.is_complete
        kept.append(frame(2))
        assert len(kept) == 0


def _full(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_folder_that_is_not_there_keeps_nothing(tmp_path: Path) -> None:
    kept = KeptFrames(tmp_path / "missing")
    kept.append(frame(0))
    assert (kept.is_complete, len(kept)) == (False, 0)


def test_what_the_disk_has_lost_is_an_error_that_passes(tmp_path: Path) -> None:
    with KeptFrames(tmp_path) as kept:
        kept.append(frame(0))
        assert kept._file is not None
        kept._file.truncate(10)
        with pytest.raises(TransientError, match="incomplete"):
            kept[0]


def test_room_is_what_the_disk_has_beyond_its_reserve(tmp_path: Path) -> None:
    assert not has_room(tmp_path, DISK_BYTES + 1)
    assert not has_room(tmp_path / "missing", 1)
