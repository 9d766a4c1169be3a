"""What `[users]` lets people do holds on the page too; its administrators are exempt."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.users import Who
from heygem_daemon.settings import Settings, Users
from heygem_daemon.web.app import create_app
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.user_rights import highest_priority, may_ask
from tests.web.serving import serving
from tests.web.site import Daemon, job_id, job_status, until
from tests.web.uploading import Uploading

JOBS = "/api/v1/jobs"
ANNA, MANAGER = {"X-User": "anna"}, {"X-User": "manager"}
KINDS = ("cancel", "hold", "resume", "retry", "priority")
STRICT = Users(cancel=Who.ADMIN, hold=Who.ADMIN, retry=Who.ADMIN, prioritize=Who.ADMIN, highest_priority=20)


@pytest.fixture
def rules() -> Users:
    return STRICT


@pytest.fixture
def people(settings: Settings, rules: Users) -> Iterator[httpx.Client]:
    """A client of a page with users and rules for them."""
    web = settings.web.model_copy(update={"proxy_header": "X-User", "admins": ("manager",)})
    app = create_app(settings.model_copy(update={"web": web, "users": rules}))
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def ask(client: httpx.Client, name: str, kind: str, who: dict[str, str], priority: int = 10) -> httpx.Response:
    if kind == "priority":
        return client.put(f"{JOBS}/{job_id(name)}/priority", headers=who, json={"priority": priority})
    return client.post(f"{JOBS}/{job_id(name)}/{kind}", headers=who)


def seen(client: httpx.Client, name: str) -> Any:
    until(lambda: client.get(f"{JOBS}/{job_id(name)}", headers=ANNA).status_code == 200)
    return client.get(f"{JOBS}/{job_id(name)}", headers=ANNA).json()["entry"]


def test_what_only_administrators_may_is_neither_offered_to_users_nor_done(daemon: Daemon, people: httpx.Client, inbox: Path) -> None:
    daemon.write(
        job_status("lesson", State.RUNNING, owner="anna", inbox=str(inbox)),
        job_status("over", State.FAILED, owner="anna", inbox=str(inbox)),
    )
    before = set(inbox.iterdir())
    assert (seen(people, "lesson")["actions"], seen(people, "over")["actions"]) == ([], [])
    answers = [ask(people, "over" if kind == "retry" else "lesson", kind, ANNA) for kind in KINDS]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(403, "administrator_only")] * 5
    assert people.post(f"{JOBS}/retry-failed", headers=ANNA).json() == {"requested": 0}
    assert set(inbox.iterdir()) == before
    assert [ask(people, "lesson", kind, MANAGER).status_code for kind in ("hold", "priority", "cancel")] == [202, 202, 202]
    assert ask(people, "over", "retry", MANAGER).status_code == 202


@pytest.mark.parametrize("rules", [Users(cancel=Who.OWNER, hold=Who.OWNER, retry=Who.OWNER, prioritize=Who.OWNER, highest_priority=20)])
def test_an_owner_may_on_the_page_what_owners_may(daemon: Daemon, people: httpx.Client, inbox: Path) -> None:
    daemon.write(job_status("lesson", State.RUNNING, owner="anna", inbox=str(inbox)))
    assert seen(people, "lesson")["actions"] == ["cancel", "hold", "priority"]
    assert [ask(people, "lesson", kind, ANNA).status_code for kind in ("hold", "cancel")] == [202, 202]
    assert ask(people, "lesson", "priority", ANNA, 90).status_code == 202
    assert (inbox / f"{job_id('lesson')}.priority").read_text() == "20\n"
    assert ask(people, "lesson", "priority", MANAGER, 90).status_code == 202
    assert (inbox / f"{job_id('lesson')}.priority").read_text() == "90\n"


def test_a_new_job_gets_the_highest_priority_that_its_user_may_give(people: httpx.Client, inbox: Path) -> None:
    assert people.get("/api/v1/options", headers=ANNA).json()["highest_priority"] == 20
    assert people.get("/api/v1/options", headers=MANAGER).json()["highest_priority"] == 100
    for who, name, given in ((ANNA, "annas", 20), (MANAGER, "managers", 90)):
        people.headers.update(who)
        uploading = Uploading(people)
        draft = uploading.draft()
        uploading.put(draft, "speech.wav", b"audio", "recording")
        uploading.put(draft, "a.mp4", b"video")
        answer = uploading.job(draft=draft, name=name, options={"priority": 90})
        assert answer.status_code == 201, answer.text
        assert tomllib.loads((inbox / name / "job.toml").read_text(encoding="utf-8"))["priority"] == given


def test_the_priority_of_an_inbox_is_never_too_high_on_the_page(settings: Settings) -> None:
    anna = Caller(name="anna", is_admin=False)
    urgent = settings.inboxes[0].model_copy(update={"priority": 60})
    changed = settings.model_copy(update={"users": STRICT, "inboxes": (urgent, *settings.inboxes[1:])})
    assert highest_priority(anna, changed, urgent.path) == 60
    assert highest_priority(anna, changed, settings.inboxes[1].path) == 20
    assert highest_priority(anna, changed, None) == 60
    assert highest_priority(Caller(), changed, None) == 100


@pytest.mark.parametrize("kind", KINDS)
def test_by_default_users_may_do_everything_with_their_own_jobs(settings: Settings, kind: str) -> None:
    assert may_ask(Caller(name="anna", is_admin=False), settings, kind)
    assert may_ask(Caller(), settings.model_copy(update={"users": STRICT}), kind)
