"""The product's command line with a worker that falls ill as its job says: everything else is real, the worker process too.

    python -m tests.prove.sick_engine run --config heygem.toml      with PROVE_FILM = the film, PROVE_SICK = a folder

`text` of job.toml names what befalls the first attempt at an item; the next one is well. With an exclamation mark it befalls every attempt.
"""

import ctypes
import fcntl
import itertools
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from heygem_daemon.cli import main
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.executors.local import LocalExecutor
from heygem_daemon.executors.slot import WorkerTimeouts
from heygem_daemon.media import run
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.writer import VideoWriter
from heygem_daemon.wiring import adapters
from heygem_daemon.worker.loop import OnStep
from tests.e2e.site import children_of
from tests.prove.instant_engine import FILM, REPORT, InstantSite

FOLDER: Final = "PROVE_SICK"
SESSION: Final = "tests.prove.sick_engine:SickSession"
SILENCE_SECONDS: Final = 8.0
STALL_SECONDS: Final = 4.0
"""s instead of 600 without a sign of life of a worker, and instead of 300 without progress of its ffmpeg."""


class SickSession:
    """`options` are those of the worker, which are not needed here."""

    def __init__(self, options: object = None) -> None:
        self._film, self._folder = Path(os.environ[FILM]), Path(os.environ[FOLDER])
        run.STALL_SECONDS = STALL_SECONDS  # type: ignore[misc]

    def device(self) -> str:
        return "sick"

    def models(self) -> Mapping[str, str]:
        return {}

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        verb, *words = (order.options.text or "well").split()
        on_step("render", 0, 2)
        noted = self._folder / f"{order.job_id}.ill"
        with noted.open("a", encoding="utf-8") as file:
            file.write("ill\n")
        if verb.endswith("!") or len(noted.read_text(encoding="utf-8").splitlines()) == 1:
            getattr(self, f"_{verb.rstrip('!')}")(order, *words)
        on_step("render", 2, 2)
        shutil.copyfile(self._film, order.output)
        return REPORT

    def _well(self, _order: WorkOrder) -> None:
        """Nothing befalls it."""

    def _device(self, order: WorkOrder, room: str) -> None:
        from tests.prove.small_device import generate  # noqa: PLC0415 - PyTorch takes seconds, and the daemon needs none

        tried: list[int] = []
        try:
            generate(int(room), tried)
        finally:
            (self._folder / f"{order.job_id}.batches").write_text(" ".join(map(str, tried)), encoding="utf-8")

    def _memory(self, _order: WorkOrder) -> None:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )

    def _sleep(self, _order: WorkOrder) -> None:
        time.sleep(3600)

    def _spin(self, _order: WorkOrder) -> None:
        """Compute in C without letting any other thread run: no Python code comes in between."""
        sum(itertools.repeat(0))

    def _block(self, _order: WorkOrder) -> None:
        """Wait in C, as a driver does that hangs, without letting any other thread run."""
        ctypes.PyDLL(None).sleep(3600)

    def _stop(self, _order: WorkOrder) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def _decode(self, order: WorkOrder) -> None:
        with closing(VideoReader(check_video(Path(order.video))).frames()) as frames:
            next(frames)
            _stop_children()
            for _ in frames:
                pass

    def _encode(self, order: WorkOrder) -> None:
        info = check_video(Path(order.video))
        assert info.video is not None
        path, recording = Path(order.output), check_recording(Path(order.recording))
        with VideoWriter(path, like=info.video, recording=recording, frames=info.video.frames, fit="video", quality=30) as writer:
            _stop_children()
            for frame in VideoReader(info).frames():
                writer.write(frame)

    def _garbage(self, _order: WorkOrder) -> None:
        _write_all(b"\x00\xff not a report\n" * 300)

    def _flood(self, _order: WorkOrder) -> None:
        while True:
            _write_all(b"{}\n" * 20_000)

    def _line(self, _order: WorkOrder) -> None:
        for _ in range(100):
            _write_all(b"x" * 2**20)
        _write_all(b"\n")

    def _close(self, _order: WorkOrder) -> None:
        os.close(_reports())
        time.sleep(3600)

    def _killed(self, _order: WorkOrder) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _stop_children() -> None:
    for child in children_of(os.getpid()):
        os.kill(child, signal.SIGSTOP)


def _reports() -> int:
    """Return the descriptor on which the worker sends its reports: the only pipe, besides standard error, that it writes to."""
    for descriptor in range(3, 64):
        with suppress(OSError):
            is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
            if is_pipe and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                return descriptor
    raise RuntimeError("no pipe for reports")


def _write_all(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(_reports(), left) :]


@dataclass(kw_only=True)
class SickSite(InstantSite):
    """A Site whose daemon has the sick engine. search: what PATH is, besides that of Python; None = ours."""

    def command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "tests.prove.sick_engine", *arguments, "--config", str(self.folder / "heygem.toml"))

    @property
    def sick(self) -> Path:
        return self.folder / "sick"

    def environment(self, inherited: Mapping[str, str]) -> Mapping[str, str]:
        self.sick.mkdir(exist_ok=True)
        path = os.pathsep.join((str(self.folder / "programs"), inherited.get("PATH", "")))
        return {**super().environment(inherited), FOLDER: str(self.sick), "PATH": path}


def _with_sick_session(make: Callable[..., Callable[[str, str], Sequence[str]]]) -> Callable[..., Callable[[str, str], Sequence[str]]]:
    """Return `make`, whose command lines then name the session of this module."""

    def worker_commands(*arguments: Any) -> Callable[[str, str], Sequence[str]]:
        command = make(*arguments)
        return lambda name, device: (*command(name, device), "--session", SESSION, "--heartbeat-seconds", "0.5")

    return worker_commands


if __name__ == "__main__":
    timeouts = WorkerTimeouts(start=120, silence=SILENCE_SECONDS, pause=0.1)
    commands = _with_sick_session(vars(adapters)["worker_commands"])
    vars(adapters).update(worker_commands=commands, LocalExecutor=partial(LocalExecutor, timeouts=timeouts))
    main()
