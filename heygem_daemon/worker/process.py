"""What a worker does to its own process: clean pipes, dying with its parent, signs of life."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from heygem_daemon.worker.protocol import Beat, Message, encode

_PR_SET_PDEATHSIG: Final = 1
_ORPHAN_GRACE: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_OOM_SCORE: Final = "500"
"""proc_pid_oom_score_adj(5): as if it used half of all memory more than it does."""


class Terminated(BaseException):
    """SIGTERM or SIGINT arrived, or the parent is gone. Like SystemExit it passes every `except Exception`."""


class Outlet:
    """Messages to the parent, over a private copy of stdout; thread-safe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Write one line. Raises BrokenPipeError when nobody listens any more."""
        line = memoryview(encode(message))
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]


def claim_stdout() -> Outlet:
    """Keep stdout for messages alone: what libraries and children print from now on goes to stderr."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return Outlet(private)


def bind_to_parent() -> int:
    """Let the kernel send SIGTERM when the parent's thread that started us ends; return the parent's id.

    The signal is asked for by ourselves, not between fork and exec in the parent, which is unsafe where the parent has threads.
    """
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew of our wish
        raise Terminated
    return parent


def lead_group() -> None:
    """Make sure that we lead a process group, so that one kill reaches our ffmpeg children too."""
    if os.getpid() != os.getpgrp():
        os.setpgid(0, 0)


def go_first_when_memory_runs_out() -> None:
    """Let the kernel choose this process and its children before the daemon, which would lose everybody's work."""
    with contextlib.suppress(OSError):  # a container may forbid it
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def raise_on_signals() -> None:
    """SIGTERM and SIGINT raise Terminated in the main thread, once: clean-up is not interrupted by a second one."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise Terminated(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def end_children() -> None:
    """Ask every other process of our group to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)


class Pulse:
    """Says every `seconds` that the work moves, from a thread of its own, but only when it does.

    The main thread calls `moved` at every step and `idle` while it waits for orders; when neither happens, as in a hang,
    the beats cease and the parent draws its conclusion. The thread also ends the whole group when the parent is gone and the
    main thread, stuck somewhere in C code, cannot obey its SIGTERM.
    """

    def __init__(self, outlet: Outlet, *, parent: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._outlet, self._parent, self._seconds, self._clock = outlet, parent, seconds, clock
        self._steps = 0
        self._is_idle = False
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def moved(self) -> None:
        self._is_idle = False
        self._steps += 1

    def idle(self) -> None:
        self._is_idle = True

    def _run(self) -> None:
        seen, last = -1, self._clock()
        while os.getppid() == self._parent:
            time.sleep(min(_LOOK_SECONDS, self._seconds))
            steps = self._steps
            if self._clock() - last >= self._seconds and (steps != seen or self._is_idle):
                seen, last = steps, self._clock()
                with contextlib.suppress(OSError):
                    self._outlet.send(Beat())
        time.sleep(_ORPHAN_GRACE)
        os.killpg(os.getpgrp(), signal.SIGKILL)
