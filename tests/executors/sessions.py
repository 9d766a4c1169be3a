"""A session that executes the command in the order's text, so that tests can make a worker crash, hang, fail or succeed."""

import ctypes
import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from heygem_daemon.core.errors import error
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.worker.loop import OnStep


class ScriptedSession:
    """`options` are those of the worker, which are not needed here."""

    def __init__(self, options: object = None) -> None:
        if options is not None and os.environ.get("SCRIPTED_START") == "crash":
            sys.stderr.write("the model does not load\n")
            os._exit(7)
        if os.environ.get("SCRIPTED_START") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self._orders = 0

    def device(self) -> str:
        return "scripted"

    def models(self) -> Mapping[str, str]:
        return {"model": "abc"}

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        self._orders += 1
        verb, _, argument = (order.options.text or "succeed").partition(" ")
        on_step("render", 0, 2)
        getattr(self, f"_{verb}")(argument)
        on_step("render", 2, 2)
        return {"pid": os.getpid(), "orders": self._orders, "characters": len(order.options.text or "")}

    def _succeed(self, _argument: str) -> None:
        pass

    def _print(self, argument: str) -> None:
        """Write to stdout in every way a library might."""
        sys.stdout.write(f"from python: {argument}\n")
        sys.stdout.flush()
        subprocess.run(["echo", "from a child: " + argument], check=True)
        libc = ctypes.CDLL(None)
        libc.puts(b"from C: " + argument.encode())
        libc.fflush(None)

    def _fail(self, argument: str) -> None:
        raise error(argument, name="a.mp4", problem="as ordered")

    def _break(self, argument: str) -> None:
        raise ZeroDivisionError(argument)

    def _full(self, _argument: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def _exit(self, argument: str) -> None:
        sys.stderr.write("the end of stderr\n")
        sys.stderr.flush()
        os._exit(int(argument))

    def _kill(self, argument: str) -> None:
        os.kill(os.getpid(), signal.Signals[argument])
        time.sleep(60)

    def _garbage(self, argument: str) -> None:
        """Write lines that are no reports where the reports go: to the pipe that standard output was, and hang."""
        for descriptor in _report_pipes():
            for _ in range(int(argument)):
                os.write(descriptor, b"garbage\n")
        time.sleep(3600)

    def _mute(self, _argument: str) -> None:
        """Close the pipe of the reports, and stand still with all threads."""
        for descriptor in _report_pipes():
            os.close(descriptor)
        os.kill(os.getpid(), signal.SIGSTOP)

    def _hang(self, _argument: str) -> None:
        time.sleep(3600)

    def _sleep(self, argument: str) -> None:
        time.sleep(float(argument))

    def _child(self, argument: str) -> None:
        """Start a long-lived child, write its id into a file, and hang."""
        child = subprocess.Popen(["sleep", "600"])
        Path(argument).write_text(f"{child.pid}\n", encoding="ascii")
        child.wait()


def _report_pipes() -> list[int]:
    """Return the descriptors of the pipe that standard output was."""
    found = []
    for descriptor in range(3, 64):
        with suppress(OSError):
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                found.append(descriptor)
    return found
