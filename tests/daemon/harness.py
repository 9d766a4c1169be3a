"""The daemon over real folders and the real ledger, with a clock of ours and a session that obeys the drop's `text`."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from heygem_daemon.daemon.clock import ClockReading

from heygem_daemon.core import policy
from heygem_daemon.core.drop import DropLimits
from heygem_daemon.core.errors import error
from heygem_daemon.core.job import Job
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.daemon.candidates import CandidateRules, CandidateTracker
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.daemon.requests import RequestHandler
from heygem_daemon.daemon.runtime_config import Intervals, RuntimeConfig
from heygem_daemon.daemon.status_reporter import Identity, StatusReporter
from heygem_daemon.daemon.work_order import Defaults
from heygem_daemon.executors.inline import InlineExecutor
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.intake.inspector import MediaInspector
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.watcher import WatchdogNotifier
from heygem_daemon.ledger.memory import MemoryLedger
from heygem_daemon.publishing.publish import FolderPublisher
from heygem_daemon.publishing.retention import FolderRetention
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.worker.loop import OnStep

SETTLE = 3.0
INCOMPLETE = 60.0


class Filming:
    """A session that copies a finished film; `text` in job.toml makes it fail: "fail device_memory", "fail no_face" ..."""

    film: Path
    orders: list[WorkOrder]

    def __init__(self, film: Path) -> None:
        self.film = film
        self.orders = []
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
            raise error(code, name="a.mp4", problem="told so", device="x", program="ffmpeg")
        shutil.copyfile(order.recording if order.item in self.spoilt else self.film, order.output)
        shutil.copyfile(self.film, order.thumbnail)
        if order.options.explain:
            shutil.copyfile(self.film, order.explain)
        return {
            "frames": 10, "frame_rate": "10", "seconds": 1.0, "width": 64, "height": 64, "speed": 2.0, "explained": order.options.explain
        }  # fmt: skip


@dataclass(kw_only=True)
class Listeners:
    """ServiceNotifier, Hooks and MetricsExporter in one: remembers what it was told."""

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

    def close(self, seconds: float) -> None:
        self.calls.append("close")


@dataclass(kw_only=True)
class DaemonHarness:
    """`tick(seconds)` lets time pass and ticks once; `until(condition)` ticks until the threads beside the daemon have done their part."""

    folder: Path
    film: Path
    speech: Path
    until_idle: bool = False
    tolerant: bool = False
    """Whether a mistake in a tick is only logged, as in life."""
    stumble: BaseException | None = None
    reserve_bytes: int = 0
    monotonic: float = 1000.0
    wall: float = field(default_factory=time.time)
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    listeners: Listeners = field(default_factory=Listeners)
    reconfigure: Callable[[Daemon], None] = lambda _daemon: None

    def __post_init__(self) -> None:
        self.inbox.mkdir(exist_ok=True)
        (self.inbox / ".heygem-inbox").touch()
        self.outputs.mkdir(exist_ok=True)
        self.open()

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    def log(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        if event == "tick_failed":
            self.stumble = sys.exception()
        self.events.append((event, {"level": level, **fields}))

    def open(self) -> None:
        """Build the daemon; again after `crash`."""
        self.session = Filming(self.film)
        executor = InlineExecutor(lambda: self.session)
        self.publisher = FolderPublisher(self.outputs)
        claims, scanner, status_writer = FolderClaims(), FolderScanner(), StatusFiles(self.outputs)
        inspector, inbox = MediaInspector(), str(self.inbox)
        reporting = StatusReporter(
            status_writer=status_writer, ledger=self.ledger, executor=executor, publisher=self.publisher, log=self.log, hooks=self.listeners,
            metrics_exporter=self.listeners,
            identity=Identity(version="0", pid=1, started=self.wall, outputs=str(self.outputs), reserve_bytes=self.reserve_bytes),
        )  # fmt: skip
        defaults = Defaults(
            options=RenderOptions(), zip=False, item_seconds=100.0, reserve_bytes=self.reserve_bytes, outputs=str(self.outputs), engines=("rewrite",),
        )  # fmt: skip
        dispatch = Dispatcher(
            ledger=self.ledger, executor=executor, publisher=self.publisher, claims=claims, log=self.log, retry_policy=policy.Policy(),
            breaker=policy.Breaker(threshold=2, cool_down=300.0), defaults=defaults, until_idle=self.until_idle, on_change=reporting.changed,
            on_end=reporting.ended,
        )  # fmt: skip
        rules = CandidateRules(
            settle_seconds=SETTLE, network_settle_seconds=10.0, incomplete_seconds=INCOMPLETE, limits=DropLimits(), priorities={inbox: 5}
        )
        arrivals = CandidateTracker(
            scanner=scanner,
            claims=claims,
            inspector=inspector,
            status_writer=status_writer,
            log=self.log,
            rules=rules,
            until_idle=self.until_idle,
        )
        config = RuntimeConfig(
            inboxes=(inbox,), pace=Intervals(scan=0.5, network_scan=5.0), rules=rules, retry=policy.Policy(),
            breaker=policy.Breaker(threshold=2, cool_down=300.0), defaults=defaults,
        )  # fmt: skip
        self.daemon = Daemon(
            config=config, scanner=scanner, claims=claims, change_notifier=WatchdogNotifier(), inspector=inspector, ledger=self.ledger,
            executor=executor, publisher=self.publisher, retention=FolderRetention(inboxes=[self.inbox], outputs=self.outputs),
            arrivals=arrivals, dispatch=dispatch, wishes=RequestHandler(dispatch=dispatch, ledger=self.ledger, claims=claims, log=self.log),
            reporting=reporting, log=self.log, service_notifier=self.listeners, reconfigure=self.reconfigure,
        )  # fmt: skip
        dispatch.recover(self.now)

    def close(self) -> None:
        self.daemon.inspector.close()
        self.daemon.change_notifier.close()
        self.daemon.executor.stop(0)
        self.publisher.close()

    def crash(self) -> None:
        """Forget everything that is not on disk or in the ledger, and start again."""
        self.close()
        self.open()

    @property
    def now(self) -> ClockReading:
        return ClockReading(monotonic=self.monotonic, wall=self.wall)

    def tick(self, seconds: float = 0.0) -> float:
        self.monotonic += seconds
        self.wall += seconds
        stumbles = len(self.events_named("tick_failed"))
        wait = self.daemon.tick(self.now)
        if len(self.events_named("tick_failed")) > stumbles and not self.tolerant:
            raise AssertionError("the tick failed") from self.stumble
        return wait

    def until(self, condition: Callable[[], object], step: float = 0.5) -> None:
        """Tick with little steps of our time until `condition` holds; the threads beside get a minute of real time."""
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.events[-8:]}")
            self.tick(step)
            time.sleep(0.01)

    # -- drops and looking ----------------------------------------------------------------------------------------

    def drop(self, name: str, job_toml: str = "", videos: tuple[str, ...] = ("a.mp4",)) -> Path:
        folder = self.inbox / name
        (folder / "videos").mkdir(parents=True)
        shutil.copyfile(self.speech, folder / "speech.wav")
        for video in videos:
            shutil.copyfile(self.film, folder / "videos" / video)
        if job_toml:
            (folder / "job.toml").write_text(job_toml, encoding="utf-8")
        return folder

    def finish(self, name: str, job_toml: str = "") -> JobStatus:
        """Drop it and wait for its end."""
        self.drop(name, job_toml)
        self.until(lambda: self.events_named("job_finished", job=name))
        self.tick(1)
        return self.status(name)

    def status(self, output: str) -> JobStatus:
        return JobStatus.read((self.outputs / output / "status.json").read_bytes())

    def daemon_status(self) -> DaemonStatus:
        return DaemonStatus.read((self.outputs / "status.json").read_bytes())

    def state(self, output: str) -> str | None:
        return str(self.status(output).state) if (self.outputs / output / "status.json").exists() else None

    def events_named(self, event: str, **fields: object) -> list[dict[str, object]]:
        return [seen for name, seen in self.events if name == event and fields.items() <= seen.items()]

    def job(self, name: str) -> Job:
        return self.ledger.find(name)[0]

    def alter(self, job: Job, **changes: Any) -> None:
        self.ledger.put(replace(job, **changes))


def make_film(path: Path) -> Path:
    """1 s of moving picture at 10 fps, 64x64, with a tone."""
    picture, sound = "testsrc2=size=64x64:rate=10:duration=1", "sine=frequency=300:duration=1"
    command = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-pix_fmt", "yuv420p", str(path))
    subprocess.run(command, check=True, timeout=60)
    return path


def make_speech(path: Path) -> Path:
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=200:duration=1", str(path)), check=True, timeout=60)
    return path
