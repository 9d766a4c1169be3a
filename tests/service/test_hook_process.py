"""Whatever a hook does, it ends in its time, with all it started, and costs no more memory than the end of its output."""

import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from heygem_daemon.service.hook_process import TAIL_BYTES, HookResult, run
from tests.service.jumping_clock import JumpingClock

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(lines: str) -> str:
        path = tmp_path / "hook.sh"
        path.write_text("#!/bin/sh\n" + lines)
        path.chmod(0o755)
        return str(path)

    return write


def call(
    *command: str,
    stdin: bytes = b"{}",
    seconds: float = 60.0,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> HookResult:
    environment = dict(os.environ)
    return run(command, stdin=stdin, environment=environment, seconds=seconds, stop=stop or threading.Event(), clock=clock)


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter: it ended while it was read
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_a_program_gets_its_input_and_its_environment(script: Script, tmp_path: Path) -> None:
    result = run(
        (script(f'cat > {tmp_path}/got; echo "$JOB_NAME" >> {tmp_path}/got'),),
        stdin="课程".encode(),
        environment={"PATH": os.environ["PATH"], "JOB_NAME": " a job"},
        seconds=20.0,
        stop=threading.Event(),
    )
    assert result == HookResult(problem="", code=0)
    assert (tmp_path / "got").read_text() == "课程 a job\n"


def test_a_program_that_leaves_a_large_input_unread_ends_well(script: Script) -> None:
    assert call(script("exit 0"), stdin=b"x" * 5_000_000) == HookResult(problem="", code=0)


def test_a_program_that_closes_its_input_at_once_ends_well(script: Script) -> None:
    assert call(script("exec 0<&-; echo done"), stdin=b"x" * 5_000_000).problem == ""


def test_a_code_other_than_0_is_a_failure_with_the_end_of_the_output(script: Script) -> None:
    result = call(script("echo first; echo 'no such user' >&2; exit 3"))
    assert result == HookResult(problem="It ended with code 3", code=3, output="first\nno such user")


def test_a_signal_is_named(script: Script) -> None:
    assert call(script("kill -SEGV $$")).problem == "It was killed by signal 11"


@pytest.mark.parametrize(
    ("name", "why"), [("missing", "No such file or directory"), ("plain", "Permission denied"), ("odd\0name", "embedded null byte")]
)
def test_what_cannot_be_started_is_reported_with_the_reason(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    path = str(tmp_path / name)
    assert call(path) == HookResult(problem=f"{path} cannot be started: {why}")


def test_a_program_that_takes_too_long_is_killed_with_its_children(script: Script, tmp_path: Path) -> None:
    lines = f"trap '' TERM; echo begun; sleep 600 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/child; wait; sleep 600"
    result = call(script(lines), seconds=0.5, clock=JumpingClock((tmp_path / "child").exists))
    assert result == HookResult(problem="It took longer than 0.5 s", output="begun")
    child = int((tmp_path / "child").read_text())
    assert wait_until(lambda: not is_alive(child))


def test_a_stop_ends_it_at_once(script: Script, tmp_path: Path) -> None:
    stop = threading.Event()
    command = script(f"echo $$ > {tmp_path}/pid; sleep 600")
    results: list[HookResult] = []
    thread = threading.Thread(target=lambda: results.append(call(command, stop=stop, seconds=300)), daemon=True)
    thread.start()
    assert wait_until((tmp_path / "pid").exists)
    stop.set()
    thread.join(60)
    assert results == [HookResult(problem="The daemon ended before it did")]


def test_what_it_leaves_in_the_background_neither_holds_us_up_nor_goes_on(script: Script, tmp_path: Path) -> None:
    result = call(script(f"sleep 600 & echo $! > {tmp_path}/child; echo done"), seconds=300)
    assert result == HookResult(problem="", code=0, output="done")
    child = int((tmp_path / "child").read_text())
    assert wait_until(lambda: not is_alive(child))


def test_one_that_leaves_its_group_and_keeps_the_pipes_does_not_hold_us_up(script: Script, tmp_path: Path) -> None:
    result = call(
        script(f"setsid sh -c 'echo $$ > {tmp_path}/child; exec sleep 600' & while ! [ -s {tmp_path}/child ]; do :; done"), seconds=300
    )
    child = int((tmp_path / "child").read_text())
    try:
        assert result.problem == ""
        assert is_alive(child), "this one got away, as a service that a hook starts should"
    finally:
        os.kill(child, 9)


def test_a_flood_of_output_costs_no_memory_and_keeps_the_end(script: Script) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = call(script("head -c 150000000 /dev/zero; echo the end; exit 1"), seconds=120)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert result.code == 1
    assert result.output.endswith("the end")
    assert len(result.output) <= TAIL_BYTES
    assert grown_kib < 50_000


def test_output_without_an_end_is_ended(script: Script) -> None:
    assert call(script("exec yes"), seconds=0.5).problem == "It took longer than 0.5 s"


def test_a_program_that_closes_its_output_is_still_waited_for(script: Script, tmp_path: Path) -> None:
    result = call(script(f"exec >&- 2>&-; sleep 0.3; echo done > {tmp_path}/late"))
    assert (result.problem, (tmp_path / "late").read_text()) == ("", "done\n")


def test_control_characters_and_invalid_bytes_of_the_output_are_replaced(script: Script) -> None:
    assert call(script(r"printf 'a\033[31mb\377c\n'; exit 1")).output == "a [31mb\ufffdc"


def test_no_descriptor_and_no_zombie_is_left(script: Script) -> None:
    command = script("exit 0")
    call(command)
    descriptors, children = set(os.listdir("/proc/self/fd")), set(psutil.Process().children())
    for _ in range(5):
        call(command)
        call("/no/such/program")
    assert set(os.listdir("/proc/self/fd")) <= descriptors
    assert set(psutil.Process().children()) <= children
