"""Old things are deleted beside the daemon, and only while the clock can be believed."""

import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from heygem_daemon.clock_record import ClockRecord
from heygem_daemon.core.clock_trust import CONFIRM_SECONDS
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.ports import Undeleted
from heygem_daemon.daemon.sweeps import FORGET_AT_ONCE, REMEMBER_SECONDS, Sweeps
from heygem_daemon.ledger.memory import MemoryLedger
from tests.core.making import item, job
from tests.daemon.doubles import ManualClock, RecordingLog
from tests.daemon.harness import DaemonHarness

DAY = 86400.0
NOW = 1_800_000_000.0


@dataclass(kw_only=True)
class NotedRetention:
    """A Retention that notes when it is asked to sweep."""

    began: list[float] = field(default_factory=list)
    deleted: dict[str, int] = field(default_factory=dict)
    left: Undeleted | None = None

    def begin(self, now: float, open_jobs: Iterable[str], inboxes: Collection[str]) -> None:
        self.began.append(now)

    def poll(self) -> Mapping[str, int]:
        deleted, self.deleted = self.deleted, {}
        return deleted

    def undeleted(self) -> Undeleted | None:
        left, self.left = self.left, None
        return left

    def close(self) -> None: ...


def over(number: int, finished_at: float) -> Job:
    return job(item(state=State.SUCCEEDED), id=str(number), state=State.SUCCEEDED, finished_at=finished_at)


@dataclass(kw_only=True)
class Site:
    """Sweeps over a ledger in memory; `start` begins a new run over the same folder and ledger."""

    folder: Path
    clock: ManualClock = field(default_factory=lambda: ManualClock(monotonic=100.0, wall=NOW))
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    log: RecordingLog = field(default_factory=RecordingLog)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.retention = NotedRetention()
        self.sweeps = Sweeps(
            retention=self.retention,
            ledger=self.ledger,
            clock_memory=ClockRecord(self.folder / "clock.json"),
            log=self.log,
            interval=3600.0,
            history_seconds=365 * DAY,
        )

    def tick(self, seconds: float = 0.0, *, is_ready: bool = True) -> None:
        self.clock.advance(seconds)
        self.sweeps.step(self.clock.now(), list, {"/inbox"}, is_ready=is_ready)

    def run(self, seconds: float, step: float = 600.0) -> None:
        for _ in range(round(seconds / step)):
            self.tick(step)

    def restart(self, *, off: float = 0.0, clock_ahead: float = 0.0) -> None:
        self.sweeps.close()
        self.clock.monotonic = 5.0
        self.clock.wall += off + clock_ahead
        self.start()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(folder=tmp_path)


def test_the_first_sweep_begins_after_the_start_and_the_others_by_the_hour(site: Site) -> None:
    site.tick(is_ready=False)
    assert site.retention.began == []
    site.tick(1)
    site.run(2 * 3600)
    assert [round(began - NOW) for began in site.retention.began] == [1, 3601, 7201]


def test_what_was_deleted_is_logged_once(site: Site) -> None:
    site.tick()
    site.retention.deleted = {"done": 3}
    site.tick(1)
    site.tick(1)
    assert [event["deleted"] for event in site.log.events_named("swept")] == [{"done": 3}]


def test_what_could_not_be_deleted_is_logged_once(site: Site) -> None:
    site.tick()
    site.retention.left = Undeleted(count=2, path="/inbox/_done/a\nb", reason="Operation not permitted")
    site.tick(1)
    site.tick(1)
    (line,) = site.log.events_named("sweep_incomplete")
    assert (line["count"], line["path"], line["reason"]) == (2, "/inbox/_done/a\\x0ab", "Operation not permitted")


def test_a_year_of_history_is_forgotten_in_small_parts(site: Site) -> None:
    site.tick(is_ready=False)
    site.ledger.put(*(over(number, NOW - 400 * DAY) for number in range(250)), over(1000, NOW - DAY))
    for left in (151, 51, 1, 1):
        site.tick(1)
        assert len(site.ledger.recent(1000)) == left
    assert FORGET_AT_ONCE == 100
    assert [event["deleted"] for event in site.log.events_named("swept")] == [{"history": 250}]


def test_history_that_is_kept_for_ever_stays(site: Site) -> None:
    site.sweeps.history_seconds = 0.0
    site.ledger.put(over(1, NOW - 4000 * DAY))
    site.run(7200)
    assert site.ledger.get("1") is not None


def test_a_start_with_a_clock_far_ahead_deletes_nothing_before_a_day_has_passed(site: Site) -> None:
    site.run(3600)
    site.ledger.put(over(1, NOW))
    site.restart(off=60, clock_ahead=400 * DAY)
    site.tick()
    site.run(CONFIRM_SECONDS - 600)
    assert site.retention.began == []
    assert site.ledger.get("1") is not None
    assert [event["days"] for event in site.log.events_named("clock_jumped")] == [400.0]
    site.tick(600)
    assert len(site.retention.began) == 1
    assert site.ledger.get("1") is None
    assert len(site.log.events_named("clock_believed")) == 1


