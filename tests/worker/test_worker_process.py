"""The worker as a program: its exit statuses, its heartbeats, and what it does to its own process."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.work import WorkerMessage, WorkerReady, WorkProgress, WorkSucceeded
from heygem_daemon.processes import start
from heygem_daemon.worker.protocol import Heartbeat, Message, decode, encode_order
from tests.executors.conftest import scripted_command
from tests.executors.contract import DEADLINE_SECONDS, order
from tests.processes import read_line_soon, wait_gone

ROOT = Path(__file__).resolve().parents[2]
Worker = subprocess.Popen[bytes]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    command = (*scripted_command(tmp_path)("w", "cpu"), "--heartbeat-seconds", "0.05")
    process = start(command, stderr=subprocess.DEVNULL, environment={**os.environ, "PYTHONPATH": str(ROOT)})
    yield process
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def send(process: Worker, text: str | None = None) -> None:
    assert process.stdin is not None
    process.stdin.write(encode_order(order("t1", text)))
    process.stdin.flush()


def read(process: Worker) -> Message:
    assert process.stdout is not None
    return decode(process.stdout.readline())


def next_report(process: Worker) -> WorkerMessage:
    while isinstance(message := read(process), Heartbeat):
        pass
    return message


def test_it_ends_with_status_0_when_its_stdin_ends(worker: Worker) -> None:
    send(worker)
    assert next_report(worker) == WorkerReady(worker="w", device="scripted", models={"model": "abc"})
    assert next_report(worker) == WorkProgress(token="t1", stage="render", done=0, total=2)
    assert next_report(worker) == WorkProgress(token="t1", stage="render", done=2, total=2)
    assert isinstance(next_report(worker), WorkSucceeded)
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(DEADLINE_SECONDS) == 0


def test_it_ends_at_sigterm_in_the_middle_of_an_order_and_ends_its_children(worker: Worker, tmp_path: Path) -> None:
    send(worker, f"child {tmp_path / 'pid'}")
    next_report(worker)
    next_report(worker)
    child = int(read_line_soon(tmp_path / "pid"))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(DEADLINE_SECONDS) == 143
    wait_gone(child)


def test_it_sends_heartbeats_while_it_waits(worker: Worker) -> None:
    assert isinstance(next_report(worker), WorkerReady)
    assert read(worker) == Heartbeat()
    assert read(worker) == Heartbeat()


def test_it_falls_silent_in_a_hang(worker: Worker) -> None:
    send(worker, "sleep 1")
    assert isinstance(next_report(worker), WorkerReady)
    assert isinstance(next_report(worker), WorkProgress)
    heartbeats = 0
    while isinstance(read(worker), Heartbeat):
        heartbeats += 1
    assert heartbeats <= 2


def test_it_ends_when_nobody_reads_its_reports(worker: Worker) -> None:
    assert isinstance(next_report(worker), WorkerReady)
    assert worker.stdout is not None
    worker.stdout.close()
    send(worker)
    assert worker.wait(DEADLINE_SECONDS) == 0


def test_the_kernel_ends_it_before_the_daemon_when_memory_runs_out(worker: Worker) -> None:
    assert isinstance(next_report(worker), WorkerReady)
    assert int(Path(f"/proc/{worker.pid}/oom_score_adj").read_text(encoding="ascii")) == 500
