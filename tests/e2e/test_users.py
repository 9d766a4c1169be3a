"""Two users of one share, told apart by a real daemon: what one asks of the other's job is refused, and limits hold for each."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import Site, kill

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of several users")

AMY, BEN = 61001, 61002
RULES = '[users]\ncancel = "owner"\nhold = "owner"\npause = "admin"\nhighest_priority = 10\nwaiting_drops = 2\n'


@pytest.fixture
def shared(tmp_path: Path, weights: Path, learned: Path) -> Iterator[Site]:
    with Site(folder=tmp_path / "site", weights=weights, cache=learned, settings=RULES) as made:
        yield made


def give(path: Path, uid: int) -> Path:
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, uid)
    return path


def drop(site: Site, name: str, uid: int, speech: Path, video: Path, priority: int = 0) -> None:
    """Drop as a user: the folder has its owner before the daemon can see it."""
    files = {"job.toml": f'priority = {priority}\nowner = "amy"\n'}
    give(site.drop(f".{name}", speech, [video], files), uid).rename(site.inbox / name)


def put(site: Site, name: str, uid: int) -> Path:
    temporary = site.inbox / ".control.tmp"
    temporary.touch()
    return give(temporary, uid).rename(site.inbox / name)


@pytest.mark.slow  # tests/daemon/test_users.py has each of them
def test_two_users_of_a_share(shared: Site, speech: Path, faceless: Path) -> None:
    site = shared
    put(site, "PAUSE", 0)
    daemon = site.start()
    for number in range(2):
        drop(site, f"amy-{number}", AMY, speech, faceless)
        site.wait_for(lambda number=number: len(site.events("job_queued")) > number, "it was not taken")  # type: ignore[misc]
    drop(site, "amy-2", AMY, speech, faceless)
    drop(site, "ben", BEN, speech, faceless, priority=90)
    site.wait_for(lambda: len(site.events("job_queued")) == 3, "the drops were not taken")
    site.wait_for(lambda: site.status("amy-2").get("waiting_for") == "limit", "the third drop did not wait")
    assert site.status("amy-2")["reason"] == "You have 2 drops waiting; this one is taken when one of them is done"
    assert (site.inbox / "amy-2" / "speech.wav").exists()
    site.wait_for(lambda: [site.status(name).get("position") for name in ("ben", "amy-0", "amy-1")] == [1, 2, 3], "the places are wrong")
    ben = site.status("ben")
    assert (ben["priority"], [each["code"] for each in ben["warnings"]]) == (10, ["priority_lowered"])

    file = put(site, "amy-0.cancel", BEN)
    site.wait_for(lambda: site.events("control_refused"), "it was not refused")
    assert not file.exists()
    site.wait_for(lambda: site.status("amy-0")["warnings"], "the refusal was not shown")
    assert site.status("amy-0")["state"] != "cancelled"
    kill(daemon.pid)
    daemon.wait(30)
    site.start()
    put(site, f"{site.status('amy-0')['job']}.cancel", BEN)
    site.wait_for(lambda: len(site.events("control_refused")) == 2, "it was not refused after a restart")
    put(site, "amy-0.cancel", AMY)
    site.wait_for_state("amy-0", "cancelled")
    site.wait_for(lambda: len(site.events("job_queued")) == 4, "the third drop did not come in")
    assert not site.events("tick_failed")
