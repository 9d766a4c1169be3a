"""The stream of events, over real HTTP and as a slow reader sees it."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from heygem_daemon.core.job import State
from heygem_daemon.settings import Settings
from heygem_daemon.web.app import create_app
from heygem_daemon.web.jobs import events, job_table
from heygem_daemon.web.jobs.job_record import record_of
from heygem_daemon.web.jobs.job_table import JobTable
from tests.web.site import Daemon, job_id, job_status, make_drop, until

EVENTS = "/api/v1/events"
JOBS = "/api/v1/jobs"


@contextmanager
def following(client: httpx.Client, **headers: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """Yield the events of a stream as (name, data)."""
    with client.stream("GET", EVENTS, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _parsed(answer.iter_lines())


def _parsed(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def next_of(found: Iterator[tuple[str, Any]], name: str, **fields: object) -> Any:
    """Return the data of the next event of this name that has these fields."""
    return next(data for event, data in found if event == name and all(data.get(field) == value for field, value in fields.items()))


def test_on_connect_come_the_daemon_and_every_open_job(daemon: Daemon, client: httpx.Client) -> None:
    daemon.write(job_status("queued", State.QUEUED, position=1), job_status("runs", State.RUNNING), job_status("done"))
    until(lambda: client.get(JOBS).json()["total"] == 3)
    with following(client) as found:
        name, data = next(found)
        assert (name, data["state"], data["outputs"]) == ("daemon", "running", "online")
        assert [next(found)[1]["name"] for _ in range(2)] == ["runs", "queued"]


def test_a_job_is_followed_from_its_drop_to_its_end_by_its_reference(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    until(lambda: client.get(JOBS).json()["ready"])
    with following(client) as found:
        drop = make_drop(inbox, "lesson", 'reference = "r-1"\n')
        assert next_of(found, "job", id="r-1")["state"] == "settling"
        drop.rename(inbox.with_name("claimed"))
        daemon.write(job_status("lesson", State.QUEUED, reference="r-1", inbox=str(inbox), minutes=0))
        order = [next(found) for _ in range(3)]
        changes = [(name, data["id"]) for name, data in order if name != "daemon"]
        while len(changes) < 2:
            name, data = next(found)
            changes += [(name, data["id"])] if name != "daemon" else []
        assert changes == [("job", job_id("lesson")), ("gone", "r-1")]
        daemon.write(job_status("lesson", reference="r-1", inbox=str(inbox), minutes=0))
        assert next_of(found, "job", state="succeeded")["reference"] == "r-1"


def test_what_is_asked_of_a_job_is_seen_by_all(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.RUNNING, inbox=str(inbox)))
    until(lambda: client.get(JOBS).json()["total"] == 1)
    with following(client) as found:
        next_of(found, "job", requested=[])
        httpx.post(f"{client.base_url}{JOBS}/lesson/cancel")
        assert next_of(found, "job", requested=["cancel"])["why"] == "Cancelling …"


def test_jobs_of_others_are_never_sent(daemon: Daemon, people: httpx.Client, outputs: Path) -> None:
    daemon.write(job_status("of-anna", State.QUEUED, owner="anna"), job_status("of-ben", State.QUEUED, owner="ben"))
    until(lambda: people.get(JOBS, headers={"X-User": "manager"}).json()["total"] == 2)
    with following(people, **{"X-User": "anna"}) as found:
        assert next_of(found, "job")["name"] == "of-anna"
        daemon.write(job_status("of-ben", owner="ben"))
        (outputs / "of-ben/status.json").unlink()
        until(lambda: people.get(JOBS, headers={"X-User": "manager"}).json()["total"] == 1)
        daemon.write(job_status("of-anna", owner="anna"))
        seen = []
        for name, data in found:
            seen.append((name, data))
            if name == "job":
                break
        assert {data["name"] for name, data in seen if name == "job"} == {"of-anna"}
        assert [name for name, _ in seen if name == "gone"] == []


def test_events_are_in_the_language_of_the_caller(daemon: Daemon, client: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.WAITING, waiting_for="Paused: PAUSE lies in the inbox", inbox=str(inbox)))
    until(lambda: client.get(JOBS).json()["total"] == 1)
    with following(client, **{"Accept-Language": "zh-CN"}) as found:
        assert next_of(found, "job")["why"] == "队列已暂停（收件文件夹中有 PAUSE 文件）"


def test_a_user_may_open_so_many_streams_and_has_them_back_when_they_end(
    daemon: Daemon, people: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STREAMS_OF_USER", 2)
    with following(people, **{"X-User": "anna"}) as one, following(people, **{"X-User": "anna"}) as two:
        next(one)
        next(two)
        refused = people.get(EVENTS, headers={"X-User": "anna"})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        with following(people, **{"X-User": "ben"}) as other:
            next(other)
    until(lambda: not events._open)


def test_a_stream_ends_after_a_while_so_that_its_reader_has_to_log_in_again(
    daemon: Daemon, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STREAM_SECONDS", 0.5)
    with following(client) as found:
        assert {name for name, _data in found} == {"daemon"}


def test_the_end_of_the_page_ends_the_streams(settings: Settings, daemon: Daemon) -> None:
    app = create_app(settings)
    with _server(app) as (server, thread, address), httpx.Client(base_url=address, timeout=10) as client, following(client) as found:
        next(found)
        began = time.monotonic()
        app.state.context.index.close_streams()
        server.should_exit = True
        for _event in found:
            pass
        thread.join(10)
        assert time.monotonic() - began < 8.0


@contextmanager
def _server(app: FastAPI) -> Iterator[tuple[uvicorn.Server, Thread, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=30))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        yield server, thread, f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_reader_that_takes_nothing_costs_no_memory_and_sees_the_last_state() -> None:
    table = JobTable()
    subscription = table.subscribe()
    for percent in range(1000):
        for name in ("one", "two"):
            table.put(record_of(job_status(name, State.RUNNING, priority=percent % 100, minutes=5), name))
    assert len(subscription.pending) == 2
    taken, _daemon = subscription.take()
    assert set(taken) == {job_id("one"), job_id("two")}
    assert subscription.pending == {}
    assert not subscription.lost


def test_a_reader_that_falls_behind_too_far_has_to_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_table, "MAX_PENDING", 3)
    table = JobTable()
    subscription = table.subscribe()
    for number in range(4):
        table.put(record_of(job_status(f"job-{number}", State.QUEUED), f"job-{number}"))
    assert len(subscription.pending) == 3
    assert subscription.lost
