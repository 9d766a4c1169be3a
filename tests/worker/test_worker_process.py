"""The worker as a program: its exit statuses and its manners."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heygem_daemon.core.work import WorkerReady, WorkProgress, WorkSucceeded
from heygem_daemon.worker.protocol import Beat, decode, encode_order
from tests.executors.contract import order

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def worker(tmp_path):
    command = [sys.executable, "-m", "heygem_daemon.worker", "--models", str(tmp_path), "--cache", str(tmp_path), "--beat-seconds", "0.05"]
    command += ["--session", "tests.executors.sessions:Scripted", "--name", "w"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=environment)
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def next_report(process):
    while isinstance(message := decode(process.stdout.readline()), Beat):
        pass
    return message


def test_it_ends_with_status_0_when_its_stdin_ends(worker):
    worker.stdin.write(encode_order(order("t1")))
    worker.stdin.flush()
    assert next_report(worker) == WorkerReady(worker="w", device="scripted", models={"model": "abc"})
    assert next_report(worker) == WorkProgress(token="t1", stage="render", done=0, total=2)
    assert next_report(worker) == WorkProgress(token="t1", stage="render", done=2, total=2)
    assert isinstance(next_report(worker), WorkSucceeded)
    worker.stdin.close()
    assert worker.wait(10) == 0


def test_it_ends_at_sigterm_in_the_middle_of_an_order_and_takes_its_children_along(worker, tmp_path):
    worker.stdin.write(encode_order(order("t1", f"child {tmp_path / 'pid'}")))
    worker.stdin.flush()
    next_report(worker)
    next_report(worker)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text(encoding="ascii"):
        pass
    child = int((tmp_path / "pid").read_text(encoding="ascii"))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 143
    status = Path(f"/proc/{child}/stat")
    for _ in range(500):
        if not status.exists() or " Z " in status.read_text(encoding="ascii"):
            return
        time.sleep(0.02)
    pytest.fail("the child is still there")


def test_it_says_that_it_lives_while_it_waits(worker):
    assert isinstance(next_report(worker), WorkerReady)
    assert decode(worker.stdout.readline()) == Beat()
    assert decode(worker.stdout.readline()) == Beat()


def test_it_falls_silent_in_a_hang(worker):
    worker.stdin.write(encode_order(order("t1", "sleep 1")))
    worker.stdin.flush()
    assert isinstance(next_report(worker), WorkerReady)
    assert isinstance(next_report(worker), WorkProgress)
    beats = 0
    while isinstance(decode(worker.stdout.readline()), Beat):
        beats += 1
    assert beats <= 2


def test_it_ends_when_nobody_reads_its_reports(worker):
    assert isinstance(next_report(worker), WorkerReady)
    worker.stdout.close()
    worker.stdin.write(encode_order(order("t1")))
    worker.stdin.flush()
    assert worker.wait(10) == 0


def test_the_kernel_takes_it_before_the_daemon_when_memory_runs_out(worker):
    assert isinstance(next_report(worker), WorkerReady)
    assert int(Path(f"/proc/{worker.pid}/oom_score_adj").read_text(encoding="ascii")) == 500
