"""Frames of some runs are read again after a pass, and nothing stays behind."""

from pathlib import Path

from heygem_daemon.lipsync.atlas.frame_spool import FrameSpool
from tests.lipsync.conftest import Clip
from tests.lipsync.renderer_contract import same


def test_the_frames_of_the_runs_come_back_as_they_were_and_the_file_goes(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "new" / "spool"
    with FrameSpool(path, [(3, 6), (40, 42)]) as spool:
        for frame in clip.frames:
            spool.add(frame)
        again = [*spool.frames(3, 6), *spool.frames(40, 42)]
        assert path.stat().st_size == 5 * len(clip.frames[0].i420())
    assert [frame.index for frame in again] == [3, 4, 5, 40, 41]
    assert all(same(frame, clip.frames[frame.index]) and frame.space == clip.frames[frame.index].space for frame in again)
    assert not path.exists()


def test_what_never_came_is_left_out(clip: Clip, tmp_path: Path) -> None:
    with FrameSpool(tmp_path / "spool", [(0, 4)]) as spool:
        spool.add(clip.frames[2])
        assert [frame.index for frame in spool.frames(0, 4)] == [2]
    with FrameSpool(tmp_path / "spool", []) as spool:
        assert list(spool.frames(0, 4)) == []
