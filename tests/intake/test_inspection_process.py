"""The process that opens media for the daemon: what it answers, what happens when a file ends it, and when it goes away."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from heygem_daemon.core.errors import EngineError, HeygemError, InputError, TransientError
from heygem_daemon.intake.inspection_process import InspectionProcess
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits
from heygem_daemon.processes import OOM_SCORE
from tests.daemon.doubles import make_film, make_speech

CACHE = Path(tempfile.gettempdir()) / "heygem-test-inspection"

SCRIPT = """
import os, sys, time
from heygem_daemon.intake.inspection_protocol import FileAnswer, FileRequest
for line in iter(sys.stdin.buffer.readline, b""):
    request = FileRequest.decode(line)
    if "killed" in request.path:
        os.kill(os.getpid(), 9)
    if "crashes" in request.path:
        os.kill(os.getpid(), 11)
    if "exits" in request.path:
        os._exit(1)
    if "waits" not in request.path:
        print(FileAnswer(number=request.number, seconds=float(os.getpid())).encode().decode(), end="", flush=True)
"""
"""Stands for the process: it ends at one file, and is silent about another; the length that it gives is its own id."""


DAEMON = """
import os, signal
from pathlib import Path
from heygem_daemon.intake.inspection_process import InspectionProcess
from heygem_daemon.media.types import MediaLimits
running = InspectionProcess(Path("/nowhere"))._start()
running.submit("inbox", Path("x"), MediaLimits(), is_video=True).result()
os.kill(running.pid, signal.SIGTERM)
assert running.submit("inbox", Path("x"), MediaLimits(), is_video=True).result() is not None
print(running.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
"""Stands for a daemon whose whole group is signalled, and which is then killed."""


@pytest.fixture(scope="module")
def process() -> Iterator[InspectionProcess]:
    with closing(InspectionProcess(CACHE)) as process:
        yield process


@pytest.fixture
def scripted() -> Iterator[InspectionProcess]:
    with closing(InspectionProcess(CACHE, (sys.executable, "-c", SCRIPT))) as process:
        yield process


def asked(process: InspectionProcess, path: Path | str, *, is_video: bool = True, limits: MediaLimits = DEFAULT_LIMITS) -> float:
    return process.checked_seconds("inbox", Path(path), limits, is_video=is_video)


def has_ended(pid: int) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_it_gives_lengths_and_the_errors_of_files(process: InspectionProcess, tmp_path: Path) -> None:
    speech, film = make_speech(tmp_path / "speech.wav"), make_film(tmp_path / "film.mp4")
    assert asked(process, speech, is_video=False) == 1.0
    assert asked(process, film) == 1.0
    with pytest.raises(InputError) as problem:
        asked(process, speech)
    assert problem.value.code == "not_a_video"
    assert "WAV" in problem.value.message
    with pytest.raises(InputError) as problem:
        asked(process, film, limits=MediaLimits(video_seconds=0.5))
    assert problem.value.code == "video_too_long"
    with pytest.raises(TransientError) as gone:
        asked(process, tmp_path / "nobody.mp4")
    assert gone.value.code == "io_error"


def test_the_kernel_ends_it_before_the_daemon_when_memory_runs_out(process: InspectionProcess, tmp_path: Path) -> None:
    asked(process, make_film(tmp_path / "film.mp4"))
    assert Path(f"/proc/{process.pid}/oom_score_adj").read_text(encoding="ascii").strip() == str(OOM_SCORE)


def test_a_name_that_is_none_is_the_error_of_that_file_alone(process: InspectionProcess, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as problem:
        asked(process, "nul\0.mp4")
    assert problem.value.code == "internal"
    odd = tmp_path / os.fsdecode(b"\xff.mp4")
    assert asked(process, make_film(tmp_path / "film.mp4").rename(odd)) == 1.0


def test_the_process_answers_many_at_once(scripted: InspectionProcess) -> None:
    with ThreadPoolExecutor(8) as pool:
        pids = set(pool.map(lambda number: asked(scripted, f"{number}.mp4"), range(100)))
    assert pids == {float(scripted.pid or 0)}


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("crashes.mp4", InputError, "file_crashes_tool"),
        ("killed.mp4", TransientError, "tool_killed"),
        ("exits.mp4", TransientError, "server_short"),
    ],
)
def test_a_file_at_which_the_process_crashes_has_the_error_and_no_other_file_has(
    scripted: InspectionProcess, name: str, kind: type[HeygemError], code: str
) -> None:
    pool = ThreadPoolExecutor(3)
    innocent = [pool.submit(asked, scripted, f"waits {number}.mp4") for number in range(2)]
    try:
        with pytest.raises(kind) as problem:
            asked(scripted, name)
        assert problem.value.code == code
        assert asked(scripted, "another.mp4") > 0
        assert not any(each.done() and isinstance(each.exception(), HeygemError) for each in innocent)
    finally:
        scripted.close()
        pool.shutdown()


def test_after_it_was_killed_another_one_answers(scripted: InspectionProcess) -> None:
    first = asked(scripted, "a.mp4")
    os.kill(int(first), signal.SIGKILL)
    assert has_ended(int(first))
    assert asked(scripted, "a.mp4") != first


def test_one_that_nobody_asks_is_ended_and_reaped() -> None:
    with closing(InspectionProcess(CACHE, (sys.executable, "-c", SCRIPT), idle_seconds=0.05)) as process:
        pid = int(asked(process, "a.mp4"))
        assert has_ended(pid)
        assert process.pid is None
        assert asked(process, "a.mp4") != pid


def test_closing_ends_it_and_whoever_waits_is_not_kept(scripted: InspectionProcess) -> None:
    waiting = threading.Thread(target=pytest.raises, args=(HeygemError, asked, scripted, "waits.mp4"))
    waiting.start()
    pid = int(asked(scripted, "a.mp4"))
    scripted.close()
    assert has_ended(pid)
    waiting.join(30)
    assert not waiting.is_alive()
    with pytest.raises(HeygemError):
        asked(scripted, "a.mp4")


def test_it_ends_when_the_daemon_is_gone_and_does_not_react_to_a_signal_for_all() -> None:
    done = subprocess.run([sys.executable, "-c", DAEMON], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert has_ended(int(done.stdout))
