"""What people ask of jobs becomes control files, as on the share; it is shown until it is done."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.names import FAILED, MARKER, PAUSE, RECORD
from heygem_daemon.settings import Inbox, Intake, Settings
from heygem_daemon.web.app import create_app
from heygem_daemon.web.jobs import actions
from heygem_daemon.web.jobs.job_record import record_of
from heygem_daemon.web.problems import WebProblem
from tests.shares.people import ALICE, as_person, needs_root
from tests.web.frozen_share import frozen_share
from tests.web.serving import serving
from tests.web.site import Daemon, entries, job_id, job_status, make_drop, until

JOBS = "/api/v1/jobs"


def controls(inbox: Path) -> set[str]:
    return {path.name for path in inbox.iterdir() if path.is_file() and path.name != MARKER}


def shown(client: httpx.Client, name: str) -> "dict[str, object]":
    found: dict[str, object] = entries(client.get(JOBS).json()).get(name, {})
    return found


@pytest.mark.parametrize(
    ("state", "kind"),
    [(State.RUNNING, "cancel"), (State.QUEUED, "hold"), (State.FAILED, "retry"), (State.CANCELLED, "retry"), (State.SETTLING, "cancel")],
)
def test_a_request_is_a_control_file_in_the_jobs_inbox_and_is_shown_at_once(
    daemon: Daemon, client: httpx.Client, inbox: Path, second_inbox: Path, state: State, kind: str
) -> None:
    daemon.write(job_status("lesson", state, inbox=str(second_inbox)))
    until(lambda: shown(client, "lesson"))
    answer = client.post(f"{JOBS}/lesson/{kind}")
    assert answer.status_code == 202, answer.text
    assert answer.json()["requested"] == [kind]
    assert answer.json()["why"] != ""
    assert controls(second_inbox) == {f"{job_id('lesson')}.{kind}"}
    assert controls(inbox) == set()


def test_what_was_asked_is_shown_until_the_daemon_has_taken_it(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.RUNNING, inbox=str(inbox)))
    until(lambda: shown(client, "lesson"))
    client.post(f"{JOBS}/lesson/cancel")
    until(lambda: shown(client, "lesson")["why"] == "Cancelling …")
    (inbox / f"{job_id('lesson')}.cancel").unlink()
    until(lambda: shown(client, "lesson")["requested"] == [])


def test_what_people_ask_on_the_share_is_shown_too(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.RUNNING, inbox=str(inbox)))
    (inbox / "lesson.cancel").touch()
    until(lambda: shown(client, "lesson").get("requested") == ["cancel"])


def test_control_files_that_stay_are_no_open_requests(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(
        job_status("held", State.WAITING, waiting_for="Held back by held.hold", inbox=str(inbox)),
        job_status("arrives", State.SETTLING, items=(), inbox=str(inbox)),
        job_status("over", State.FAILED, inbox=str(inbox)),
        job_status("next", State.QUEUED, inbox=str(inbox)),
    )
    for name in ("held.hold", "arrives.priority", f"{job_id('over')}.hold", "over.cancel", "next.priority"):
        (inbox / name).touch()
    until(lambda: shown(client, "next").get("requested") == ["priority"])
    assert [shown(client, name)["requested"] for name in ("held", "arrives", "over")] == [[], [], []]


def test_while_the_daemon_is_away_the_answer_says_when_it_will_be_done(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.RUNNING, inbox=str(inbox)))
    daemon.beat(age=100)
    until(lambda: "has not reported" in str(shown(client, "lesson").get("why")))
    assert "runs again" in client.post(f"{JOBS}/lesson/cancel").json()["why"]


def test_priority_is_written_as_a_number(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.QUEUED, inbox=str(inbox)))
    until(lambda: shown(client, "lesson"))
    assert client.put(f"{JOBS}/lesson/priority", json={"priority": -7}).status_code == 202
    assert (inbox / f"{job_id('lesson')}.priority").read_text().strip() == "-7"
    assert client.put(f"{JOBS}/lesson/priority", json={"priority": 101}).status_code == 422


def test_a_hold_is_taken_back_by_resume(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.QUEUED, inbox=str(inbox)))
    until(lambda: shown(client, "lesson"))
    assert "resume" in client.post(f"{JOBS}/lesson/hold").json()["actions"]
    assert client.post(f"{JOBS}/lesson/resume").json()["requested"] == []
    assert controls(inbox) == set()


def test_a_job_that_is_held_goes_on_by_resume(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.WAITING, waiting_for="Held back by hand", inbox=str(inbox)))
    until(lambda: shown(client, "lesson").get("actions") == ["cancel", "resume", "priority"])
    assert client.post(f"{JOBS}/lesson/hold").status_code == 202  # it is held already
    assert client.post(f"{JOBS}/lesson/resume").json()["requested"] == ["resume"]
    assert controls(inbox) == {f"{job_id('lesson')}.resume"}


def test_a_drop_that_no_daemon_has_seen_is_controlled_by_its_name(client: httpx.Client, inbox: Path) -> None:
    make_drop(inbox, "<img src=x>", 'reference = "r-1"\n')
    until(lambda: shown(client, "<img src=x>"))
    assert client.post(f"{JOBS}/r-1/hold").status_code == 202
    assert controls(inbox) == {"<img src=x>.hold"}
    assert client.post(f"{JOBS}/r-1/resume").status_code == 202
    assert client.post(f"{JOBS}/r-1/cancel").status_code == 202
    assert controls(inbox) == {"<img src=x>.cancel"}


def test_who_gives_his_drop_the_name_of_anothers_job_cannot_touch_that(daemon: Daemon, settings: Settings, inbox: Path) -> None:
    web = settings.web.model_copy(update={"proxy_header": "X-User", "admins": ("manager",)})
    anna, manager = {"X-User": "anna"}, {"X-User": "manager"}
    with serving(create_app(settings.model_copy(update={"web": web}))) as address, httpx.Client(base_url=address, timeout=30) as client:
        daemon.write(job_status("lesson", State.RUNNING, owner="ben", inbox=str(inbox), minutes=60))
        until(lambda: client.get(f"{JOBS}/lesson", headers=manager).status_code == 200)
        for name, reference in (("lesson", "r-1"), (job_id("lesson"), "r-2"), ("alone", "r-3")):
            make_drop(inbox, name, f'reference = "{reference}"\nowner = "anna"\n')
        until(lambda: all(client.get(f"{JOBS}/r-{number}", headers=anna).status_code == 200 for number in (1, 2, 3)))
        for reference in ("r-1", "r-2", "r-3"):
            assert client.get(f"{JOBS}/{reference}", headers=anna).json()["entry"]["actions"] == []
            answers = [client.post(f"{JOBS}/{reference}/{kind}", headers=anna) for kind in ("cancel", "hold", "resume", "retry")]
            answers.append(client.put(f"{JOBS}/{reference}/priority", headers=anna, json={"priority": -100}))
            assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "wrong_state")] * 5
        assert [client.post(f"{JOBS}/r-{number}/cancel", headers=manager).status_code for number in (1, 2, 3)] == [409, 409, 202]
    assert controls(inbox) == {"alone.cancel"}


@pytest.mark.parametrize("name", ["../outside", "a/b", ".heygem-inbox", "a\0b", "x" * 250, ""])
def test_a_name_that_leads_elsewhere_gets_no_control_file(settings: Settings, inbox: Path, name: str) -> None:
    context = create_app(settings).state.context
    before = sorted(inbox.parent.rglob("*"))
    record = replace(record_of(job_status("lesson", State.WAITING, waiting_for="held", inbox=str(inbox)), "lesson"), id=name)
    for kind in ("cancel", "resume"):
        with pytest.raises(WebProblem, match="bad_name"):
            asyncio.run(actions.request(context, record, kind))
    assert sorted(inbox.parent.rglob("*")) == before


def test_one_job_that_cannot_be_tried_again_does_not_stop_the_others(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(*(job_status(name, State.FAILED, inbox=str(inbox)) for name in ("first", "second", "third")))
    (inbox / f"{job_id('second')}.retry").mkdir()
    until(lambda: all(shown(client, name) for name in ("first", "second", "third")))
    answer = client.post(f"{JOBS}/retry-failed")
    assert (answer.status_code, answer.json()) == (202, {"requested": 2})
    assert controls(inbox) == {f"{job_id(name)}.retry" for name in ("first", "third")}


def test_a_control_file_replaces_a_link_and_never_writes_through_it(
    daemon: Daemon, client: httpx.Client, inbox: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    daemon.write(job_status("lesson", State.QUEUED, inbox=str(inbox)))
    (inbox / f"{job_id('lesson')}.priority").symlink_to(victim)
    until(lambda: shown(client, "lesson"))
    assert client.put(f"{JOBS}/lesson/priority", json={"priority": 5}).status_code == 202
    assert victim.read_text() == "precious"
    assert not (inbox / f"{job_id('lesson')}.priority").is_symlink()


@pytest.mark.parametrize(
    ("state", "kind"), [(State.SUCCEEDED, "retry"), (State.SUCCEEDED, "cancel"), (State.RUNNING, "retry"), (State.QUEUED, "resume")]
)
def test_what_is_not_possible_is_refused(daemon: Daemon, client: httpx.Client, inbox: Path, state: State, kind: str) -> None:
    daemon.write(job_status("lesson", state, inbox=str(inbox)))
    until(lambda: shown(client, "lesson"))
    answer = client.post(f"{JOBS}/lesson/{kind}")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    assert controls(inbox) == set()


def test_a_job_whose_result_was_deleted_can_be_tried_again(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    status = job_status("lesson", State.SUCCEEDED, inbox=str(inbox))
    items = tuple(item.model_copy(update={"output": None, "missing": "film.mp4"}) for item in status.items)
    assert items
    daemon.write(status.model_copy(update={"items": items}))
    until(lambda: shown(client, "lesson"))
    assert shown(client, "lesson")["actions"] == ["retry"]
    assert client.post(f"{JOBS}/lesson/retry").status_code == 202
    assert controls(inbox) == {f"{job_id('lesson')}.retry"}


def test_a_job_of_an_inbox_that_is_not_configured_cannot_be_changed(daemon: Daemon, client: httpx.Client, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / MARKER).touch()
    daemon.write(job_status("lesson", State.RUNNING, inbox=str(foreign)))
    until(lambda: shown(client, "lesson"))
    assert client.post(f"{JOBS}/lesson/cancel").status_code == 409
    assert controls(foreign) == set()


def test_an_inbox_that_is_not_mounted_gets_no_control_file(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.RUNNING, inbox=str(inbox)))
    (inbox / MARKER).unlink()
    until(lambda: shown(client, "lesson"))
    assert client.post(f"{JOBS}/lesson/cancel").json()["code"] == "inbox_offline"
    assert controls(inbox) == set()


@needs_root
def test_an_inbox_without_rights_is_an_error_that_says_so(settings: Settings, inbox: Path) -> None:
    for folder in (*inbox.parents, inbox):
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    context = create_app(settings).state.context
    record = record_of(job_status("lesson", State.RUNNING, inbox=str(inbox)), "lesson")
    with pytest.raises(WebProblem, match="permission_denied"):
        as_person(ALICE, lambda: asyncio.run(actions.request(context, record, "cancel")))
    assert controls(inbox) == set()


def test_a_job_of_an_old_status_file_is_found_where_its_inputs_are(
    daemon: Daemon, client: httpx.Client, inbox: Path, second_inbox: Path
) -> None:
    daemon.write(job_status("runs", State.RUNNING), job_status("failed", State.FAILED), job_status("lost", State.RUNNING))
    (inbox / ".heygem/claimed" / job_id("runs")).mkdir(parents=True)
    archived = second_inbox / FAILED / "failed-2"
    archived.mkdir(parents=True)
    (archived / RECORD).write_text(f'{{"job": "{job_id("failed")}", "name": "failed", "flat": false}}')
    until(lambda: shown(client, "failed") and shown(client, "runs"))
    assert client.post(f"{JOBS}/runs/cancel").status_code == 202
    assert client.post(f"{JOBS}/failed/retry").status_code == 202
    assert client.post(f"{JOBS}/lost/cancel").status_code == 404
    assert controls(inbox) == {f"{job_id('runs')}.cancel"}
    assert controls(second_inbox) == {f"{job_id('failed')}.retry"}


def test_a_frozen_inbox_refuses_at_once_and_the_other_one_works(settings: Settings, daemon: Daemon, inbox: Path, tmp_path: Path) -> None:
    with frozen_share(tmp_path) as share:
        (share.served / MARKER).touch()
        daemon.write(
            job_status("far", State.RUNNING, inbox=str(share.mounted)),
            job_status("near", State.RUNNING, inbox=str(inbox)),
        )
        inboxes = (settings.inboxes[0], Inbox(path=share.mounted))
        settings = settings.model_copy(update={"inboxes": inboxes, "intake": Intake(answer_seconds=3.0)})
        with serving(create_app(settings)) as address, httpx.Client(base_url=address, timeout=20) as client:
            until(lambda: all(each["online"] for each in client.get("/api/v1/system").json()["inboxes"]) and shown(client, "far"))
            share.freeze()
            until(lambda: "hangs" in client.get("/api/v1/system").json()["inboxes"][1]["reason"])
            began = time.monotonic()
            assert client.post(f"{JOBS}/far/cancel").json()["code"] == "share_timeout"
            assert client.post(f"{JOBS}/near/cancel").status_code == 202
            assert time.monotonic() - began < 2.0
            share.thaw()
            until(lambda: client.post(f"{JOBS}/far/cancel").status_code == 202)
        assert controls(share.served) == {f"{job_id('far')}.cancel"}


def test_the_queue_is_paused_in_one_inbox_or_in_all(daemon: Daemon, client: httpx.Client, inbox: Path, second_inbox: Path) -> None:
    daemon.beat()
    until(lambda: all(each["online"] for each in client.get("/api/v1/system").json()["inboxes"]))
    answer = client.post("/api/v1/queue/pause", json={"inbox": 1}).json()
    assert [each["paused"] for each in answer] == [False, True]
    assert not os.path.lexists(inbox / PAUSE)
    client.post("/api/v1/queue/pause", json={})
    assert (inbox / PAUSE).is_file()
    assert client.get("/api/v1/system").json()["daemon"]["paused"] is True
    client.post("/api/v1/queue/resume", json={"inbox": None})
    assert not (inbox / PAUSE).exists()
    assert not (second_inbox / PAUSE).exists()
    assert client.post("/api/v1/queue/pause", json={"inbox": 2}).status_code == 404
