"""Hooks at the end of a job get its status, and neither break nor delay anything, whatever they do."""

import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from heygem_daemon import settings
from heygem_daemon.core.job import State
from heygem_daemon.core.status import ErrorStatus, ItemStatus, JobStatus, TimesStatus
from heygem_daemon.processes import Tail
from heygem_daemon.service import hook_process
from heygem_daemon.service import hooks as hooks_module
from heygem_daemon.service.hooks import JobHooks, environment_of, webhook_hook
from tests.service.jumping_clock import JumpingClock

SECRET: Final = "http://user:hunter2@127.0.0.1:{port}/T0/hunter2"  # noqa: S105 - of this test only
Make = Callable[..., JobHooks]


def status(number: int = 1, **changes: Any) -> JobStatus:
    fields: dict[str, Any] = {
        "job": f"20261123-004554-lesson-{number}",
        "name": f"第{number}课",
        "output": f"lesson-{number}",
        "state": State.PARTIAL,
        "since": datetime(2026, 11, 23, tzinfo=UTC),
    }
    return JobStatus(**fields | changes)


class Events:
    """A log that can be waited for."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        assert (event, level) in {("hook_finished", "debug"), ("hook_failed", "warning")}
        with self._changed:
            self.lines.append({"event": event, **fields})
            self._changed.notify_all()

    def wait(self, count: int) -> list[dict[str, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.lines) >= count, timeout=60), self.lines
            return list(self.lines)


@pytest.fixture
def log() -> Events:
    return Events()


@pytest.fixture
def make(log: Events) -> Iterator[Make]:
    made: list[JobHooks] = []

    def build(*command: str, webhook: str = "", seconds: float = 30.0, **more: Any) -> JobHooks:
        made.append(JobHooks(command=command, webhook=webhook, timeout_seconds=seconds, log=log, **more))
        return made[-1]

    yield build
    for each in made:
        each.close(0)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A named pipe: a hook that reads from it hangs until the test opens it for writing."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def shell(lines: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", lines)


# -- the command ---------------------------------------------------------------------------------------------------------


def test_the_command_gets_the_status_as_json_and_the_essentials_in_its_environment(make: Make, log: Events, tmp_path: Path) -> None:
    sent = status()
    make(*shell(f'cat > {tmp_path}/json; echo "$JOB_ID|$JOB_NAME|$JOB_STATE|$JOB_OUTPUT" > {tmp_path}/names')).job_ended(sent)
    (line,) = log.wait(1)
    assert (tmp_path / "json").read_text() == sent.to_json()
    assert (tmp_path / "names").read_text() == "20261123-004554-lesson-1|第1课|partial|lesson-1\n"
    assert line.pop("seconds") >= 0
    assert line == {"event": "hook_finished", "job_id": sent.job, "job": "第1课", "hook": "command"}


def test_a_command_that_fails_is_logged_with_the_end_of_its_output(make: Make, log: Events) -> None:
    make(*shell("echo 'mail: no such user' >&2; exit 67")).job_ended(status())
    (line,) = log.wait(1)
    assert (line["event"], line["hook"], line["reason"]) == ("hook_failed", "command", "It ended with code 67")
    assert line["output"] == "mail: no such user"


def test_a_command_that_does_not_exist_is_logged_and_the_next_job_gets_its_turn(make: Make, log: Events) -> None:
    hooks = make("/no/such/hook")
    hooks.job_ended(status(1))
    hooks.job_ended(status(2))
    assert [line["reason"] for line in log.wait(2)] == ["/no/such/hook cannot be started: No such file or directory"] * 2


def test_a_command_that_takes_too_long_is_killed(make: Make, log: Events) -> None:
    make(*shell("sleep 600"), seconds=0.3).job_ended(status())
    (line,) = log.wait(1)
    assert line["reason"] == "It took longer than 0.3 s"
    assert 0.3 <= line["seconds"] < 20


def test_a_hook_may_call_heygem_without_disturbing_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings.load().model_dump()
    for name, value in environment_of(status(), {}).items():
        monkeypatch.setenv(name, value)
    assert settings.load().model_dump() == before


def test_a_hook_cannot_speak_to_systemd_in_our_name() -> None:
    inherited = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "JOURNAL_STREAM": "1:2", "PATH": "/bin"}
    assert environment_of(status(), inherited).keys() == {"PATH", "JOB_ID", "JOB_NAME", "JOB_STATE", "JOB_OUTPUT"}


# -- never in the way ----------------------------------------------------------------------------------------------------


def test_without_a_hook_nothing_happens(make: Make, log: Events) -> None:
    before = threading.active_count()
    hooks = make()
    hooks.job_ended(status())
    hooks.close(5)
    assert (log.lines, threading.active_count()) == ([], before)


def test_jobs_go_on_ending_while_a_hook_hangs_and_get_theirs_in_order(make: Make, log: Events, gate: Path) -> None:
    hooks = make(*shell(f"read line < {gate}"))
    for number in (1, 2, 3):
        hooks.job_ended(status(number))
    assert log.lines == []  # all three calls came back, and not one hook has ended
    for number in (1, 2, 3):
        gate.write_text("go\n")
        assert log.wait(number)[-1]["job"] == f"第{number}课"


def test_a_call_takes_less_than_10_ms_while_a_hook_hangs(make: Make, gate: Path) -> None:
    hooks = make(*shell(f"read line < {gate}"))
    hooks.job_ended(status())
    taken = []
    for number in range(200):
        begun = time.perf_counter()
        hooks.job_ended(status(number))
        taken.append(time.perf_counter() - begun)
    assert sorted(taken)[100] < 0.01


def test_jobs_beyond_the_queue_size_are_logged_and_not_kept(make: Make, log: Events, gate: Path) -> None:
    hooks = make(*shell(f"read line < {gate}"), queue_size=2)
    hooks.job_ended(status(1))
    wait_until(lambda: hooks._queue.qsize() == 0)  # until the first hook runs
    for number in (2, 3, 4):
        hooks.job_ended(status(number))
    (line,) = log.wait(1)
    assert (line["event"], line["job"], line["reason"]) == ("hook_failed", "第4课", "2 jobs wait for their hooks already")


def test_a_system_without_a_thread_to_spare_costs_the_hook_only(make: Make, log: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    hooks = make(*shell("exit 0"))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        hooks.job_ended(status(1))
    hooks.job_ended(status(2))
    assert [(line["job"], line["event"]) for line in log.wait(2)] == [("第1课", "hook_failed"), ("第2课", "hook_finished")]


def test_an_internal_error_in_one_hook_does_not_end_the_others(make: Make, log: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = make(*shell("exit 0"))
    with monkeypatch.context() as patch:
        patch.setattr(hooks_module, "run", lambda *_args, **_kwargs: 1 / 0)
        hooks.job_ended(status(1))
        (line,) = log.wait(1)
    assert (line["event"], line["exc_info"]) == ("hook_failed", True)
    hooks.job_ended(status(2))
    assert log.wait(2)[1]["event"] == "hook_finished"


# -- the end -------------------------------------------------------------------------------------------------------------


def test_closing_finishes_what_waits_within_its_time(make: Make, log: Events) -> None:
    hooks = make(*shell("exit 0"))
    for number in range(5):
        hooks.job_ended(status(number))
    hooks.close(60)
    assert [line["event"] for line in log.lines] == ["hook_finished"] * 5


def test_closing_kills_what_takes_longer_and_discards_the_rest(make: Make, log: Events, gate: Path, tmp_path: Path) -> None:
    hooks = make(*shell(f"touch {tmp_path}/started; read line < {gate}"))
    hooks.job_ended(status(1))
    hooks.job_ended(status(2))
    wait_until((tmp_path / "started").exists)
    hooks.close(0.01)
    assert [(line["job"], line["reason"]) for line in log.wait(2)] == [
        ("第1课", "The daemon ended before it did"),
        ("第2课", "The daemon ended before its turn"),
    ]
    hooks.job_ended(status(3))
    hooks.close(0)
    assert log.wait(3)[2]["reason"] == "The daemon is ending"


# -- the webhook ---------------------------------------------------------------------------------------------------------


class Listener:
    """A server that takes one request and answers with the given bytes, or, without any, never."""

    def __init__(self, answer: bytes = b"") -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.received = b""
        self._answer = answer
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        self._listening.settimeout(60)
        connection, _ = self._listening.accept()
        with connection:
            while b"}\n" not in self.received:
                self.received += connection.recv(65536)
            connection.sendall(self._answer)
            if not self._answer:
                self._over.wait(60)


def test_the_webhook_gets_the_same_json_after_the_command(make: Make, log: Events) -> None:
    sent = status()
    with Listener(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        make(*shell("exit 1"), webhook=f"http://127.0.0.1:{server.port}/").job_ended(sent)
        lines = log.wait(2)
    assert [(line["hook"], line["event"]) for line in lines] == [("command", "hook_failed"), ("webhook", "hook_finished")]
    assert json.loads(server.received.partition(b"\r\n\r\n")[2]) == json.loads(sent.to_json())


def test_a_server_that_never_answers_is_given_up_in_time(make: Make, log: Events) -> None:
    with Listener() as server:
        clock = JumpingClock(lambda: b"}\n" in server.received)
        make(webhook=f"http://127.0.0.1:{server.port}/", seconds=300.0, clock=clock).job_ended(status())
        (line,) = log.wait(1)
    assert line["reason"] == "It took longer than 300 s"
    assert server.received


@pytest.mark.parametrize("is_killed", [True, False], ids=["between two tries", "after all three"])
def test_a_webhook_that_fails_is_logged_with_its_reason_and_without_the_password(
    make: Make, log: Events, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    has_written = threading.Event()

    class WatchedTail(Tail):
        def append(self, chunk: bytes) -> None:
            super().append(chunk)
            if chunk:
                has_written.set()

    monkeypatch.setattr(hook_process, "Tail", WatchedTail)
    clock = JumpingClock(has_written.is_set) if is_killed else time.monotonic
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        make(webhook=SECRET.format(port=port), seconds=60.0, clock=clock).job_ended(status())
        (line,) = log.wait(1)
    assert ("It took longer than 60 s" in line["reason"]) == is_killed
    assert f"http://127.0.0.1:{port} cannot be reached: Connection refused" in line["reason"]
    assert "hunter2" not in repr(line)


def test_a_webhook_that_cannot_be_signed_is_not_sent_and_logged(make: Make, log: Events, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        make(webhook=address, secret_file=str(tmp_path / "gone")).job_ended(status())
        (line,) = log.wait(1)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert line["reason"] == f"The secret file {tmp_path / 'gone'} cannot be read: No such file or directory"


def test_the_address_is_not_an_argument_that_every_user_can_read() -> None:
    hook = webhook_hook(SECRET.format(port=1), 10.0, "/etc/heygem/webhook.secret")
    assert hook.command[1:2] == ("-I",)
    assert hook.command[3:] == ("10",)
    assert "hunter2" not in repr(hook)


# -- the page ------------------------------------------------------------------------------------------------------------


def test_the_example_of_the_page_works(make: Make, log: Events, root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "monitoring.md").read_text(encoding="utf-8")
    example, _verification = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    script, table = tmp_path / "job-ended", tmp_path / "jobs.tsv"
    script.write_text(example.replace("/var/lib/heygem/jobs.tsv", str(table)).replace("/usr/bin/python3", sys.executable))
    script.chmod(0o755)
    problem = ErrorStatus(code="no_face", message="There is no face in this video.")
    items = (
        ItemStatus(key="a", recording="s.wav", video="videos/a.mp4", state=State.FAILED, error=problem),
        ItemStatus(key="b", recording="s.wav", video="videos/b.mp4", state=State.SUCCEEDED),
    )
    hooks = make(str(script))
    hooks.job_ended(status(1, items=items, times=TimesStatus(finished=datetime(2026, 11, 23, tzinfo=UTC))))
    hooks.job_ended(status(2, state=State.REJECTED, error=problem))
    assert [line["event"] for line in log.wait(2)] == ["hook_finished"] * 2
    assert table.read_text(encoding="utf-8").splitlines() == [
        "2026-11-23T00:00:00Z\tpartial\t第1课\tvideos/a.mp4: There is no face in this video.",
        "None\trejected\t第2课\tThere is no face in this video.",
    ]
