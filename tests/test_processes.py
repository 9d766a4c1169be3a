"""Processes in sessions of their own: started, watched, killed with their group, and never left as zombies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from heygem_daemon.processes import Tail, cpu_seconds, has_ended, kill_and_reap, printable, signal_group, start, wait_ended
from tests.processes import is_alive, read_line_soon, wait_gone

PATIENCE = 60.0


def close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def test_a_child_leads_a_session_of_its_own() -> None:
    code = "import os; print(os.getsid(0) == os.getpgrp() == os.getpid())"
    process = start((sys.executable, "-c", code), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.communicate(timeout=PATIENCE)[0] == b"True\n"


def test_an_end_is_seen_without_reaping() -> None:
    process = start(("true",))
    assert wait_ended(process, PATIENCE)
    assert has_ended(process)
    assert process.returncode is None
    assert kill_and_reap(process) == 0
    assert has_ended(process)
    close(process)


def test_one_that_does_not_end_is_not_waited_for_longer_than_asked() -> None:
    process = start(("sleep", "300"))
    assert not wait_ended(process, 0.0)
    assert kill_and_reap(process) == -signal.SIGKILL
    close(process)


@pytest.mark.parametrize("leader", ["wait", "exit 3"])
def test_a_kill_reaches_the_whole_group_even_after_its_leader_ended(tmp_path: Path, leader: str) -> None:
    process = start(("sh", "-c", f"sleep 300 & echo $! > '{tmp_path / 'pid'}'; {leader}"))
    child = int(read_line_soon(tmp_path / "pid"))
    if leader != "wait":
        assert wait_ended(process, PATIENCE)
    assert is_alive(child)
    assert kill_and_reap(process) == (-signal.SIGKILL if leader == "wait" else 3)
    wait_gone(child)
    close(process)


def test_a_signal_reaches_the_group_and_nobody_once_the_leader_is_reaped() -> None:
    process = start(("sleep", "300"))
    signal_group(process, signal.SIGTERM)
    assert process.wait(PATIENCE) == -signal.SIGTERM
    signal_group(process, signal.SIGTERM)
    close(process)


def test_a_child_that_somebody_else_reaped_has_ended() -> None:
    process = start(("true",))
    os.waitpid(process.pid, 0)
    assert has_ended(process)
    assert kill_and_reap(process, PATIENCE) == 0
    close(process)


def test_no_zombie_and_no_descriptor_is_left() -> None:
    before = sorted(os.listdir("/proc/self/fd")), set(psutil.Process().children())
    for command in (("true",), ("sleep", "300")):
        process = start(command)
        kill_and_reap(process)
        close(process)
    assert sorted(os.listdir("/proc/self/fd")) == before[0]
    assert set(psutil.Process().children()) <= before[1]


@pytest.mark.parametrize(("argument", "score"), [("", 500), ("700", 700)])
def test_a_process_offers_itself_when_memory_runs_out(argument: str, score: int) -> None:
    code = f"from heygem_daemon.processes import *; prefer_for_memory({argument}); print(open('/proc/self/oom_score_adj').read())"
    assert int(subprocess.run((sys.executable, "-c", code), capture_output=True, check=True, timeout=PATIENCE).stdout) == score


def test_the_processor_time_of_a_process_that_is_reaped_is_nobodys() -> None:
    process = start(("true",))
    kill_and_reap(process)
    assert cpu_seconds(process) == 0.0
    close(process)


def test_a_program_that_does_not_exist_is_an_oserror() -> None:
    with pytest.raises(FileNotFoundError):
        start(("/no/such/program",))


def test_a_tail_keeps_the_end_and_makes_it_printable() -> None:
    tail = Tail(4)
    for chunk in (b"abc", b"", b"d\x1b", b"f"):
        tail.append(chunk)
    assert tail.text == "cd f"


def test_odd_bytes_become_printable() -> None:
    assert printable(b"a\x1b[31mb\xff\nc") == "a [31mb\ufffd\nc"
