"""Doubles for the tests of the daemon: a clock that is set by hand, media without ffmpeg, a session without an engine."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import Item, Job
from heygem_daemon.core.publication import Published
from heygem_daemon.core.scan import Inspection
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.core.users import NOBODY
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.intake.inspector import MediaInspector
from heygem_daemon.publishing.publish import FolderPublisher
from heygem_daemon.service.log import StructLog
from heygem_daemon.worker.loop import OnStep

FILM: Final = b"a film"
SPEECH: Final = b"a recording"
"""The whole content of media files that ReadableMedia and `verify_film` accept."""


@dataclass(kw_only=True)
class ManualClock:
    """A Clock that stands still until a test moves it."""

    monotonic: float
    wall: float

    def now(self) -> ClockReading:
        return ClockReading(monotonic=self.monotonic, wall=self.wall)

    def advance(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


class NoChanges:
    """A ChangeNotifier without events: only the clock makes a scan due."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def watch(self, inbox: str) -> None: ...

    def wakeup(self) -> int:
        return self._descriptor

    def changed(self) -> bool:
        return False

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class ReadableMedia:
    """An Inspector that answers at once: films and recordings last 1 s, whatever has another content is broken."""

    def inspect(
        self, key: str, signature: str, *, inbox: str, root: Path, recordings: Sequence[str], videos: Sequence[str], owner: str = NOBODY
    ) -> Inspection:
        problems: dict[str, HeygemError] = {}
        for paths, content, code in ((recordings, {SPEECH, FILM}, "audio_unreadable"), (videos, {FILM}, "not_a_video")):
            problems |= {
                path: error(code, name=Path(path).name, type="a text file") for path in paths if (root / path).read_bytes() not in content
            }
        return Inspection(problems=problems, seconds={path: 1.0 for path in (*recordings, *videos) if path not in problems})

    def forget(self, key: str) -> None: ...

    def close(self) -> None: ...


class AwaitedInspector(MediaInspector):
    """The product's inspector, made deterministic: its answer is waited for, so that the manual clock does not outrun ffprobe."""

    def inspect(
        self, key: str, signature: str, *, inbox: str, root: Path, recordings: Sequence[str], videos: Sequence[str], owner: str = NOBODY
    ) -> Inspection | None:
        super().inspect(key, signature, inbox=inbox, root=root, recordings=recordings, videos=videos, owner=owner)
        wait([check.length for check in self._pending[key].checks.values()])
        return super().inspect(key, signature, inbox=inbox, root=root, recordings=recordings, videos=videos, owner=owner)


def verify_film(path: Path, **_: object) -> None:
    """Refuse a result that is not the film."""
    if path.read_bytes() != FILM:
        raise error("result_invalid", problem="it is not the film")


class NextTickPublisher(FolderPublisher):
    """The product's publisher, made deterministic: what is handed over in one tick is verified, and published in the next."""

    def __init__(self, outputs: Path, *, verify: Callable[..., None]) -> None:
        super().__init__(outputs, verify=verify)
        self._handed_over: list[tuple[Job, Item, str, Mapping[str, Any]]] = []

    def publish(self, job: Job, item: Item, token: str, result: Mapping[str, Any]) -> None:
        self._handed_over.append((job, item, token, result))

    def poll(self) -> Iterable[Published]:
        wait([pending.verification for pending in self._pending.values()])
        wait([pending.inputs for pending in self._pending.values()])
        published = list(super().poll())
        for job, item, token, result in self._handed_over:
            super().publish(job, item, token, result)
        self._handed_over.clear()
        return published

    def discard(self, token: str) -> None:
        self._handed_over = [each for each in self._handed_over if each[2] != token]
        super().discard(token)


class StubSession:
    """A session that copies a finished film; `text` in job.toml makes it fail: "fail device_memory", "fail no_face" ...

    `spoilt` holds the items whose result is made invalid."""

    def __init__(self, film: Path) -> None:
        self.film = film
        self.orders: list[WorkOrder] = []
        self.spoilt: set[str] = set()

    def device(self) -> str:
        return "scripted"

    def models(self) -> Mapping[str, str]:
        return {}

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        self.orders.append(order)
        on_step("render", 1, 2)
        verb, _, code = (order.options.text or "").partition(" ")
        if verb == "fail":
            raise error(code, name="a.mp4", problem="as scripted", device="x", program="ffmpeg")
        shutil.copyfile(order.recording if order.item in self.spoilt else self.film, order.output)
        shutil.copyfile(self.film, order.thumbnail)
        if order.options.explain:
            shutil.copyfile(self.film, order.explain)
        metrics = {"frames": 10, "frame_rate": "10", "seconds": 1.0, "width": 64, "height": 64, "speed": 2.0}
        return {**metrics, "explained": order.options.explain}


@dataclass(kw_only=True)
class RecordingObservers:
    """ServiceNotifier, Hooks and MetricsExporter in one: remembers every call."""

    calls: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    ended: list[JobStatus] = field(default_factory=list)
    statuses: list[DaemonStatus] = field(default_factory=list)

    def ready(self) -> None:
        self.calls.append("ready")

    def alive(self) -> None:
        self.calls.append("alive")

    def reloading(self) -> None:
        self.calls.append("reloading")

    def stopping(self) -> None:
        self.calls.append("stopping")

    def status(self, line: str) -> None:
        self.lines.append(line)

    def job_ended(self, status: JobStatus) -> None:
        self.ended.append(status)

    def write(self, status: DaemonStatus) -> None:
        self.statuses.append(status)

    def withdraw(self) -> None:
        self.calls.append("withdraw")

    def close(self, seconds: float) -> None:
        self.calls.append("close")


class RecordingLog(StructLog):
    """The real log, which also remembers its events, its level, and what made a tick fail."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        self.level = ""
        self.tick_failure: BaseException | None = None
        super().__init__(style="json", stream=io.StringIO())

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        if event == "tick_failed":
            self.tick_failure = sys.exception()
        self.events.append((event, {"level": level, **fields}))
        super().__call__(event, level=level, **fields)

    def set_level(self, level: str) -> None:
        self.level = level
        super().set_level(level)

    def events_named(self, name: str, **fields: object) -> list[dict[str, object]]:
        """Return the fields of the events of this name that have these fields."""
        return [found for event, found in self.events if event == name and fields.items() <= found.items()]


def make_film(path: Path) -> Path:
    """Write 1 s of moving image at 10 fps, 64x64, with a tone."""
    image, tone = "testsrc2=size=64x64:rate=10:duration=1", "sine=frequency=300:duration=1"
    command = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", image, "-f", "lavfi", "-i", tone, "-pix_fmt", "yuv420p", str(path))
    subprocess.run(command, check=True, timeout=60)
    return path


def make_speech(path: Path) -> Path:
    """Write 1 s of a tone."""
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=200:duration=1", str(path)), check=True, timeout=60)
    return path
