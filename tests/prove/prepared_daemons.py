"""Start daemons without waiting for Python: a process that has imported the product already and forks for each one.

A daemon is a process of its own with all that belongs to it (its session, its descriptors, its environment), and starts its children as it
ever does; only the half second of imports before it is spared, of which five hundred kills would need ten minutes.

`python -m tests.prove.prepared_daemons` reads one JSON line per daemon: {"arguments", "environment", "log"}; it writes {"pid"}, and
{"pid", "status"} when that daemon has ended.
"""

import ctypes
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self, cast

_CHECK_SECONDS: Final = 0.005
_PR_SET_PDEATHSIG: Final = 1


@dataclass(kw_only=True)
class Prepared:
    """One started daemon, with the part of subprocess.Popen that is needed of it."""

    pid: int
    returncode: int | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Raises subprocess.TimeoutExpired."""
        if not self._ended.wait(timeout) or self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def ended(self, status: int) -> None:
        self.returncode = status
        self._ended.set()


class PreparedDaemons:
    """The forking process, seen from the tests; may be used from several threads. Use as a context manager."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._answers: dict[int, Prepared] = {}
        self._started = threading.Semaphore(0)
        self._last: Prepared | None = None

    def __enter__(self) -> Self:
        command = (sys.executable, "-m", "tests.prove.prepared_daemons")
        environment = {**os.environ, "PYTHONPATH": str(self._root)}
        self._process = subprocess.Popen(command, cwd=self._root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._reader = threading.Thread(target=self._read, name="ends of daemons", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        cast(IO[bytes], self._process.stdin).close()
        self._process.wait(30)
        self._reader.join(30)
        cast(IO[bytes], self._process.stdout).close()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Prepared:
        """Start a daemon with exactly this environment; what it writes is appended to `log`."""
        line = json.dumps({"arguments": list(arguments), "environment": dict(environment), "log": str(log)}).encode() + b"\n"
        stdin = cast(IO[bytes], self._process.stdin)
        with self._lock:
            stdin.write(line)
            stdin.flush()
            assert self._started.acquire(timeout=60), "no daemon was started"
            assert self._last is not None
            return self._last

    def _read(self) -> None:
        for line in cast(IO[bytes], self._process.stdout):
            answer = json.loads(line)
            if "status" in answer:
                self._answers.pop(answer["pid"]).ended(answer["status"])
            else:
                self._last = self._answers[answer["pid"]] = Prepared(pid=answer["pid"])
                self._started.release()


# -- the forking process --------------------------------------------------------------------------------------------------


def serve() -> None:
    """Fork a daemon for every line, until there are no more; daemons that are left are killed then."""
    for module in ("heygem_daemon.cli.app", "heygem_daemon.cli.commands.config", "heygem_daemon.cli.commands.run"):
        importlib.import_module(module)
    target = os.dup(1)
    children: set[int] = set()
    rest = b""
    while True:
        if select.select([0], [], [], _CHECK_SECONDS)[0]:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    _become_daemon(json.loads(line), target)
                children.add(pid)
                _answer(target, pid=pid)
        _report_ended(children, target)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _report_ended(children: set[int], target: int) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children.discard(pid)
            _answer(target, pid=pid, status=os.waitstatus_to_exitcode(status))


def _answer(target: int, **fields: Any) -> None:
    os.write(target, json.dumps(fields).encode() + b"\n")


def _become_daemon(wanted: Mapping[str, Any], target: int) -> None:
    """Be a daemon as if this process had been started as one; never returns."""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # no daemon outlives the tests
        os.close(target)
        log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, standard in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, standard)
        os.close(log)
        os.close(nothing)
        os.environ.clear()
        os.environ.update(wanted["environment"])
        from tests.prove import killed_process  # noqa: PLC0415

        sys.argv = ["killed_process", *wanted["arguments"]]
        killed_process.main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1 if end.code else 0)
    except BaseException:  # noqa: BLE001 - as Python itself ends a program
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    serve()
