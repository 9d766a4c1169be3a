"""Every line that `heygem run` prints where its log is JSON is a JSON object: at the start, when it cannot start, when it is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def command(folder: Path, *more: str) -> tuple[str, ...]:
    options = [word for name in ("outputs", "state", "cache", "weights") for word in (f"--{name}", str(folder / name))]
    return (sys.executable, "-m", "heygem_daemon", "run", "--device", "cpu", "--inbox", str(folder / "inbox"), *options, *more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("inbox", "weights"):
        (tmp_path / name).mkdir()
    (tmp_path / "inbox/.heygem-inbox").touch()
    return tmp_path


def events(output: str) -> list[str]:
    """Return the events of the lines, each of which must be a JSON object."""
    return [json.loads(line)["event"] for line in output.splitlines()]


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, start_new_session=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_stopped_impatiently_prints_nothing_but_lines_of_its_log(folder: Path, number: signal.Signals) -> None:
    with start(folder) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if json.loads(line)["event"] == "daemon_ready":
                break
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            os.killpg(process.pid, number)
            time.sleep(0.005)
        lines += process.stdout.readlines()
    assert events("".join(lines))[-1] == "daemon_stopped"
    assert process.returncode == 0


INTERRUPTED: str = """
import builtins, heygem_daemon.cli
load = builtins.__import__
def interrupted(name, *rest, **named):
    if name == "typer":
        raise KeyboardInterrupt
    return load(name, *rest, **named)
builtins.__import__ = interrupted
heygem_daemon.cli.main()
"""


def test_one_that_is_interrupted_while_it_loads_prints_no_traceback() -> None:
    done = subprocess.run((sys.executable, "-c", INTERRUPTED), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_daemon_that_cannot_start_reports_that_in_a_line_of_its_log(folder: Path) -> None:
    (folder / "state").write_text("a file", encoding="utf-8")
    done = subprocess.run(command(folder), capture_output=True, text=True, timeout=60, check=False)
    (line,) = [json.loads(each) for each in (done.stdout + done.stderr).splitlines()]
    assert (done.returncode, line["event"], line["level"]) == (1, "daemon_not_started", "error")
    assert str(folder / "state") in line["message"]


def test_an_offline_inbox_ends_a_single_run_without_a_word_beside_the_log(folder: Path) -> None:
    (folder / "inbox/.heygem-inbox").unlink()
    done = subprocess.run(command(folder, "--until-idle"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "inbox_offline" in events(done.stdout + done.stderr)
