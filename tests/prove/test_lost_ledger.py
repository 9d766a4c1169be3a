"""A ledger that is lost with thousands of results in outputs and drops in the queue: nothing is lost, doubled or left unsaid."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.ledger.sqlite import SqliteLedger
from tests.daemon.doubles import make_film, make_speech
from tests.prove.aged import Linked, make_drops, make_results
from tests.prove.broken_storage import flip_bytes
from tests.prove.heartbeat import HeartbeatWatch
from tests.prove.instant_engine import InstantSite
from tests.prove.proof import Proof

PROOF = Proof(suite="lost ledger")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much; the bounds of time of the short form are wide, for it runs beside other tests."""

    results: int
    stale: int
    """Of the results, those whose status says running."""
    waiting: int
    ready: float = 3.0
    gap: float = 2.0
    patience: float = 900.0


SHORT = Extent(results=20, stale=5, waiting=2, ready=20.0, gap=8.0, patience=120.0)
LONG = Extent(results=20_000, stale=500, waiting=300)


@pytest.mark.parametrize("extent", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.prove)])
def test_a_lost_ledger_costs_no_work_and_leaves_no_false_statement(extent: Extent, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    film = Linked(source=make_film(media / "film.mp4"), folder=media)
    speech = Linked(source=make_speech(media / "speech.wav"), folder=media)
    site = InstantSite(folder=tmp_path / "site", weights=tmp_path / "weights", cache=tmp_path / "cache", film=media / "film.mp4")
    with site, HeartbeatWatch(folder=tmp_path / "watch") as watch:
        environment = {**site.environment(watch.environment()), "PYTHONPATH": str(Path.cwd())}
        make_results(site.outputs, [f"old-{number}" for number in range(extent.results)], site.inbox, ledger(site), film, time.time())
        names = [f"lesson-{number}" for number in range(extent.waiting)]
        make_drops(site.inbox, names, speech, film)
        (site.inbox / "PAUSE").touch()
        process = site.start(environment=environment)
        wait(extent, lambda: len(site.events("job_queued")) == extent.waiting, site)
        wait(extent, lambda: all(is_shown_as_job(site, name) for name in names), site)  # the log is ahead of the status files
        ids = {name: status(site, name)["job"] for name in names}
        process.send_signal(signal.SIGKILL)
        process.wait(30)

        for file in (ledger(site), ledger(site).with_name(f"{ledger(site).name}-wal")):
            flip_bytes(file)
        for number in range(extent.stale):
            path = site.outputs / f"old-{number}" / "status.json"
            path.write_text(json.dumps(json.loads(path.read_bytes()) | {"state": "running"}))
        watch.restart()
        began = time.monotonic()
        process = site.start(environment=environment)
        wait(extent, lambda: watch.ready_at is not None, site)
        wait(extent, lambda: len(site.events("job_adopted")) == extent.waiting, site)
        (site.inbox / "PAUSE").unlink()
        wait(extent, lambda: len(ended(site)) == extent.waiting, site)
        wait(extent, lambda: not still_open(site), site)
        corrected, gap = time.monotonic() - began, watch.longest_gap()
        process.send_signal(signal.SIGTERM)
        process.wait(60)

        kept = sum(status(site, name)["job"] == job_id for name, job_id in ids.items())
        doubled = [name for name in os.listdir(site.outputs) if name.startswith("lesson-") and name not in ids]
        what = f"a ledger full of flipped bits, {extent.results:,} results in outputs, {extent.waiting:,} drops in the queue"
        PROOF.row(f"{what}: jobs that went on under their id", f"{kept:,}", f"{extent.waiting:,}", kept == extent.waiting)
        PROOF.row(f"{what}: jobs that got a second output folder", f"{len(doubled)}", "0", not doubled)
        ready = watch.seconds_to_ready
        PROOF.row(f"{what}: from the start to READY", f"{ready:.1f} s", f"{extent.ready:g} s", ready <= extent.ready)
        PROOF.row(f"{what}: longest time without a heartbeat", f"{gap:.2f} s", f"{extent.gap:g} s", gap <= extent.gap)
        bound = f"{extent.patience:g} s"
        PROOF.row(f"{what}: until no status file calls a job open", f"{corrected:.0f} s", bound, corrected < extent.patience)

        done = site.call("ledger", "rebuild", "--json")
        report = json.loads(done.stdout)
        found = count(ledger(site))
        total = extent.results + extent.waiting
        PROOF.row(f"{what}: jobs in the history after `heygem ledger rebuild`", f"{found:,}", f"{total:,}", found == total)
        again = json.loads(site.call("ledger", "rebuild", "--json").stdout)
        changed = again["finished"] + again["queued"]
        PROOF.row(f"{what}: ended jobs that a rebuild queues again", f"{report['queued']}", "0", report["queued"] == 0)
        PROOF.row(f"{what}: jobs that a second rebuild adds", f"{changed}", "0", changed == 0)


def ledger(site: InstantSite) -> Path:
    return site.folder / "state" / "ledger.sqlite3"


def status(site: InstantSite, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((site.outputs / name / "status.json").read_bytes())
    return found


def is_shown_as_job(site: InstantSite, name: str) -> bool:
    return (site.outputs / name / "status.json").exists() and bool(status(site, name)["items"])


def still_open(site: InstantSite) -> list[str]:
    final = {str(state) for state in FINAL}
    names = [name for name in os.listdir(site.outputs) if (site.outputs / name / "status.json").exists()]
    return [name for name in names if status(site, name)["state"] not in final]


def ended(site: InstantSite) -> set[str]:
    return {event["job"] for event in site.events("job_finished") if event["state"] == State.SUCCEEDED}


def count(path: Path) -> int:
    opened = SqliteLedger(path, repair=False)
    try:
        return opened.count()
    finally:
        opened.close()


def wait(extent: Extent, condition: Callable[[], object], site: InstantSite) -> None:
    deadline = time.monotonic() + extent.patience
    while not condition():
        assert time.monotonic() < deadline, site.log_file.read_text(encoding="utf-8", errors="replace")[-3000:]
        time.sleep(0.2)