def test_a_clock_that_is_corrected_meanwhile_has_deleted_nothing(site: Site) -> None:
    site.run(3600)
    site.restart(clock_ahead=40 * DAY)
    site.run(1800)
    site.clock.wall -= 40 * DAY
    site.tick(1)
    assert len(site.retention.began) == 1
    assert site.retention.began[0] < NOW + DAY
    assert len(site.log.events_named("clock_believed")) == 1


def test_crashes_while_the_clock_is_doubted_do_not_make_it_believed(site: Site) -> None:
    site.run(3600)
    site.restart(clock_ahead=40 * DAY)
    for _ in range(3):
        site.run(3600)
        site.clock.monotonic = 5.0
        site.start()  # without `close`
        site.tick(1)
    assert site.retention.began == []
    assert len(site.log.events_named("clock_jumped")) == 4


def test_a_night_off_is_no_jump_and_a_month_off_is(site: Site) -> None:
    site.run(3600)
    site.restart(off=14 * 3600)
    site.tick(1)
    assert len(site.retention.began) == 1
    site.restart(off=30 * DAY)
    site.tick(1)
    assert site.retention.began == []


def test_a_step_ahead_while_running_stops_the_deletion_at_once(site: Site) -> None:
    site.tick(is_ready=False)
    site.ledger.put(*(over(number, NOW - 400 * DAY) for number in range(250)))
    site.tick(1)
    left = len(site.ledger.recent(1000))
    site.clock.wall += 40 * DAY
    site.run(7200)
    assert len(site.retention.began) == 1
    assert len(site.ledger.recent(1000)) == left > 0


def test_a_clock_that_is_put_back_goes_on_deleting_by_its_own_time(site: Site) -> None:
    site.run(3600)
    site.clock.wall -= 40 * DAY
    site.run(3600)
    assert len(site.retention.began) == 2
    assert not site.log.events_named("clock_jumped")


def test_without_a_record_the_newest_job_tells_the_time(site: Site) -> None:
    site.ledger.put(over(1, NOW - 40 * DAY))
    site.tick(1)
    assert site.retention.began == []
    (site.folder / "clock.json").unlink()
    site.ledger.put(over(2, NOW - 3600))
    site.start()
    site.tick(1)
    assert len(site.retention.began) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"believed": "x"}', '{"believed": NaN}', "\x00", '{"believed": [1]}'])
def test_a_damaged_record_is_as_none(site: Site, content: str) -> None:
    (site.folder / "clock.json").write_text(content, encoding="utf-8")
    site.tick(1)
    assert len(site.retention.began) == 1
    assert set(json.loads((site.folder / "clock.json").read_text(encoding="utf-8"))) == {"believed", "seen"}


def test_a_record_that_cannot_be_written_is_no_error(site: Site) -> None:
    (site.folder / "clock.json").mkdir()
    site.run(2 * REMEMBER_SECONDS)
    assert site.retention.began


# -- the whole daemon -------------------------------------------------------------------------------------------------


def archive(harness: DaemonHarness, name: str, *, days_ago: float) -> Path:
    folder = harness.inbox / "_done" / name
    folder.mkdir(parents=True)
    record = folder / ".heygem-job.json"
    record.write_text(json.dumps({"job": name, "name": name, "flat": False}), encoding="utf-8")
    archived = harness.now.wall - days_ago * DAY
    os.utime(record, (archived, archived))
    return folder


def test_what_is_old_goes_after_the_start_and_what_is_young_stays(harness: DaemonHarness) -> None:
    old, young = archive(harness, "old", days_ago=15), archive(harness, "young", days_ago=13)
    harness.until(lambda: harness.events_named("swept", deleted={"done": 1}))
    assert not old.exists()
    assert young.exists()


def test_the_first_sweep_waits_for_a_first_scan_that_takes_long(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    old = archive(harness, "old", days_ago=15)
    with monkeypatch.context() as patch:
        patch.setattr(harness.daemon.inboxes.scanner, "scan", lambda _inbox: None)
        for _ in range(5):
            harness.tick(1)
        assert "ready" in harness.observers.calls
    harness.until(lambda: not old.exists())


def test_a_clock_that_is_ahead_at_a_start_wipes_nothing(harness: DaemonHarness) -> None:
    young = archive(harness, "young", days_ago=1)
    harness.finish("lesson")
    harness.clock.wall += 40 * DAY
    harness.crash()
    for _ in range(10):
        harness.tick(3600)
    assert young.exists()
    assert (harness.inbox / "_done/lesson").exists()
    assert harness.job("lesson").is_final
    assert harness.events_named("clock_jumped", days=40.0)
    harness.clock.wall -= 40 * DAY
    harness.tick(1)
    assert harness.events_named("clock_believed")


def test_a_sweep_that_hangs_does_not_hold_up_the_daemon(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    sweep: Callable[..., Mapping[str, int]] = harness.background.retention.sweep

    def hang(*arguments: object, **options: object) -> Mapping[str, int]:
        released.wait(60)
        return sweep(*arguments, **options)

    monkeypatch.setattr(harness.background.retention, "sweep", hang)
    harness.finish("lesson")
    harness.tick(7200)
    harness.finish("another")
    released.set()
