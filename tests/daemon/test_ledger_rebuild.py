"""`heygem ledger rebuild`: the ledger again from the folders; and ledgers with every kind of damage."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.errors import HeygemError, SetupError
from heygem_daemon.core.job import Job, State
from heygem_daemon.core.status import JobStatus
from heygem_daemon.ledger.sqlite import SqliteLedger
from heygem_daemon.settings import Inbox, Settings
from heygem_daemon.wiring.instance_lock import only_instance
from heygem_daemon.wiring.ledger_rebuild import Rebuilt, rebuild_ledger
from tests.cli.runner import heygem
from tests.daemon.harness import DaemonHarness

NOW = 1_800_000_000.0


@pytest.fixture
def stopped(harness: DaemonHarness) -> Iterator[DaemonHarness]:
    """A stopped daemon with a succeeded job, a partial one, a rejected one, and one in the queue with one of its two items published."""
    harness.finish("done")
    harness.drop("partly", videos=("a.mp4", "b.mp4"))
    (harness.inbox / "partly" / "videos" / "b.mp4").write_text("no film")
    harness.until(lambda: harness.events_named("job_finished", job="partly"), step=5)  # the file may be incomplete: it is waited for
    harness.finish("refused", 'engine = "magic"\n')
    harness.tick(1)
    before = len(harness.events_named("item_published"))
    harness.drop("open", videos=("a.mp4", "b.mp4"))
    harness.until(lambda: len(harness.events_named("item_published")) > before)
    harness.close()
    yield harness
    harness.open()  # the fixture below closes it


def settings(harness: DaemonHarness) -> Settings:
    return Settings(
        inboxes=(Inbox(path=harness.inbox, priority=5),),
        outputs=harness.outputs,
        state=harness.folder / "state",
        cache=harness.folder / "cache",
    )


def ledger_file(harness: DaemonHarness) -> Path:
    return harness.folder / "state" / "ledger.sqlite3"


def jobs_of(path: Path) -> dict[str, Job]:
    ledger = SqliteLedger(path, repair=False)
    try:
        return {job.name: job for job in ledger.recent(1000)}
    finally:
        ledger.close()


def rebuild(harness: DaemonHarness) -> Rebuilt:
    return rebuild_ledger(settings(harness), NOW)


def delete(path: Path) -> None:
    for found in path.parent.glob(f"{path.name}*"):
        found.unlink()


def test_a_deleted_ledger_comes_back_from_the_folders(stopped: DaemonHarness) -> None:
    path = ledger_file(stopped)
    before = jobs_of(path)
    delete(path)
    done = rebuild(stopped)
    assert (done.kept, done.finished, done.queued, done.left, done.aside) == (0, 3, 1, 0, None)
    after = jobs_of(path)
    assert {name: (job.id, job.output, job.inbox, job.claimed) for name, job in after.items()} == {
        name: (job.id, job.output, job.inbox, job.claimed) for name, job in before.items()
    }
    assert {name: job.state for name, job in after.items()} == {
        "done": "succeeded",
        "partly": "partial",
        "refused": "rejected",
        "open": "queued",
    }
    assert [item.state for item in after["open"].items] == ["succeeded", "queued"]
    assert [item.failure and item.failure.code for item in after["partly"].items] == [None, "not_a_video"]
    assert after["done"].items[0].result["frames"] == 10
    assert after["open"].priority == before["open"].priority == 5
    assert abs(after["done"].finished_at - (before["done"].finished_at or 0)) < 0.01  # type: ignore[operator]
    assert oct(path.stat().st_mode & 0o777) == "0o660"
    assert sorted(each.name for each in path.parent.iterdir() if "ledger" in each.name) == ["ledger.sqlite3"]


def test_the_daemon_goes_on_with_a_rebuilt_ledger_and_a_retry_works(stopped: DaemonHarness) -> None:
    delete(ledger_file(stopped))
    rebuild(stopped)
    stopped.open()
    stopped.until(lambda: stopped.state("open") == "succeeded")
    assert [order.item for order in stopped.session.orders] == ["b"]
    shutil.copyfile(stopped.film, stopped.inbox / "_failed/partly/videos/b.mp4")
    stopped.ledger.request("retry", "partly")
    stopped.until(lambda: stopped.state("partly") == "succeeded")
    assert sorted(path.name for path in stopped.outputs.iterdir() if path.is_dir() and path.name[0] != ".") == [
        "done",
        "open",
        "partly",
        "refused",
    ]
    stopped.close()


def test_it_is_idempotent_and_keeps_what_the_ledger_knows(stopped: DaemonHarness) -> None:
    path = ledger_file(stopped)
    whole, inode = jobs_of(path), path.stat().st_ino
    done = rebuild(stopped)
    assert (done.kept, done.finished, done.queued, done.aside) == (4, 0, 0, None)
    assert path.stat().st_ino == inode
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM jobs WHERE name = 'done'")
    connection.close()
    done = rebuild(stopped)
    assert (done.kept, done.finished, done.queued) == (3, 1, 0)
    assert done.aside is not None
    assert len(jobs_of(done.aside)) == 3
    after = jobs_of(path)
    assert {name: after[name] for name in ("partly", "refused", "open")} == {name: whole[name] for name in ("partly", "refused", "open")}
    assert rebuild(stopped).aside is None


def test_a_cancelled_job_stays_cancelled_and_a_held_one_held(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()
    harness.drop("held")
    harness.until(lambda: harness.events_named("job_queued"))
    harness.ledger.request("hold", "held")
    harness.tick(1)
    harness.close()
    delete(ledger_file(harness))
    rebuild(harness)
    job = jobs_of(ledger_file(harness))["held"]
    assert (job.state, job.on_hold, job.reason) == ("waiting", True, "Held back by hand")
    harness.open()


def test_a_job_whose_inputs_are_gone_is_history_with_what_it_published(stopped: DaemonHarness) -> None:
    shutil.rmtree(stopped.inbox / ".heygem")
    delete(ledger_file(stopped))
    done = rebuild(stopped)
    assert (done.finished, done.queued) == (4, 0)
    job = jobs_of(ledger_file(stopped))["open"]
    assert job.state == "partial"
    assert [item.state for item in job.items] == ["succeeded", "failed"]


def test_an_offline_inbox_is_named_and_its_jobs_are_not_called_lost(stopped: DaemonHarness) -> None:
    (stopped.inbox / ".heygem-inbox").unlink()
    delete(ledger_file(stopped))
    done = rebuild(stopped)
    assert done.offline == (str(stopped.inbox),)
    assert "open" not in jobs_of(ledger_file(stopped))
    (stopped.inbox / ".heygem-inbox").touch()
    assert rebuild(stopped).queued == 1


# -- hostile contents -------------------------------------------------------------------------------------------------


def _forged(stopped: DaemonHarness, **changes: object) -> JobStatus:
    base = {"job": "20260101-000000-forged-1", "output": "forged", "name": "forged"}
    return stopped.status("done").model_copy(update=base | changes)


def _item(stopped: DaemonHarness, **changes: object) -> dict[str, object]:
    return {"items": (stopped.status("done").items[0].model_copy(update=changes),)}


HOSTILE: dict[str, Callable[[DaemonHarness], JobStatus]] = {
    "a key that leaves outputs": lambda stopped: _forged(stopped, **_item(stopped, key="../../x", output="../../x.mp4")),
    "a video elsewhere": lambda stopped: _forged(stopped, **_item(stopped, video="/etc/passwd")),
    "a recording elsewhere": lambda stopped: _forged(stopped, **_item(stopped, recording="../speech.wav")),
    "another output": lambda stopped: _forged(stopped, **_item(stopped, output="/etc/passwd")),
    "an id that leaves": lambda stopped: _forged(stopped, job="../../etc"),
    "another inbox": lambda stopped: _forged(stopped, inbox="/etc"),
    "another folder": lambda stopped: _forged(stopped, output="done"),
    "a state that items have not": lambda stopped: _forged(stopped, **_item(stopped, state=State.PARTIAL)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_forged_statuses_are_not_believed(stopped: DaemonHarness, kind: str) -> None:
    folder = stopped.outputs / "forged"
    folder.mkdir()
    (folder / "status.json").write_text(HOSTILE[kind](stopped).to_json(), encoding="utf-8")
    delete(ledger_file(stopped))
    done = rebuild(stopped)
    assert (done.finished, done.queued) == (3, 1)
    assert set(jobs_of(ledger_file(stopped))) == {"done", "partly", "refused", "open"}


def test_a_second_status_of_a_claimed_job_does_not_lead_it_away(stopped: DaemonHarness) -> None:
    for name in ("aaa", "zzz"):
        (stopped.outputs / name).mkdir()
        forged = stopped.status("open").model_copy(update={"output": name, "state": State.CANCELLED})
        (stopped.outputs / name / "status.json").write_text(forged.to_json(), encoding="utf-8")
    delete(ledger_file(stopped))
    rebuild(stopped)
    job = jobs_of(ledger_file(stopped))["open"]
    assert (job.output, job.state) == ("open", "queued")


def test_links_pipes_and_huge_files_in_outputs_are_passed_over(stopped: DaemonHarness, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "status.json").write_text(_forged(stopped, output="link").to_json(), encoding="utf-8")
    (stopped.outputs / "link").symlink_to(tmp_path / "outside")
    for name in ("pipe", "huge", "index"):
        (stopped.outputs / name).mkdir()
    os.mkfifo(stopped.outputs / "pipe" / "status.json")
    with (stopped.outputs / "huge" / "status.json").open("wb") as file:
        file.truncate(2**30)
    (stopped.outputs / "index" / "status.json").write_text(stopped.status("open").model_copy(update={"output": "index"}).to_json())
    os.mkfifo(stopped.outputs / "index" / ".heygem.json")
    delete(ledger_file(stopped))
    done = rebuild(stopped)
    assert (done.finished, done.queued) == (3, 1)


# -- the command ------------------------------------------------------------------------------------------------------


def test_what_cannot_be_deleted_beside_the_ledger_is_an_error_that_names_it(stopped: DaemonHarness) -> None:
    new = ledger_file(stopped).with_name(f"{ledger_file(stopped).name}.new")
    before = ledger_file(stopped).read_bytes()
    new.mkdir()
    with pytest.raises(HeygemError, match=new.name) as raised:
        rebuild(stopped)
    assert (raised.value.code, ledger_file(stopped).read_bytes() == before) == ("io_error", True)
    new.rmdir()
    rebuild(stopped)
    assert not new.exists()


def test_the_command_says_what_it_did_and_refuses_while_a_daemon_runs(stopped: DaemonHarness, tmp_path: Path) -> None:
    config = tmp_path / "heygem.toml"
    chosen = settings(stopped)
    config.write_text(
        f'outputs = "{chosen.outputs}"\nstate = "{chosen.state}"\ncache = "{chosen.cache}"\n[[inboxes]]\npath = "{stopped.inbox}"\n'
    )
    delete(ledger_file(stopped))
    command = ("ledger", "rebuild", "--config", str(config))
    with only_instance(chosen):
        refused = heygem(*command)
    assert refused.code == 1
    assert "while the daemon is stopped" in refused.output
    assert not ledger_file(stopped).exists()
    done = heygem(*command)
    assert done.code == 0
    assert "0 jobs kept, 3 finished ones and 1 open ones added" in done.output
    again = heygem(*command)
    assert "4 jobs kept, 0 finished ones and 0 open ones added" in again.output
    assert "not replaced" in again.output


# -- damaged ledgers --------------------------------------------------------------------------------------------------


Damage = tuple[str, bytes | None, bytes | None]
"""What was done, the content of the ledger, and that of its write-ahead log; None where there is no such file."""


def _damages(whole: bytes, wal: bytes, other_wal: bytes, *, flips: int, cuts: int) -> Iterator[Damage]:
    """Yield ledgers with bits flipped all over, cut at the ends of pages, and with a log that is missing, cut, flipped or another one's."""
    for place in range(0, len(whole), max(len(whole) // flips, 1)):
        yield f"bit flipped at {place}", _flipped(whole, place), None
    page = int.from_bytes(whole[16:18], "big")
    for pages in range(0, len(whole) // page, max(len(whole) // page // cuts, 1)):
        yield f"cut to {pages} pages", whole[: pages * page], None
    yield "log of another ledger", whole, other_wal
    yield "deleted", None, None
    yield "deleted, with its log", None, wal
    yield "text", b"no database\n" * 1000, None
    yield "zeros", bytes(len(whole)), None
    yield "log cut", whole, wal[: len(wal) // 2]
    yield "log flipped", whole, _flipped(wal, len(wal) // 3)
    yield "log of zeros", whole, bytes(len(wal))


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes((content[place] ^ 0x55,)) + content[place + 1 :]


def damages(stopped: DaemonHarness, *, flips: int, cuts: int) -> list[Damage]:
    other = stopped.folder / "other.sqlite3"
    SqliteLedger(other).close()
    whole, wal = _with_log(ledger_file(stopped))
    return list(_damages(whole, wal, _with_log(other)[1], flips=flips, cuts=cuts))


def _with_log(path: Path) -> tuple[bytes, bytes]:
    """Return the content of a ledger and that of a log with one more write."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    whole = path.read_bytes()
    connection.execute("INSERT INTO requests (verb, target) VALUES ('hold', 'nobody')")
    connection.commit()
    wal = path.with_name(f"{path.name}-wal").read_bytes()
    connection.close()
    return whole, wal


def put_down(path: Path, whole: bytes | None, wal: bytes | None) -> None:
    delete(path)
    if whole is not None:
        path.write_bytes(whole)
    if wal is not None:
        path.with_name("ledger.sqlite3-wal").write_bytes(wal)


@pytest.mark.parametrize("flips", [6, pytest.param(300, marks=pytest.mark.prove)])
def test_a_rebuild_survives_every_kind_of_damage(stopped: DaemonHarness, flips: int) -> None:
    path = ledger_file(stopped)
    for name, whole, wal in damages(stopped, flips=flips, cuts=flips):
        put_down(path, whole, wal)
        try:
            rebuild(stopped)
        except SetupError:  # the flipped byte is the version
            continue
        after = jobs_of(path)
        states = {"done": "succeeded", "partly": "partial", "refused": "rejected", "open": "queued"}
        assert {job_name: after[job_name].state for job_name in states} in (states, states | {"open": "running"}), name
        assert after["open"].items[0].state == "succeeded", name


@pytest.mark.parametrize("flips", [2, pytest.param(60, marks=pytest.mark.prove)])
def test_the_daemon_starts_with_every_kind_of_damage_and_makes_nothing_twice(stopped: DaemonHarness, flips: int) -> None:
    path = ledger_file(stopped)
    saved = stopped.folder / "saved"
    for folder in ("inbox", "outputs"):
        shutil.copytree(stopped.folder / folder, saved / folder)
    for name, whole, wal in damages(stopped, flips=flips, cuts=flips):
        for folder in ("inbox", "outputs"):
            shutil.rmtree(stopped.folder / folder)
            shutil.copytree(saved / folder, stopped.folder / folder)
        put_down(path, whole, wal)
        try:
            stopped.open()
        except SetupError:
            continue
        stopped.until(lambda: stopped.state("open") == "succeeded")
        stopped.tick(1)
        assert {order.item for order in stopped.session.orders} == {"b"}, name
        assert sorted(found.name for found in stopped.outputs.glob("*/a.mp4")) == ["a.mp4"] * 3, name
        assert [found.name for found in (stopped.inbox / "_done").iterdir() if found.name == "open"] == ["open"], name
        stopped.close()
