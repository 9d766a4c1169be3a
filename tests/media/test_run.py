"""Run commands, and leave no process behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heygem_daemon.core.errors import EngineError, SetupError
from heygem_daemon.media.run import FfmpegReader, FfmpegSource, FfmpegWriter, capture
from tests.media.conftest import MakeFile


def wait_until_gone(pid: int, seconds: float = 60) -> bool:
    """Return whether process `pid` ends (or is a zombie nobody waits for) within `seconds`."""
    stat, deadline = Path(f"/proc/{pid}/stat"), time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_a_missing_program_is_a_setup_error() -> None:
    with pytest.raises(SetupError, match="no-such-program is not installed") as caught:
        capture(("no-such-program",), seconds=5)
    assert caught.value.code == "ffmpeg_missing"


def test_output_errors_and_exit_code_are_kept_apart() -> None:
    done = capture(("sh", "-c", "echo fine; echo 'first\nlast' >&2; exit 3"), seconds=5)
    assert (done.code, done.stdout, done.last_error_line) == (3, b"fine\n", "last")


def test_a_command_over_its_time_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(EngineError) as caught:
        capture(("sh", "-c", f"sleep 300 & echo $! > '{pid_file}'; wait"), seconds=0.5)
    assert caught.value.code == "timed_out"
    assert wait_until_gone(int(pid_file.read_text()))


def test_a_flood_of_errors_neither_blocks_the_child_nor_is_kept_whole() -> None:
    with FfmpegReader(("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo end >&2; printf data")) as child:
        data = bytearray(10)
        assert child.read_into(memoryview(data)) == 4
        end = child.wait()
    assert end.last_error_line.endswith("end")
    assert len(end.stderr) <= 8192


def test_a_child_that_sends_nothing_is_killed() -> None:
    with FfmpegReader(("sleep", "300"), stall_seconds=0.2) as child, pytest.raises(EngineError) as caught:
        child.read_into(memoryview(bytearray(1)))
    assert caught.value.code == "timed_out"


def test_a_child_that_takes_nothing_is_killed() -> None:
    with FfmpegWriter(("sleep", "300"), stall_seconds=0.2) as child, pytest.raises(EngineError) as caught:
        child.write(memoryview(bytes(3_000_000)))
    assert caught.value.code == "timed_out"


def test_writing_to_an_ended_child_raises() -> None:
    with FfmpegWriter(("true",)) as child, pytest.raises(BrokenPipeError):
        child.write(memoryview(bytes(3_000_000)))


def test_what_is_written_arrives_whole(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    with FfmpegWriter(("sh", "-c", f"cat > '{tmp_path / 'out'}'")) as child:
        child.write(memoryview(data))
        assert child.finish().code == 0
    assert (tmp_path / "out").read_bytes() == data


def read_by(source: FfmpegSource, script: str) -> FfmpegWriter:
    """Start a command that reads the file $0, which is `source`."""
    writer = FfmpegWriter(("sh", "-c", script, f"/dev/fd/{source.descriptor}"), descriptors=(source.descriptor,))
    source.release()
    return writer


def test_one_command_reads_the_output_of_another_to_its_end(tmp_path: Path) -> None:
    with FfmpegSource(("head", "-c", "3000001", "/dev/zero")) as source, read_by(source, f"wc -c < $0 > '{tmp_path / 'out'}'") as reader:
        assert reader.finish().code == 0
        end = source.poll(5)
    assert end is not None
    assert end.code == 0
    assert int((tmp_path / "out").read_text()) == 3000001


def test_a_source_ends_with_the_command_that_reads_it() -> None:
    with FfmpegSource(("cat", "/dev/zero")) as source, read_by(source, "head -c 10 $0 > /dev/null; exit 4") as reader:
        assert reader.finish().code == 4
        end = source.poll(5)
    assert end is not None
    assert end.code == -13


def test_the_end_of_a_source_that_fails_is_seen_by_its_reader() -> None:
    with FfmpegSource(("sh", "-c", "echo no >&2; exit 5")) as source, read_by(source, "cat $0 > /dev/null") as reader:
        assert reader.finish().code == 0
        end = source.poll(5)
    assert end is not None
    assert (end.code, end.last_error_line) == (5, "no")


def test_a_source_that_nobody_reads_is_killed_and_leaves_no_descriptor_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with FfmpegSource(("cat", "/dev/zero")) as source:
        assert source.poll(0.1) is None
    with pytest.raises(SetupError):
        FfmpegSource(("no-such-program",))
    assert set(os.listdir("/proc/self/fd")) == before


def test_leaving_the_block_ends_the_child() -> None:
    with FfmpegReader(("sh", "-c", "echo $$; exec sleep 300")) as child:
        line = bytearray(1)
        number = b""
        while child.read_into(memoryview(line)) and line != b"\n":
            number += line
    assert wait_until_gone(int(number), 1)


ORPHANS = """
import os, signal, sys
from pathlib import Path
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.writer import VideoWriter
video, recording, out = map(Path, sys.argv[1:])
info = check_video(video)
frames = VideoReader(info).frames()
writer = VideoWriter(out, like=info.video, recording=check_recording(recording), frames=50, fit="audio", quality=16)
with writer:
    writer.write(next(frames))
    print(*Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_ffmpeg_ends_by_itself_when_its_parent_is_killed(clip: MakeFile, tone: MakeFile, tmp_path: Path) -> None:
    video = clip("orphan.mp4", size="640x480", seconds=4)
    command = (sys.executable, "-c", ORPHANS, str(video), str(tone("plain.wav")), str(tmp_path / "out.mp4"))
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr.decode()
    children = [int(pid) for pid in done.stdout.split()]
    assert len(children) == 3
    assert all(wait_until_gone(pid) for pid in children)
