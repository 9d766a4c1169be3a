"""Run the administrator's hooks at the end of a job: a command, a webhook, or both. Neither can break or delay a job.

The daemon only puts the job's status into a queue; one thread takes them in order and runs a process for each (hook_process).
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from heygem_daemon.core.ports import Log
from heygem_daemon.core.status import JobStatus
from heygem_daemon.service import webhook as webhook_program
from heygem_daemon.service.hook_process import HookResult, run

QUEUE_SIZE: Final = 1000
"""Jobs that may wait for their hooks; a job that ends while the queue is full gets none."""
KILL_SECONDS: Final = 3.0

SYSTEMD_VARIABLES: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "JOURNAL_STREAM",
)
"""Variables that systemd sets for the daemon itself; a hook does not get them."""


@dataclass(frozen=True, kw_only=True)
class Hook:
    """One configured hook: its name in the log, its command, and what its environment has besides."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def reason(self, result: HookResult) -> str:
        """Return why it failed, in a sentence; our own webhook program prints that as its last line."""
        last_line = result.output.rpartition("\n")[2] if self.name == "webhook" else ""
        if last_line and result.code is None:
            return f"{result.problem} ({last_line})"
        return last_line or result.problem


def command_hook(command: Sequence[str]) -> Hook:
    return Hook(name="command", command=tuple(command))


def webhook_hook(address: str, seconds: float, secret_file: str = "") -> Hook:
    """Return the hook that runs our webhook program by its path, isolated: it starts as fast as a bare Python, whatever the environment."""
    command = (sys.executable, "-I", str(Path(webhook_program.__file__).resolve()), f"{seconds:g}")
    return Hook(name="webhook", command=command, environment={webhook_program.ADDRESS: address, webhook_program.SECRET_FILE: secret_file})


def environment_of(status: JobStatus, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a hook. The names are not those of settings (HEYGEM_...): a hook may well call `heygem`."""
    kept = {name: value for name, value in inherited.items() if name not in SYSTEMD_VARIABLES}
    return kept | {"JOB_ID": status.job, "JOB_NAME": status.name, "JOB_STATE": str(status.state), "JOB_OUTPUT": status.output}


class JobHooks:
    """The `Hooks` port. `timeout_seconds` holds for the command, and again for the webhook with all its tries."""

    def __init__(
        self,
        *,
        command: Sequence[str],
        webhook: str,
        timeout_seconds: float,
        log: Log,
        secret_file: str = "",
        queue_size: int = QUEUE_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        hooks = ([command_hook(command)] if command else []) + ([webhook_hook(webhook, timeout_seconds, secret_file)] if webhook else [])
        self._hooks = tuple(hooks)
        self._seconds = timeout_seconds
        self._log = log
        self._queue_size = queue_size
        self._clock = clock
        self._queue: queue.SimpleQueue[JobStatus | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def job_ended(self, status: JobStatus) -> None:
        if not self._hooks:
            return
        if self._is_closing:
            self._skip(status, "The daemon is ending")
        elif self._queue.qsize() >= self._queue_size:
            self._skip(status, f"{self._queue_size} jobs wait for their hooks already")
        elif self._ensure_thread():
            self._queue.put(status)
        else:
            self._skip(status, "No thread can be started")

    def close(self, seconds: float) -> None:
        self._is_closing = True
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join(seconds)
        self._stop.set()
        self._thread.join(KILL_SECONDS)

    def _ensure_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run_queue, name="hooks", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system's limit of tasks
                return False
            self._thread = thread
        return True

    def _run_queue(self) -> None:
        while (status := self._queue.get()) is not None:
            for hook in self._hooks:
                try:
                    self._run_hook(hook, status)
                except Exception:  # noqa: BLE001 - the border of a hook; see the house rules
                    self._log_failure(hook, status, "An internal error of the daemon", exc_info=True)

    def _run_hook(self, hook: Hook, status: JobStatus) -> None:
        if self._stop.is_set():
            self._log_failure(hook, status, "The daemon ended before its turn")
            return
        started = self._clock()
        environment = {**environment_of(status, os.environ), **hook.environment}
        stdin = status.to_json().encode()
        result = run(hook.command, stdin=stdin, environment=environment, seconds=self._seconds, stop=self._stop, clock=self._clock)
        seconds = round(self._clock() - started, 3)
        if not result.problem:
            self._log("hook_finished", level="debug", job_id=status.job, job=status.name, hook=hook.name, seconds=seconds)
            return
        output = result.output if hook.name == "command" else ""
        self._log_failure(hook, status, hook.reason(result), seconds=seconds, output=output or None)

    def _skip(self, status: JobStatus, reason: str) -> None:
        for hook in self._hooks:
            self._log_failure(hook, status, reason)

    def _log_failure(self, hook: Hook, status: JobStatus, reason: str, **fields: object) -> None:
        self._log("hook_failed", level="warning", job_id=status.job, job=status.name, hook=hook.name, reason=reason, **fields)
