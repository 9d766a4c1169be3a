"""A file that another process holds open: its path stays that file, whatever becomes of its name."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.media.formats import display_name, is_descriptor
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import measure_speech
from tests.media.conftest import MakeFile, ffmpeg


@contextmanager
def held(path: Path, flags: int = os.O_RDONLY) -> Iterator[Path]:
    """Hold a file open, and yield the path of its descriptor."""
    descriptor = os.open(path, flags)
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/proc/17/fd/3", True),
        ("/proc/self/fd/3", False),
        ("/proc/17/fd/3/x", False),
        ("/proc/17/fd/", False),
        ("/proc/17/root/etc/passwd", False),
        ("x/proc/17/fd/3", False),
        ("/proc/17/fd/3\n", False),
    ],
)
def test_only_an_open_file_of_a_process_is_one(path: str, expected: bool) -> None:
    assert is_descriptor(path) == expected


def test_a_video_is_read_although_its_name_is_another_file_by_now(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "mine.mp4"
    path.write_bytes(clip("plain.mp4").read_bytes())
    with held(path) as opened:
        path.unlink()
        path.symlink_to("/etc/passwd")
        info = check_video(opened)
        assert len(list(VideoReader(info).frames())) == 50
    with pytest.raises(InputError) as caught:
        check_video(path)
    assert caught.value.code == "symlink"


def test_a_recording_and_a_photo_are_read_too(tone: MakeFile, clip: MakeFile, tmp_path: Path) -> None:
    with held(tone("plain.wav")) as opened:
        assert measure_speech(check_recording(opened)).seconds == 2
    photo = tmp_path / "photo.jpg"
    ffmpeg("-i", clip("plain.mp4"), "-frames:v", 1, photo)
    with held(photo) as opened:
        info = check_video(opened)
        assert info.video is not None
        assert info.video.is_still
        assert next(VideoReader(info).frames()).width == 160


def test_its_own_name_decides_and_is_shown(tone: MakeFile, tmp_path: Path) -> None:
    adts = tone("adts.aac", "-f", "adts")
    with held(adts) as opened:
        assert check_recording(opened).demuxer == "aac"
    text = tmp_path / "no\x1bte.mp4"
    text.write_text("hello", encoding="ascii")
    with held(text) as opened, pytest.raises(InputError) as caught:
        check_video(opened)
    assert caught.value.message.startswith("no\\x1bte.mp4 is no video")
    assert display_name(Path("/proc/1/fd/999999")) == "999999"


def test_an_open_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with held(tmp_path / "pipe.mp4", os.O_RDWR) as opened, pytest.raises(InputError) as caught:
        check_video(opened)
    assert caught.value.code == "not_a_file"


def test_another_process_of_the_same_user_reads_it(clip: MakeFile) -> None:
    imports = "import sys; from pathlib import Path; from heygem_daemon.media.probe import check_video"
    script = f"{imports}; print(check_video(Path(sys.argv[1])).size)"
    path = clip("plain.mp4")
    with held(path) as opened:
        done = subprocess.run((sys.executable, "-c", script, str(opened)), capture_output=True, check=True, timeout=60)
    assert int(done.stdout) == path.stat().st_size
