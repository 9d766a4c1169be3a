"""The jobs over HTTP: lists, search, pages, one job in detail, its log, and who may see what."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.names import JOB_LOG
from heygem_daemon.core.status import ErrorStatus
from heygem_daemon.web.jobs.api_jobs import LOG_LINES
from tests.web.site import Daemon, entries, item_status, job_id, job_status, make_drop, until

JOBS = "/api/v1/jobs"
MANAGER, ANNA, BEN = ({"X-User": name} for name in ("manager", "anna", "ben"))


def listed(client: httpx.Client, *, headers: dict[str, str] | None = None, **query: str | list[str]) -> list[str]:
    answer = client.get(JOBS, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [job["name"] for job in answer.json()["jobs"]]


def wait_for(client: httpx.Client, count: int, headers: dict[str, str] | None = None) -> None:
    until(lambda: (page := client.get(JOBS, headers=headers).json())["ready"] and page["total"] == count)


def test_open_jobs_come_in_the_order_of_the_queue_and_then_the_newest(daemon: Daemon, client: httpx.Client) -> None:
    daemon.write(
        job_status("second", State.QUEUED, position=2),
        job_status("first", State.QUEUED, position=1),
        job_status("runs", State.RUNNING),
        job_status("held", State.WAITING, waiting_for="Held back by hand"),
        job_status("old", minutes=90),
        job_status("new", State.FAILED, minutes=30),
    )
    wait_for(client, 6)
    assert listed(client) == ["runs", "first", "second", "held", "new", "old"]


def test_a_list_is_narrowed_by_state_text_engine_and_date(daemon: Daemon, client: httpx.Client) -> None:
    daemon.write(
        job_status("Café Größe", items=(item_status(key="Müller"),)),
        job_status("ended", State.PARTIAL, items=(item_status(), item_status(State.FAILED, key="other"))),
        job_status("refused", State.REJECTED, items=(), error=ErrorStatus(code="no_videos", message="No videos.")),
        job_status("stopped", State.CANCELLED),
        job_status("waits", State.WAITING),
        job_status("ancient", minutes=60 * 24 * 40, items=(item_status(engine="wav2lip"),)),
    )
    wait_for(client, 6)
    assert set(listed(client, state="open")) == {"waits"}
    assert set(listed(client, state="failed")) == {"ended", "refused"}
    assert set(listed(client, state=["waiting", "cancelled"])) == {"waits", "stopped"}
    assert listed(client, q="CAFE\u0301") == listed(client, q="MÜLLER.MP4") == ["Café Größe"]
    assert listed(client, engine="wav2lip") == ["ancient"]
    day = entries(client.get(JOBS).json())["ancient"]["finished"][:10]
    assert listed(client, since=day, until=day) == ["ancient"]
    assert "ancient" not in listed(client, since="2999-01-01")
    assert client.get(JOBS, params={"state": "gone"}).json()["code"] == "invalid_request"


def test_pages_stay_whole_while_jobs_come_and_go(daemon: Daemon, client: httpx.Client, outputs: Path) -> None:
    daemon.write(*(job_status(f"job-{number:02d}", minutes=100 + number) for number in range(12)))
    wait_for(client, 12)
    first = client.get(JOBS, params={"limit": 5}).json()
    daemon.write(job_status("newest", minutes=1))
    (outputs / "job-02/status.json").unlink()
    until(lambda: "newest" in listed(client) and "job-02" not in listed(client))
    second = client.get(JOBS, params={"limit": 5, "cursor": first["next"]}).json()
    third = client.get(JOBS, params={"limit": 5, "cursor": second["next"]}).json()
    found = [job["name"] for page in (first, second, third) for job in page["jobs"]]
    assert found == [f"job-{number:02d}" for number in range(12)]
    assert third["next"] is None


@pytest.mark.family(3)
@pytest.mark.parametrize("cursor", ["x", "bnVsbA", "W10", "WzAsImEiXQ", "WzEsIngiXQ", "e30", "WyJhIl0"])
def test_a_cursor_that_is_none_is_refused(client: httpx.Client, cursor: str) -> None:
    assert client.get(JOBS, params={"cursor": cursor}).json()["code"] == "invalid_request"


@pytest.mark.parametrize("query", ["until=9999-12-31", "since=0001-01-01", "since=9999-12-31", "until=0001-01-01"])
def test_a_day_that_no_clock_shows_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"{JOBS}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("query", ["until=2999-12-31", "since=1900-01-01"])
def test_any_day_of_some_use_is_accepted(client: httpx.Client, query: str) -> None:
    assert client.get(f"{JOBS}?{query}").status_code == 200


def test_jobs_of_others_do_not_exist(daemon: Daemon, people: httpx.Client, inbox: Path) -> None:
    origin: dict[str, Any] = {"inbox": str(inbox)}
    daemon.write(
        job_status("of-anna", owner="anna", reference="r-1", **origin),
        job_status("of-ben", State.FAILED, owner="ben", **origin),
        job_status("of-share", **origin),
    )
    make_drop(inbox, "drop", 'owner = "ben"\nreference = "r-2"\n')
    wait_for(people, 4, MANAGER)
    assert listed(people, headers=ANNA) == ["of-anna"]
    assert set(listed(people, headers=BEN)) == {"of-ben", "drop"}
    for path in ("of-ben", job_id("of-ben"), "r-2", "of-share", "no-such"):
        for method, suffix in (("GET", ""), ("GET", "/log"), ("POST", "/cancel"), ("POST", "/retry"), ("PUT", "/priority")):
            content = {"priority": 1} if method == "PUT" else None
            answer = people.request(method, f"{JOBS}/{path}{suffix}", headers=ANNA, json=content)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (path, suffix)
    assert people.post(f"{JOBS}/retry-failed", headers=ANNA).json() == {"requested": 0}
    assert not list(inbox.glob("*.retry"))


def test_a_job_is_shown_by_id_folder_and_reference_with_everything_in_words(
    daemon: Daemon, client: httpx.Client, inbox: Path, outputs: Path
) -> None:
    good = item_status(key="a b", sync_offset_ms=12.0, closure_rate=0.9, mouth_correlation=0.95, frames_not_driven=0.0)
    status = job_status("lesson 1", State.PARTIAL, inbox=str(inbox), reference="r-1", items=(good, item_status(State.FAILED, key="b")))
    daemon.write(status)
    (outputs / "lesson 1/a b.mp4").write_bytes(b"x" * 1234)
    wait_for(client, 1)
    for name in ("r-1", "lesson 1", status.job):
        detail = client.get(f"{JOBS}/{name}").json()
        assert detail["entry"]["id"] == status.job
    first, second = detail["items"]
    assert first["result_url"] == f"{JOBS}/{status.job}/files/a%20b.mp4"
    assert first["source_url"] == f"{JOBS}/{status.job}/sources/a%20b"
    assert first["bytes"] == 1234
    assert [(each["name"], each["level"]) for each in first["verdicts"]] == [
        ("sync", "good"), ("closures", "good"), ("mouth", "good"), ("driven", "good")
    ]  # fmt: skip
    assert second["error"]["code"] == "no_face"
    assert second["result_url"] is None
    assert detail["status"]["inbox"] == str(inbox)


def test_how_a_job_of_the_page_was_to_be_fitted_is_shown_while_its_inputs_are_kept(
    daemon: Daemon, client: httpx.Client, inbox: Path
) -> None:
    claimed = inbox / ".heygem/claimed"
    for name, job_toml in (("own", 'reference = "r-1"\nfit = "video"\n'), ("default", 'reference = "r-2"\n')):
        (claimed / job_id(name)).mkdir(parents=True)
        make_drop(claimed / job_id(name), name, job_toml)
    origin: dict[str, Any] = {"inbox": str(inbox)}
    daemon.write(
        job_status("own", State.RUNNING, reference="r-1", **origin),
        job_status("default", State.RUNNING, reference="r-2", **origin),
        job_status("share", State.RUNNING, **origin),
    )
    wait_for(client, 3)
    until(lambda: client.get("/api/v1/system").json()["inboxes"][0]["online"])
    assert [client.get(f"{JOBS}/{name}").json()["fit"] for name in ("own", "default", "share")] == ["video", "audio", None]


def test_who_is_no_administrator_sees_no_path(daemon: Daemon, people: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", owner="anna", inbox=str(inbox)))
    wait_for(people, 1, ANNA)
    answer = people.get(f"{JOBS}/lesson", headers=ANNA)
    assert answer.json()["status"]["inbox"] == inbox.name
    assert str(inbox) not in answer.text


def test_a_drop_has_a_detail_before_it_has_a_status(client: httpx.Client, inbox: Path) -> None:
    make_drop(inbox, "lesson", 'reference = "r-1"\n')
    wait_for(client, 1)
    detail = client.get(f"{JOBS}/r-1").json()
    assert detail["status"] is None
    assert detail["entry"]["state"] == "settling"
    assert client.get(f"{JOBS}/r-1/log").json() == {"lines": []}


def test_the_end_of_the_log_is_shown_and_rubbish_in_it_left_out(daemon: Daemon, client: httpx.Client, outputs: Path) -> None:
    daemon.write(job_status("lesson"))
    lines = [json.dumps({"time": "t", "level": "info", "event": "item_stage", "message": f"line {number}"}) for number in range(3000)]
    (outputs / "lesson" / JOB_LOG).write_text("\n".join([*lines, "{", "[1]", '{"time": 1}', "", *lines[-1:]]) + "\n")
    wait_for(client, 1)
    found = client.get(f"{JOBS}/lesson/log").json()["lines"]
    assert len(found) <= LOG_LINES
    assert [line["message"] for line in found[-2:]] == ["line 2999", "line 2999"]


def test_a_log_that_is_a_link_or_a_pipe_is_not_read(daemon: Daemon, client: httpx.Client, outputs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"time": "t", "level": "info", "event": "e", "message": "secret"}))
    daemon.write(job_status("linked"), job_status("pipe"), job_status("none"))
    (outputs / "linked" / JOB_LOG).symlink_to(secret)
    os.mkfifo(outputs / "pipe" / JOB_LOG)
    wait_for(client, 3)
    assert "secret" not in client.get(f"{JOBS}/linked/log").text
    assert client.get(f"{JOBS}/pipe/log").json() == {"lines": []}
    assert client.get(f"{JOBS}/none/log").json() == {"lines": []}


def test_all_failed_jobs_are_tried_again_at_once_whose_inputs_are_kept(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    origin: dict[str, Any] = {"inbox": str(inbox)}
    daemon.write(
        job_status("one", State.FAILED, **origin),
        job_status("two", State.PARTIAL, **origin),
        job_status("three", State.REJECTED, **origin),
        job_status("fine", **origin),
        job_status("stopped", State.CANCELLED, **origin),
        job_status("ancient", State.FAILED, minutes=60 * 24 * 365, **origin),
    )
    wait_for(client, 6)
    assert client.post(f"{JOBS}/retry-failed").json() == {"requested": 3}
    assert {path.name for path in inbox.glob("*.retry")} == {f"{job_id(name)}.retry" for name in ("one", "two", "three")}
    assert client.post(f"{JOBS}/retry-failed").json() == {"requested": 0}
