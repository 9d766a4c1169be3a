"""Prepare the worker's own process: private pipes, an end together with the parent, heartbeats."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from heygem_daemon.worker.protocol import Heartbeat, Message, encode

_PR_SET_PDEATHSIG: Final = 1
_ORPHAN_GRACE: Final = 5.0
_CHECK_SECONDS: Final = 0.5


class Terminated(BaseException):
    """SIGTERM or SIGINT arrived, or the parent is gone. Like SystemExit it passes every `except Exception`."""


class MessageWriter:
    """Write messages to the parent, over a private copy of stdout; thread-safe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, message: Message) -> None:
        """Write one line. Raises BrokenPipeError when nobody reads any more."""
        line = memoryview(encode(message))
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]


def redirect_stdout() -> MessageWriter:
    """Keep stdout for messages alone: redirect what libraries and children print from now on to stderr."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return MessageWriter(private)


def set_parent_death_signal() -> int:
    """Let the kernel send SIGTERM when the parent's thread that started us ends; return the parent's id.

    The worker requests the signal itself: between fork and exec in the parent that is unsafe where the parent has threads.
    """
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request reached the kernel
        raise Terminated
    return parent


def ensure_group_leader() -> None:
    """Lead a process group, so that one kill reaches our ffmpeg children too."""
    if os.getpid() != os.getpgrp():
        os.setpgid(0, 0)


def raise_on_signals() -> None:
    """Let SIGTERM and SIGINT raise Terminated in the main thread, once: a second one does not interrupt the clean-up."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise Terminated(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def terminate_group() -> None:
    """Ask every other process of our group to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)


class HeartbeatThread:
    """Send a heartbeat every `seconds` from a thread of its own, but only while the work progresses.

    The main thread calls `progress` at every step and `idle` while it waits for orders; when neither happens, as in a hang,
    the heartbeats stop and the parent kills the worker after a time. The thread also kills the whole group when the parent is
    gone and the main thread, stuck somewhere in C code, cannot react to its SIGTERM.
    """

    def __init__(self, writer: MessageWriter, *, parent: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer, self._parent, self._seconds, self._clock = writer, parent, seconds, clock
        self._steps = 0
        self._is_idle = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def progress(self) -> None:
        self._is_idle = False
        self._steps += 1

    def idle(self) -> None:
        self._is_idle = True

    def _run(self) -> None:
        sent_steps, sent_at = -1, self._clock()
        while os.getppid() == self._parent:
            time.sleep(min(_CHECK_SECONDS, self._seconds))
            steps = self._steps
            if self._clock() - sent_at >= self._seconds and (steps != sent_steps or self._is_idle):
                sent_steps, sent_at = steps, self._clock()
                with contextlib.suppress(OSError):
                    self._writer.write(Heartbeat())
        time.sleep(_ORPHAN_GRACE)
        os.killpg(os.getpgrp(), signal.SIGKILL)
