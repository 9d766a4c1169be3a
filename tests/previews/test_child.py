"""The child process answers what it is asked, and outlives every file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon import processes
from heygem_daemon.media.probe import check_video
from heygem_daemon.previews.confinement import OOM_SCORE
from heygem_daemon.previews.protocol import Kind
from tests.previews.conftest import Child, end_child, ffmpeg, start_child

KINDS = [Kind.FACES, Kind.STILL, Kind.PROXY]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def descendants(pid: int) -> set[int]:
    listed = subprocess.run(("ps", "-e", "-o", "pid=,ppid="), capture_output=True, check=True, text=True).stdout.split()
    parents = dict(zip(map(int, listed[::2]), map(int, listed[1::2]), strict=True))
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return found - {pid}


def test_one_process_answers_request_after_request(child: Child, portrait_clip: Path, faceless: Path, tmp_path: Path) -> None:
    found = child.ask(kind=Kind.FACES, path=str(portrait_clip), output=str(tmp_path / "still.jpg")).result
    assert found is not None
    assert found["verdict"] == "good"
    assert check_video(tmp_path / "still.jpg").video is not None
    nobody = child.ask(kind=Kind.FACES, path=str(faceless)).result
    assert nobody is not None
    assert nobody["verdict"] == "none"


def test_a_still_has_square_pixels_and_a_bounded_size(child: Child, portrait: Path, tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    ffmpeg("-loop", 1, "-i", portrait, "-t", 0.2, "-vf", "scale=1440:1080,setsar=4/3,format=yuv420p", path)
    result = child.ask(kind=Kind.STILL, path=str(path), output=str(tmp_path / "still.jpg")).result
    assert result == {"width": 1920, "height": 1080}
    still = check_video(tmp_path / "still.jpg").video
    assert still is not None
    assert (still.width, still.height) == (1280, 720)


@pytest.mark.slow
def test_a_copy_for_browsers_has_the_frames_of_the_source(child: Child, portrait_clip: Path, tmp_path: Path) -> None:
    path, copy = tmp_path / "source.mkv", tmp_path / "copy.mp4"
    ffmpeg("-i", portrait_clip, "-f", "lavfi", "-i", "sine=440:d=2", "-vf", "scale=1280:960", "-c:v", "libx265", "-x265-params",
           "log-level=error", "-c:a", "flac", path)  # fmt: skip
    assert child.ask(kind=Kind.PROXY, path=str(path), output=str(copy)).code == ""
    info = check_video(copy)
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.codec, info.video.width, info.video.height, info.video.frames) == ("h264", 640, 480, 50)
    assert (info.audio.codec, float(info.audio.start), info.video.pixel_format) == ("aac", 0, "yuv420p")
    assert copy.read_bytes().index(b"moov") < copy.read_bytes().index(b"mdat")


@pytest.mark.family(5)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "content", "codes"),
    [
        ("empty.mp4", b"", {"not_a_video"}),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", {"not_a_video"}),
        ("concat.mp4", b"ffconcat version 1.0\nfile '/etc/passwd'\n", {"not_a_video"}),
        ("half.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0" + b"\0" * 50, {"video_truncated", "still_undecodable"}),
        (
            "huge.png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0\xd5\x8d\xbb\x8b",
            {"video_truncated", "still_undecodable", "video_too_large"},
        ),
        ("noise.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(range(256)) * 40, {"video_truncated", "not_a_video"}),
    ],
)
def test_a_hostile_file_is_an_error_and_the_next_request_is_served(
    child: Child, tmp_path: Path, portrait: Path, kind: Kind, name: str, content: bytes, codes: set[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    answer = child.ask(kind=kind, path=str(path), output=str(tmp_path / "out"))
    assert answer.result is None
    assert answer.code in codes
    assert answer.message
    assert child.ask(kind=Kind.FACES, path=str(portrait)).result is not None


def test_an_image_of_a_million_pixels_a_side_is_refused_by_its_header(child: Child, portrait: Path, tmp_path: Path) -> None:
    data = bytearray(portrait.read_bytes())
    data[16:24] = (1_000_000).to_bytes(4, "big") * 2
    path = tmp_path / "huge.png"
    path.write_bytes(bytes(data))
    assert child.ask(kind=Kind.FACES, path=str(path)).code in {"video_too_large", "still_undecodable", "video_truncated"}


def test_a_link_is_not_followed_and_an_open_file_stays_itself(child: Child, portrait_clip: Path, tmp_path: Path) -> None:
    link = tmp_path / "clip.mp4"
    link.symlink_to(portrait_clip)
    assert child.ask(kind=Kind.FACES, path=str(link)).code == "symlink"
    mine = tmp_path / "mine.mp4"
    mine.write_bytes(portrait_clip.read_bytes())
    descriptor = os.open(mine, os.O_RDONLY)
    try:
        mine.unlink()
        mine.symlink_to("/etc/passwd")
        found = child.ask(kind=Kind.FACES, path=f"/proc/{os.getpid()}/fd/{descriptor}").result
        assert found is not None
        assert found["verdict"] == "good"
    finally:
        os.close(descriptor)


def test_a_photo_that_is_held_open_is_checked_too(child: Child, portrait: Path) -> None:
    with portrait.open("rb") as file:
        assert child.ask(kind=Kind.FACES, path=f"/proc/{os.getpid()}/fd/{file.fileno()}").code == ""


@pytest.mark.slow  # tests/web/media/test_previews.py has a child that hangs
def test_a_request_that_takes_too_long_is_ended_with_all_that_it_started(
    child: Child, long_video: Path, tmp_path: Path, portrait: Path
) -> None:
    answer = child.ask(kind=Kind.PROXY, path=str(long_video), output=str(tmp_path / "copy.mp4"), seconds=1.5)
    assert answer.code == "timed_out"
    until(lambda: not descendants(child.process.pid))
    assert child.ask(kind=Kind.FACES, path=str(portrait)).result is not None


def test_a_cancelled_request_is_ended_and_gets_no_answer(child: Child, long_video: Path, tmp_path: Path, portrait: Path) -> None:
    number = child.send(kind=Kind.PROXY, path=str(long_video), output=str(tmp_path / "copy.mp4"))
    until(lambda: len(descendants(child.process.pid)) > 1)
    child.cancel(number)
    assert child.ask(kind=Kind.FACES, path=str(portrait)).result is not None
    until(lambda: not descendants(child.process.pid))


def test_a_face_check_does_not_wait_for_a_copy(child: Child, long_video: Path, tmp_path: Path, portrait: Path) -> None:
    copy = child.send(kind=Kind.PROXY, path=str(long_video), output=str(tmp_path / "copy.mp4"))
    face = child.send(kind=Kind.FACES, path=str(portrait))
    assert child.read().number == face
    child.cancel(copy)
    until(lambda: not descendants(child.process.pid))


def test_the_process_of_a_request_may_die_and_the_next_is_served(child: Child, long_video: Path, tmp_path: Path, portrait: Path) -> None:
    child.send(kind=Kind.PROXY, path=str(long_video), output=str(tmp_path / "copy.mp4"))
    until(lambda: len(descendants(child.process.pid)) > 1)
    (worker,) = [int(pid) for pid in Path(f"/proc/{child.process.pid}/task/{child.process.pid}/children").read_text().split()]
    os.kill(worker, signal.SIGSEGV)
    assert child.read().code == "internal"
    until(lambda: not descendants(child.process.pid))
    assert child.ask(kind=Kind.FACES, path=str(portrait)).result is not None


def test_it_ends_with_its_requests_and_when_nobody_asks(weights: Path, portrait: Path) -> None:
    idle = start_child(weights, "--idle-seconds", "0.2")
    ended = start_child(weights)
    try:
        assert ended.ask(kind=Kind.FACES, path=str(portrait)).result is not None
        assert ended.process.stdin is not None
        ended.process.stdin.close()
        assert idle.process.wait(20) == ended.process.wait(20) == 0
    finally:
        end_child(idle)
        end_child(ended)


def test_it_loads_no_torch_and_starts_no_thread(root: Path) -> None:
    script = (
        "import sys, os\n"
        "os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"
        "import heygem_daemon.previews.work, heygem_daemon.previews.supervisor\n"
        "print(len(os.listdir('/proc/self/task')), *sorted(sys.modules))\n"
    )
    done = subprocess.run((sys.executable, "-c", script), cwd=root, capture_output=True, text=True, check=True, timeout=60)
    threads, *loaded = done.stdout.split()
    assert threads == "1"
    assert "cv2" in loaded
    assert not {"torch", "librosa", "scipy", "matplotlib"} & set(loaded)


def test_the_memory_of_a_preview_is_taken_before_that_of_a_job(root: Path) -> None:
    script = "from heygem_daemon.previews.confinement import confine; confine(9); print(open('/proc/self/oom_score_adj').read())"
    done = subprocess.run((sys.executable, "-c", script), cwd=root, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) == OOM_SCORE > processes.OOM_SCORE


def test_the_processor_time_that_a_preview_may_use_is_the_files_cost(root: Path) -> None:
    script = (
        "import resource\n"
        "from heygem_daemon.media.run import capture\n"
        "from heygem_daemon.core.errors import HeygemError\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (1, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    capture(('sh', '-c', 'while :; do :; done'), seconds=60)\n"
        "except HeygemError as problem:\n"
        "    print(problem.code)\n"
    )
    done = subprocess.run((sys.executable, "-c", script), cwd=root, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "file_too_costly"
