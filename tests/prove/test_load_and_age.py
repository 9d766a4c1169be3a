"""Load and age: thousands of drops at once, years of results and inputs, and a month of simulated days."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from heygem_daemon.settings import Keep
from tests.daemon.doubles import FILM, SPEECH, make_film, make_speech
from tests.daemon.harness import DaemonHarness
from tests.prove import growth
from tests.prove.aged import Linked, copy_drop, make_drops, make_old_drops, make_results
from tests.prove.heartbeat import HeartbeatWatch
from tests.prove.instant_engine import InstantSite
from tests.prove.proof import Proof

PROOF = Proof(suite="load and age")
MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much; the bounds of time of the short form are wide, for it runs beside other tests."""

    results: int
    done: int
    failed: int
    expired: float
    """The part of the old inputs that is over its keep time."""
    waiting: int
    per_minute: int
    minutes: float
    idle_seconds: float
    ready: float = 3.0
    gap: float = 2.0
    idle_percent: float = 0.5
    megabytes: float = 20.0
    """By how much the memory may grow while the drops flow."""
    patience: float = 6000.0
    watched: float | None = None
    """For how many s the drops that wait are watched only; None: until all are made, and then more come."""


SHORT = Extent(
    results=40, done=30, failed=20, expired=0.4, waiting=6, per_minute=300, minutes=0.01, idle_seconds=2.0,
    ready=20.0, gap=8.0, idle_percent=25.0, patience=120.0,
)  # fmt: skip
CROWDED = Extent(
    results=20_000, done=30_000, failed=20_000, expired=0.3, waiting=10_000, per_minute=0, minutes=0.0, idle_seconds=0.0, watched=60.0
)  # fmt: skip
FLOWING = Extent(results=20_000, done=30_000, failed=20_000, expired=0.03, waiting=100, per_minute=200, minutes=10.0, idle_seconds=60.0)


def amount(number: float) -> str:
    return f"{number:,.0f}"


@dataclass(kw_only=True)
class Installation:
    """A daemon in an installation that is years old, and what is measured of it."""

    extent: Extent
    site: InstantSite
    watch: HeartbeatWatch
    speech: Linked
    film: Linked

    def age(self) -> None:
        """Put down old results, old inputs and the drops that wait. Half of the results and all drops that wait have one name."""
        extent, site, now = self.extent, self.site, time.time()
        for kind, count, days in (("_done", extent.done, 14), ("_failed", extent.failed, 30)):
            expired = round(count * extent.expired)
            make_old_drops(site.inbox / kind, count, now, expired=expired, days=days, speech=self.speech, video=self.film)
        half = extent.results // 2
        names = [*(f"lesson-{number}" for number in range(half)), *(f"old-{number}" for number in range(extent.results - half))]
        make_results(site.outputs, names, site.inbox, site.folder / "state/ledger.sqlite3", self.film, now)
        make_drops(site.inbox, [f"lesson-{number}" for number in range(extent.waiting)], self.speech.apart(), self.film.apart())

    def start(self) -> None:
        self.watch.restart()
        self.began = time.monotonic()
        environment = {**self.site.environment(self.watch.environment()), "PYTHONPATH": str(Path.cwd())}
        self.process = self.site.start(environment=environment)
        self.wait_for(lambda: self.watch.ready_at is not None, "READY")

    def wait_for(self, condition: Callable[[], object], what: str, pause: float = 0.2) -> None:
        deadline = time.monotonic() + self.extent.patience
        while not condition():
            assert self.process.poll() is None, f"the daemon ended: {self.log()}"
            assert time.monotonic() < deadline, f"{what}\n{self.log()}"
            time.sleep(pause)

    def log(self) -> str:
        return self.site.log_file.read_text(encoding="utf-8", errors="replace")[-4000:]

    def left_over(self, kind: str) -> int:
        """Return how many inputs that are over their keep time still lie in _done or _failed."""
        names = os.listdir(self.site.inbox / kind)
        count = round((self.extent.done if kind == "_done" else self.extent.failed) * self.extent.expired)
        expired = {f"{kind}-{number}" for number in range(count)}
        return sum(name in expired or name.startswith(".deleting-") for name in names)

    def ended(self) -> Counter[str]:
        """Return how often each drop ended well, by its name."""
        return Counter(event["job"] for event in self.site.events("job_finished") if event["state"] == "succeeded")

    @property
    def slow_steps(self) -> list[str]:
        return [f"{event['part']} {event['seconds']} s" for event in self.site.events("tick_slow")]


