"""Run commands, and leave no process behind."""

import errno
import os
import resource
import signal as signals
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.errors import HeygemError, SetupError, TransientError
from heygem_daemon.media import run
from heygem_daemon.media.run import FfmpegReader, FfmpegSource, FfmpegWriter, answered, capture, stream_error
from heygem_daemon.media.tool_ends import Completed, reported_number
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


def test_an_answer_beside_an_error_of_the_disk_is_an_answer_where_the_file_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_PAUSE_SECONDS", 0.0)
    path = tmp_path / "a.mp4"
    path.write_bytes(b"whatever")
    command = ("sh", "-c", "echo '[mov] Input/output error' >&2; echo '{\"streams\": [1]}'")
    end = capture(command, seconds=5, path=path, section="streams")
    assert (end.code, end.answer) == (0, {"streams": [1]})
    path.unlink()
    with pytest.raises(TransientError) as caught:
        capture(command, seconds=5, path=path, section="streams")
    assert caught.value.code == "io_error"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b'{"streams": []}', {"streams": []}),
        (bytearray(b'{"streams": 1, "format": 2}'), {"streams": 1, "format": 2}),
        (b"", None),
        (b'{"streams": [', None),
        (b'{"format": {}}', None),
        (b'["streams"]', None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
    ids=range(8),
)
def test_an_answer_is_a_whole_object_with_the_key_that_was_asked_for(output: bytes | bytearray, expected: object) -> None:
    assert answered(output, "streams") == expected


@pytest.mark.parametrize(("asked", "calls"), [({}, 2), ({"is_asked_twice": False}, 1), ({"tries": 1}, 1)], ids=str)
def test_what_an_ffprobe_finds_wrong_is_asked_again_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], calls: int
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(run, "_PAUSE_SECONDS", 1234.0)
    monkeypatch.setattr(run, "require_working", lambda _: None)
    probe = tmp_path / "ffprobe"
    probe.write_text("#!/bin/sh\necho x >> \"$0.calls\"\necho 'a.mp4: Invalid data found when processing input' >&2\nexit 1\n")
    probe.chmod(0o755)
    assert capture((str(probe),), seconds=5, path=Path("a.mp4"), **asked).code == 1
    assert len((tmp_path / "ffprobe.calls").read_text().splitlines()) == calls
    assert 1234.0 not in slept


@pytest.mark.parametrize(
    ("stderr", "number"),
    [
        ("av_interleaved_write_frame(): No space left on device\nConversion failed!", errno.ENOSPC),
        ("out.mp4: Disk quota exceeded.\n", errno.EDQUOT),
        ("/o/No space left on device/out.mp4: Invalid argument", None),
        ("", None),
    ],
)
def test_an_error_of_the_system_is_one_at_the_end_of_a_line(stderr: str, number: int | None) -> None:
    assert reported_number(stderr, (errno.EDQUOT, errno.ENOSPC)) == number


@pytest.mark.parametrize("signal", ["XCPU", "XFSZ", "ABRT"])
def test_what_its_own_limits_do_to_a_command_is_how_it_ended(signal: str) -> None:
    end = capture(("sh", "-c", f"kill -{signal} $$"), seconds=5, limited=True)
    assert end.signal_number == getattr(signals, f"SIG{signal}")


@pytest.mark.parametrize(("limit", "code"), [(9, "file_too_costly"), (resource.RLIM_INFINITY, "tool_killed")])
def test_a_limit_of_processor_time_is_the_files_cost_where_there_is_one(monkeypatch: pytest.MonkeyPatch, limit: int, code: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    with pytest.raises(HeygemError) as caught:
        capture(("sh", "-c", "kill -XCPU $$"), seconds=5)
    assert caught.value.code == code
    found = stream_error(Completed(code=-signals.SIGXCPU, stdout=b"", stderr="", program="ffmpeg"), "a.mp4")
    assert found is not None
    assert found.code == code


def test_a_command_over_its_time_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TransientError) as caught:
        capture(("sh", "-c", f"sleep 300 & echo $! > '{pid_file}'; wait"), seconds=0.1)
    assert caught.value.code == "storage_slow"
    assert wait_until_gone(int(pid_file.read_text()))


def test_a_flood_of_errors_neither_blocks_the_child_nor_is_kept_whole() -> None:
    with FfmpegReader(("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo end >&2; printf data")) as child:
        data = bytearray(10)
        assert child.read_into(memoryview(data)) == 4
        end = child.wait()
    assert end.last_error_line.endswith("end")
    assert len(end.stderr) <= 8192


def test_a_child_that_sends_nothing_is_killed() -> None:
    with FfmpegReader(("sleep", "300"), stall_seconds=0.2) as child, pytest.raises(TransientError) as caught:
        child.read_into(memoryview(bytearray(1)))
    assert caught.value.code == "storage_slow"


def test_a_child_that_takes_nothing_is_killed() -> None:
    with FfmpegWriter(("sleep", "300"), stall_seconds=0.2) as child, pytest.raises(TransientError) as caught:
        child.write(memoryview(bytes(3_000_000)))
    assert caught.value.code == "storage_slow"


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
