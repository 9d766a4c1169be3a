"""Status files that no daemon wrote: people may write into outputs, and nothing that they put there harms the page or others' jobs."""

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.names import JOB_LOG
from heygem_daemon.core.status import ErrorStatus, JobStatus, JobSummary, TimesStatus
from heygem_daemon.web.jobs.job_record import record_of
from heygem_daemon.web.jobs.reasons import LONGEST, translate
from heygem_daemon.web.jobs.status_file import MAX_ITEMS, MAX_WARNINGS, read_job_status
from tests.shares.people import ALICE, needs_root
from tests.web.site import NOW, Daemon, item_status, job_id, job_status, make_drop, until

JOBS = "/api/v1/jobs"
MANAGER, ANNA, BEN = ({"X-User": name} for name in ("manager", "anna", "ben"))


def put(outputs: Path, folder: str, content: str | bytes, uid: int | None = None) -> None:
    """Put a status file there at once, as that user."""
    (outputs / folder).mkdir(exist_ok=True)
    temporary = outputs / folder / ".status.tmp"
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    if uid is not None:
        os.chown(temporary, uid, -1)
    temporary.rename(outputs / folder / "status.json")


def forged(**changes: Any) -> str:
    """Return the text of a status file of the job "lesson", with fields that no model would let pass."""
    fields = json.loads(job_status("lesson").to_json())
    items = changes.pop("item", {})
    fields["items"][0] |= items
    return json.dumps(fields | changes)


# -- what is none ------------------------------------------------------------------------------------------------------

REFUSED: dict[str, dict[str, Any]] = {
    "path": {"job": "../../outputs/victim"},
    "absolute": {"job": "/tmp/x"},
    "hidden": {"job": ".heygem-inbox"},
    "long": {"job": "x" * 250},
    "name": {"job": "lesson-of-another"},
    "zero": {"job": "a\0b"},
    "late": {"since": "9999-12-31T23:59:59-12:00"},
    "early": {"since": "0001-01-01T00:00:00+14:00"},
    "later": {"times": {"queued": "2200-01-01T00:00:00+00:00"}},
    "endless": {"item": {"seconds": float("inf")}},
    "not a number": {"item": {"sync_offset_ms": float("nan")}},
    "large": {"priority": 10**400},
    "larger": {"item": {"elapsed_s": 1e300}},
    "deep": {"item": {"not_driven": {"turned": float("inf")}}},
    "many": {"items": [json.loads(item_status(key=str(number)).model_dump_json()) for number in range(MAX_ITEMS + 1)]},
    "warned": {"item": {"warnings": ["x"] * (MAX_WARNINGS + 1)}},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_what_the_daemon_would_never_write_is_no_status(changes: dict[str, Any]) -> None:
    assert read_job_status(forged().encode(), is_genuine=True) is not None
    assert read_job_status(forged(**changes).encode(), is_genuine=True) is None


def test_the_page_lists_and_shows_what_it_can_beside_hostile_files(daemon: Daemon, client: httpx.Client, outputs: Path) -> None:
    for number, (name, changes) in enumerate((name, changes) for name, changes in REFUSED.items() if name not in {"many", "warned"}):
        put(outputs, f"bad-{number}", forged(**{"job": job_id(name), "output": f"bad-{number}", **changes}))
    daemon.write(job_status("good"))
    until(lambda: client.get(JOBS).json()["ready"] and client.get(JOBS).json()["total"])
    assert [job["name"] for job in client.get(JOBS).json()["jobs"]] == ["good"]
    assert client.get("/api/v1/system").status_code == 200
    # The index has read a good file; a moment later another lies there.
    put(outputs, "good", forged(job=job_id("good"), output="good", since="9999-12-31T23:59:59-12:00"))
    assert client.get(f"{JOBS}/{job_id('good')}").status_code == 404


@pytest.mark.parametrize("path", ["../../secret", "/etc/passwd", "a\0b", "x" * 5000])
def test_the_path_of_a_result_is_not_looked_up_outside_its_folder(
    daemon: Daemon, client: httpx.Client, outputs: Path, tmp_path: Path, path: str
) -> None:
    (tmp_path / "secret").write_text("12345")
    daemon.beat()
    put(outputs, "lesson", forged(item={"output": path}))
    until(lambda: client.get(f"{JOBS}/lesson").status_code != 404)
    answer = client.get(f"{JOBS}/lesson")
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"][0]["bytes"] is None


@pytest.mark.family(2)
@pytest.mark.parametrize("output", ["a\0b", "", "x" * 5000, "..", "loop"])
def test_a_hostile_status_of_the_daemon_does_not_stop_the_polling(daemon: Daemon, client: httpx.Client, outputs: Path, output: str) -> None:
    (outputs / "loop").symlink_to("loop")
    daemon.beat(jobs=(JobSummary.of(job_status("x").model_copy(update={"output": output})),))
    until(lambda: client.get("/api/v1/system").json()["daemon"]["state"] == "running")
    # Found by the daemon's list alone before the next listing, or by the listing: both must go on.
    put(outputs, "lesson", job_status("lesson").to_json())
    until(lambda: client.get(f"{JOBS}/lesson").status_code == 200)
    assert client.get("/api/v1/system").json()["daemon"]["outputs"] == "online"


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_a_record_stays_small_whatever_the_status_holds() -> None:
    long = "x" * 100_000
    error = ErrorStatus(code=long, message=long, hint=long)
    items = tuple(item_status(State.FAILED, key=str(number), error=error) for number in range(2000))
    done = tuple(item_status(key=f"d{number}", engine=f"{number}{long}", thumbnail=long) for number in range(50))
    status = job_status("lesson", State.PARTIAL, items=(*items, *done), reason=long, waiting_for=long, error=error, owner=long)
    status = status.model_copy(update={"name": long, "inbox": long, "reference": long})
    record = record_of(status, "lesson")
    texts = [record.name, record.reason, record.waiting_for, record.inbox, record.owner, record.reference, record.thumbnail, record.stage]
    texts += [*record.codes, *(engine for engine, _count in record.engines), record.searched]
    assert record.error is not None
    texts += [record.error.code, record.error.message, record.error.hint]
    assert sum(map(len, texts)) < 130_000
    assert (record.owner, record.reference, len(record.reason), len(record.error.message)) == ("", "", 500, 500)


def test_a_long_sentence_is_not_translated_and_costs_no_time() -> None:
    hostile = "The server has no right to " + "a b, which belongs to " * 20_000
    began = time.monotonic()
    assert translate("zh", hostile) == hostile
    assert time.monotonic() - began < 5, "the patterns take minutes for it"
    sentence = "The folder " + "x" * 500 + " cannot be read: y"
    assert len(sentence) < LONGEST
    assert translate("zh", sentence) != sentence


# -- who wrote it ------------------------------------------------------------------------------------------------------


@needs_root
def test_the_owner_in_a_file_that_the_daemon_did_not_write_is_not_believed(
    daemon: Daemon, people: httpx.Client, outputs: Path, inbox: Path
) -> None:
    status = job_status("lesson", State.RUNNING, owner="anna", inbox=str(inbox))
    put(outputs, "lesson", status.to_json(), ALICE.uid)
    daemon.write(job_status("real", State.RUNNING, owner="anna", inbox=str(inbox)))
    until(lambda: people.get(f"{JOBS}/lesson", headers=MANAGER).status_code == 200)
    until(lambda: people.get(f"{JOBS}/real", headers=ANNA).status_code == 200)
    detail = people.get(f"{JOBS}/lesson", headers=MANAGER).json()
    assert (detail["entry"]["owner"], detail["status"]["owner"]) == ("", None)
    for path in ("", "/log", "/sources/teacher", "/zip"):
        assert people.get(f"{JOBS}/lesson{path}", headers=ANNA).status_code == 404
    assert people.post(f"{JOBS}/lesson/cancel", headers=ANNA).status_code == 404


@needs_root
def test_a_file_that_the_daemon_did_not_write_takes_no_job_away(daemon: Daemon, people: httpx.Client, outputs: Path, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.RUNNING, owner="anna", inbox=str(inbox)))
    until(lambda: people.get(f"{JOBS}/lesson", headers=ANNA).status_code == 200)
    thief = job_status("thief", State.RUNNING, job=job_id("lesson"), owner="ben")
    put(outputs, "thief", thief.to_json(), ALICE.uid)
    put(outputs, "probe", job_status("probe").to_json())
    until(lambda: people.get(f"{JOBS}/probe", headers=MANAGER).status_code == 200)  # the thief has been read with it
    assert people.get(f"{JOBS}/{job_id('lesson')}", headers=ANNA).json()["entry"]["output"] == "lesson"
    # Nor when it becomes another job's.
    put(outputs, "thief", thief.model_copy(update={"job": job_id("other")}).to_json(), ALICE.uid)
    until(lambda: people.get(f"{JOBS}/{job_id('other')}", headers=MANAGER).status_code == 200)
    assert people.get(f"{JOBS}/{job_id('lesson')}", headers=ANNA).status_code == 200


