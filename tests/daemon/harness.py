"""The daemon as it is built for the product, over real folders and the real ledger, with a clock that the test moves."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from heygem_daemon.core.clock import ClockReading
from heygem_daemon.core.job import Job
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.ports import Executor, Ledger
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.executors.inline import InlineExecutor
from heygem_daemon.intake.scanner import FolderScanner
from heygem_daemon.intake.timeout_scanner import TimeoutScanner
from heygem_daemon.media.verify import verify_result
from heygem_daemon.publishing.background_retention import BackgroundRetention
from heygem_daemon.publishing.outputs_thread import OutputsThread
from heygem_daemon.publishing.status_files import StatusFiles
from heygem_daemon.publishing.timed_outputs import TimedPublisher, TimedStatusWriter
from heygem_daemon.settings import Disk, Inbox, Intake, Keep, Retry, Settings, Users
from heygem_daemon.wiring.adapters import Adapters, production_adapters
from heygem_daemon.wiring.build import build
from tests.daemon.doubles import (
    AwaitedInspector,
    ManualClock,
    NextTickPublisher,
    NoChanges,
    ReadableMedia,
    RecordingLog,
    RecordingObservers,
    StubSession,
    verify_film,
)

SETTLE = 3.0
INCOMPLETE = 60.0
TIMEOUT_SECONDS = 60.0
"""s of real time for the threads beside the daemon: a scan, a verification, a ZIP."""


@dataclass(kw_only=True)
class DaemonHarness:
    """`tick(seconds)` lets time pass and ticks once; `until(condition)` ticks until the threads beside the daemon have done their part.

    `has_real_media`: the films and recordings are real, and opened by the product's inspector and verification."""

    folder: Path
    film: Path
    speech: Path
    has_real_media: bool = False
    until_idle: bool = False
    tolerant: bool = False
    """Whether a failed tick is only logged, as in the product."""
    reserve_bytes: int = 0
    keep: Keep = field(default_factory=Keep)
    users: Users = field(default_factory=Users)
    clock: ManualClock = field(default_factory=lambda: ManualClock(monotonic=1000.0, wall=time.time()))
    log: RecordingLog = field(default_factory=RecordingLog)
    observers: RecordingObservers = field(default_factory=RecordingObservers)

    def __post_init__(self) -> None:
        for folder in (self.inbox, self.outputs, self.folder / "state"):
            folder.mkdir(exist_ok=True)
        (self.inbox / MARKER).touch()
        self.open()

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def ledger(self) -> Ledger:
        return self.daemon.ledger

    def open(self) -> None:
        """Build the daemon; again after `crash`."""
        settings = Settings(
            inboxes=(Inbox(path=self.inbox, priority=5),),
            outputs=self.outputs,
            state=self.folder / "state",
            cache=self.folder / "cache",
            intake=Intake(settle_seconds=SETTLE, incomplete_seconds=INCOMPLETE, scan_seconds=0.5),
            retry=Retry(breaker_failures=2),
            disk=Disk(reserve_bytes=self.reserve_bytes),
            keep=self.keep,
            users=self.users,
        )
        self.session = StubSession(self.film)
        self.publisher = NextTickPublisher(self.outputs, verify=verify_result if self.has_real_media else verify_film)
        self.daemon = build(settings, self._adapters(settings), until_idle=self.until_idle, read=lambda: settings)
        self.daemon.recover()

    def _adapters(self, settings: Settings) -> Adapters:
        """Return the product's adapters, without worker processes, file system events and (mostly) media tools."""
        production = production_adapters(settings, self.log)
        self.background = cast(BackgroundRetention, production.retention)
        production.change_notifier.close()
        outputs = self.make_outputs_thread()
        return replace(
            production,
            clock=self.clock,
            scanner=TimeoutScanner(FolderScanner(MARKER), seconds=TIMEOUT_SECONDS, typical_seconds=TIMEOUT_SECONDS),
            inspector=AwaitedInspector(cache=self.folder / "cache") if self.has_real_media else ReadableMedia(),
            executor=self.make_executor(),
            publisher=TimedPublisher(self.publisher, outputs),
            status_writer=TimedStatusWriter(StatusFiles(self.outputs), outputs, settings.state),
            change_notifier=NoChanges(),
            service_notifier=self.observers,
            hooks=self.observers,
            metrics_exporter=self.observers,
        )

    def make_outputs_thread(self) -> OutputsThread:
        return OutputsThread(self.outputs, TIMEOUT_SECONDS, typical=TIMEOUT_SECONDS)

    def make_executor(self) -> Executor:
        return InlineExecutor(lambda: self.session)

    def close(self) -> None:
        self.daemon.inspector.close()
        self.daemon.change_notifier.close()
        self.daemon.executor.stop(0)
        self.daemon.ledger.close()
        self.publisher.close()

    def crash(self) -> None:
        """Forget everything that is not on disk or in the ledger, and start again."""
        self.close()
        self.open()

    @property
    def now(self) -> ClockReading:
        return self.clock.now()

    def tick(self, seconds: float = 0.0) -> float:
        self.clock.advance(seconds)
        failures = len(self.events_named("tick_failed"))
        wait = self.daemon.tick(self.now)
        if len(self.events_named("tick_failed")) > failures and not self.tolerant:
            raise AssertionError("the tick failed") from self.log.tick_failure
        return wait

    def until(self, condition: Callable[[], object], step: float = 0.5) -> None:
        """Tick in small steps of the manual clock until `condition` holds; the threads beside the daemon get a minute of real time."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.log.events[-8:]}")
            self.tick(step)
            time.sleep(0.002)

    # -- drops, status and events ---------------------------------------------------------------------------------

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

    def events_named(self, name: str, **fields: object) -> list[dict[str, object]]:
        return self.log.events_named(name, **fields)

    def has_events(self, name: str, count: int) -> bool:
        return len(self.events_named(name)) >= count

    def job(self, name: str) -> Job:
        return self.ledger.find(name)[0]