EXTENTS = [
    pytest.param(SHORT, id="short"),
    pytest.param(CROWDED, id="crowded", marks=pytest.mark.prove),
    pytest.param(FLOWING, id="flowing", marks=pytest.mark.prove),
]


@pytest.fixture(params=EXTENTS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    film, speech, store = make_film(tmp_path / "film.mp4"), make_speech(tmp_path / "speech.wav"), tmp_path / "store"
    store.mkdir()
    site = InstantSite(folder=tmp_path / "site", weights=tmp_path / "weights", cache=tmp_path / "cache", film=film)
    with site, HeartbeatWatch(folder=tmp_path / "notify") as watch:
        links = (Linked(source=source, folder=store) for source in (speech, film))
        yield Installation(extent=request.param, site=site, watch=watch, speech=next(links), film=next(links))
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_an_old_installation_with_thousands_of_drops(old: Installation) -> None:
    extent = old.extent
    old.age()
    old.start()
    inputs, expired = extent.done + extent.failed, round(extent.done * extent.expired) + round(extent.failed * extent.expired)
    circumstances = f"{amount(extent.results)} old results, {amount(inputs)} old inputs and {amount(extent.waiting)} drops waiting"
    ready = old.watch.seconds_to_ready
    PROOF.row(f"Seconds to READY with {circumstances}", f"{ready:.1f} s", f"< {extent.ready:.0f} s", ready < extent.ready)
    if extent.watched is not None:
        watch_only(old, extent.watched)
        return
    old.wait_for(lambda: not old.left_over("_done") + old.left_over("_failed"), "old inputs were not deleted")
    names = [f"lesson-{number}" for number in range(extent.waiting)]
    old.wait_for(lambda: len(old.ended()) >= len(names), "drops did not end", pause=2.0)
    gap = old.watch.longest_gap()
    what = (
        f"Longest time without a heartbeat while {amount(expired)} expired inputs are deleted and {amount(extent.waiting)} drops are made"
    )
    PROOF.row(what, f"{gap:.1f} s", f"< {extent.gap:.0f} s", gap < extent.gap)
    wrong = old.ended() - Counter(names) + (Counter(names) - old.ended())
    PROOF.row(f"Drops of {amount(len(names))} lost or made twice", amount(wrong.total()), "0", not wrong)
    flow(old)
    idle(old)
    put = {"_done": extent.done, "_failed": extent.failed}
    deleted = sum(count - round(count * extent.expired) - kept(old, kind) for kind, count in put.items())
    PROOF.row("Inputs deleted before their time", amount(deleted), "0", deleted == 0)
    assert old.site.stop(old.process) == 0


def kept(old: Installation, kind: str) -> int:
    """Return how many of the old inputs still lie in _done or _failed."""
    return sum(name.startswith(f"{kind}-") for name in os.listdir(old.site.inbox / kind))


def watch_only(old: Installation, seconds: float) -> None:
    """Let it take in drops, make some and delete what is expired, for so many s."""
    time.sleep(seconds)
    gap, made = old.watch.longest_gap(), len(old.ended())
    deleted = round(old.extent.done * old.extent.expired) - old.left_over("_done")
    deleted += round(old.extent.failed * old.extent.expired) - old.left_over("_failed")
    what = f"Longest time without a heartbeat in the first {seconds:.0f} s with {amount(old.extent.waiting)} drops waiting"
    measured = f"{gap:.1f} s ({amount(made)} drops made, {amount(deleted)} expired inputs deleted meanwhile)"
    PROOF.row(what, measured, f"< {old.extent.gap:.0f} s, and some of both", gap < old.extent.gap and made > 0 and deleted > 0)
    twice = [name for name, times in old.ended().items() if times > 1]
    PROOF.row(f"Of {amount(old.extent.waiting)} drops made twice", amount(len(twice)), "0", not twice)
    assert old.site.stop(old.process) == 0


def flow(old: Installation) -> None:
    """Drops come at an even rate."""
    extent, before = old.extent, len(old.ended())
    count, began = max(round(extent.per_minute * extent.minutes), 3), time.monotonic()
    memory: list[int] = []
    for number in range(count):
        wait = began + number * 60 / extent.per_minute - time.monotonic()
        time.sleep(max(wait, 0.0))
        copy_drop(old.site.inbox, f"flow-{number}", old.speech.source, old.film.source)
        memory.append(growth.resident_bytes(old.process.pid))
    old.wait_for(lambda: len(old.ended()) >= before + count, "drops that came later did not end", pause=1.0)
    gap = old.watch.longest_gap(since=began)
    rate = f"{extent.per_minute} drops a minute, {amount(count)} in all"
    PROOF.row(f"Longest time without a heartbeat with {rate}", f"{gap:.1f} s", f"< {extent.gap:.0f} s", gap < extent.gap)
    ended = old.ended()
    wrong = sum(ended[f"flow-{number}"] != 1 for number in range(count))
    PROOF.row(f"Drops lost or made twice with {rate}", amount(wrong), "0", wrong == 0)
    grown = (max(memory[-len(memory) // 3 :]) - max(memory[: len(memory) // 3])) / MEGABYTE
    bound = f"< {extent.megabytes:.0f} MB"
    PROOF.row(f"Growth of the daemon's memory with {rate}", f"{grown:.1f} MB", bound, grown < extent.megabytes)


def idle(old: Installation) -> None:
    time.sleep(min(5.0, old.extent.idle_seconds))
    began, used = time.monotonic(), growth.cpu_seconds(old.process.pid)
    time.sleep(old.extent.idle_seconds)
    percent = 100 * (growth.cpu_seconds(old.process.pid) - used) / (time.monotonic() - began)
    bound = f"<= {old.extent.idle_percent:.1f} %"
    PROOF.row("Processor time of the idle daemon afterwards, of a core", f"{percent:.2f} %", bound, percent <= old.extent.idle_percent)


# -- a month of days --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Month:
    days: int
    warm_up: int
    """The day at whose end everything is counted for the first time: after it, history and inputs are deleted as fast as they come."""
    drops_a_day: int
    has_real_media: bool


@dataclass(frozen=True, kw_only=True)
class Count:
    """What may grow, at the end of a day."""

    containers: dict[str, int]
    objects: int
    handles: int
    threads: int
    memory: int
    ledger: int
    cache: int
    inputs: int


KEEP = Keep(done_days=2, failed_days=2, staging_days=0.5, history_days=2)


@pytest.mark.parametrize(
    "month",
    [
        pytest.param(Month(days=4, warm_up=3, drops_a_day=4, has_real_media=False), id="short", marks=pytest.mark.slow),
        pytest.param(Month(days=30, warm_up=6, drops_a_day=12, has_real_media=True), id="long", marks=pytest.mark.prove),
    ],
)
def test_a_month_of_days(month: Month, tmp_path: Path) -> None:
    film, speech = tmp_path / "film.mp4", tmp_path / "speech.wav"
    if month.has_real_media:
        make_film(film)
        make_speech(speech)
    else:
        film.write_bytes(FILM)
        speech.write_bytes(SPEECH)
    harness = DaemonHarness(folder=tmp_path, film=film, speech=speech, has_real_media=month.has_real_media, keep=KEEP)
    counts: dict[int, Count] = {}
    try:
        for day in range(1, month.days + 1):
            live_a_day(harness, day, month.drops_a_day)
            if day in {month.warm_up, month.days}:
                counts[day] = count(harness)
    finally:
        harness.close()
    compare(month, counts[month.warm_up], counts[month.days])


def live_a_day(harness: DaemonHarness, day: int, drops: int) -> None:
    """Make drops by day, of which every tenth is broken and another one withdrawn, tidy up outputs as people do, and let the night pass."""
    began = harness.clock.monotonic
    for number in range(drops):
        name = f"day-{day}-{number}" if number % 2 else "lesson"
        harness.log.events.clear()
        folder = harness.drop(name)
        if number % 10 == 3:
            (folder / "videos/a.mp4").write_text("no film", encoding="utf-8")
            (harness.inbox / f"{name}.ready").touch()
        harness.tick(1)
        if number % 10 == 5:
            shutil.rmtree(folder)
            harness.tick(1)
            continue
        harness.until(lambda: harness.events_named("job_finished"))
    for folder in harness.outputs.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            shutil.rmtree(folder)
    until_night = began + 86400.0 - harness.clock.monotonic
    for _ in range(round(until_night / 600)):
        harness.tick(600)
        harness.log.events.clear()
    age_files(harness.folder / "cache", 86400.0)
    wait_for_sweep(harness)


def age_files(folder: Path, seconds: float) -> None:
    """Let the files in a folder be older: the cache goes by the times of its files, which the injected clock does not move."""
    for path in folder.rglob("*"):
        if path.is_file():
            modified = path.stat().st_mtime - seconds
            os.utime(path, (modified, modified))


def wait_for_sweep(harness: DaemonHarness) -> None:
    deadline = time.monotonic() + 60
    while harness.background.is_sweeping:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    harness.tick(1)
    harness.observers.calls.clear()
    harness.observers.lines.clear()
    harness.observers.ended.clear()
    harness.observers.statuses.clear()
    harness.session.orders.clear()
    harness.log.events.clear()


def count(harness: DaemonHarness) -> Count:
    found = growth.containers(harness.daemon)
    return Count(
        containers=found,
        objects=growth.objects(),
        handles=growth.open_handles(),
        threads=growth.threads(),
        memory=growth.resident_bytes(os.getpid()),
        ledger=growth.folder_bytes(harness.folder / "state"),
        cache=growth.folder_bytes(harness.folder / "cache"),
        inputs=sum(len(os.listdir(harness.inbox / kind)) for kind in ("_done", "_failed") if (harness.inbox / kind).is_dir()),
    )


def compare(month: Month, early: Count, late: Count) -> None:
    """Keep a row for everything that must not grow from the end of the warm-up to the end of the month."""
    when = f"from day {month.warm_up} to day {month.days} of {month.drops_a_day} drops each"
    drops = month.drops_a_day
    grown = {way: (early.containers.get(way, 0), size) for way, size in late.containers.items()}
    grown = {way: sizes for way, sizes in grown.items() if sizes[1] > sizes[0] + drops}
    PROOF.row(f"Containers of the daemon that grew {when}", f"{len(grown)} of {len(late.containers)}", "0", not grown)
    for what, before, after, slack in (
        ("Open handles", early.handles, late.handles, 2),
        ("Threads", early.threads, late.threads, 2),
        ("Old inputs", early.inputs, late.inputs, drops),
    ):
        PROOF.row(f"{what} {when}", f"{before} to {after}", f"at most {slack} more", after <= before + slack)
    for what, then, now, more in (
        ("Objects in memory", early.objects, late.objects, 0.05 * early.objects),
        ("Resident memory, MB", early.memory / MEGABYTE, late.memory / MEGABYTE, 30.0),
        ("Ledger and state, kB", early.ledger / 1000, late.ledger / 1000, 0.5 * early.ledger / 1000 + 200),
        ("Cache, kB", early.cache / 1000, late.cache / 1000, 1000.0),
    ):
        PROOF.row(f"{what} {when}", f"{then:,.0f} to {now:,.0f}", f"at most {more:,.0f} more", now <= then + more)