def _given_to_ben(outputs: Path, status: JobStatus) -> None:
    """Give a job to another user while the index does not look."""
    put(outputs, status.output, status.model_copy(update={"owner": "ben"}).to_json())


def test_what_is_asked_of_a_job_and_its_log_follow_the_status_as_it_is_now(
    daemon: Daemon, people: httpx.Client, outputs: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = job_status("lesson", State.RUNNING, owner="anna", inbox=str(inbox))
    daemon.write(status)
    (outputs / "lesson" / JOB_LOG).write_text(json.dumps({"time": "t", "level": "info", "event": "e", "message": "secret"}) + "\n")
    until(lambda: people.get(f"{JOBS}/lesson", headers=ANNA).status_code == 200)
    assert people.get(f"{JOBS}/lesson/log", headers=ANNA).json()["lines"]
    monkeypatch.setattr("heygem_daemon.web.jobs.index.JobIndex._take", lambda _index, _found: None)
    _given_to_ben(outputs, status)
    assert people.get(f"{JOBS}/lesson/log", headers=ANNA).status_code == 404
    assert people.post(f"{JOBS}/lesson/cancel", headers=ANNA).status_code == 404
    assert list(inbox.glob("*.cancel")) == []


def test_the_owner_of_a_drop_changes_it_as_soon_as_it_has_an_id(daemon: Daemon, people: httpx.Client, inbox: Path) -> None:
    make_drop(inbox, "lesson", 'reference = "r-1"\nowner = "anna"\n')
    until(lambda: people.get(f"{JOBS}/r-1", headers=ANNA).status_code == 200)
    daemon.write(job_status("lesson", State.SETTLING, items=(), inbox=str(inbox), times=TimesStatus(dropped=NOW)))
    until(lambda: people.get(f"{JOBS}/r-1", headers=ANNA).json()["entry"]["id"] == job_id("lesson"))
    assert people.get(f"{JOBS}/r-1/log", headers=ANNA).status_code == 200
    assert people.post(f"{JOBS}/r-1/hold", headers=BEN).status_code == 404
    assert people.post(f"{JOBS}/r-1/hold", headers=ANNA).status_code == 202
    assert [path.name for path in inbox.glob("*.hold")] == [f"{job_id('lesson')}.hold"]
