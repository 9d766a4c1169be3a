"""A real daemon or its worker is killed or stopped in the middle of an item: nothing is lost, nothing is done twice."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.site import Site, children_of, is_running, kill


def test_kill_nine_in_the_middle_of_an_item_loses_nothing_and_does_nothing_twice(site: Site, speech: Path, portrait_clip: Path) -> None:
    second = site.folder / "second.mp4"
    shutil.copyfile(portrait_clip, second)
    site.drop("lesson-01", speech, [portrait_clip, second])
    site.drop("lesson-02", speech, [portrait_clip])
    daemon = site.start()
    site.wait_for(lambda: site.events("item_published"), "nothing was published")
    site.wait_for(lambda: len(site.events("item_started")) == 2, "the second item did not start")
    workers = children_of(daemon.pid)
    daemon.send_signal(signal.SIGKILL)
    shown = site.call("status", "--outputs", str(site.outputs))  # at once, and before its parent takes note of its end
    assert (shown.returncode, "heygem is not running" in shown.stdout) == (1, True)
    daemon.wait(60)
    site.wait_for(lambda: not any(map(is_running, workers)), "a worker stayed")

    assert site.run_until_idle() == 0
    assert site.status("lesson-01")["state"] == site.status("lesson-02")["state"] == "succeeded"
    started = [(event["job"], event["item"]) for event in site.events("item_started")]
    assert len(started) == 4, "three items, one of them interrupted once"
    assert len(site.events("item_published")) == 3
    assert sorted(path.name for path in (site.inbox / "_done").iterdir()) == ["lesson-01", "lesson-02"]
    assert not list((site.outputs / ".heygem" / "staging").iterdir())


@pytest.mark.slow  # tests/executors/test_local.py and tests/prove/test_sickness.py kill workers too
def test_a_killed_worker_costs_an_attempt_and_nothing_else(site: Site, speech: Path, portrait_clip: Path) -> None:
    site.drop("lesson-01", speech, [portrait_clip])
    daemon = site.start()
    site.wait_for(lambda: site.events("item_started"), "no item started")
    for pid in children_of(daemon.pid):
        kill(pid)
    status = site.wait_for_state("lesson-01", "succeeded")
    assert status["items"][0]["attempt"] == 2
    assert [event["error_code"] for event in site.events("item_retrying")] == ["worker_died"]
    assert site.stop(daemon) == 0


@pytest.mark.slow  # tests/daemon/test_daemon.py has it too; the kill above is harder
def test_an_orderly_stop_gives_the_item_back_and_the_next_start_finishes_it(site: Site, speech: Path, portrait_clip: Path) -> None:
    site.drop("lesson-01", speech, [portrait_clip])
    daemon = site.start()
    site.wait_for(lambda: site.events("item_started"), "no item started")
    assert site.stop(daemon) == 0
    assert site.status("lesson-01")["state"] == "interrupted"
    assert site.status()["state"] == "stopped"
    assert site.call("status", "--outputs", str(site.outputs)).returncode == 1
    assert site.run_until_idle() == 0
    assert site.status("lesson-01")["items"][0]["attempt"] == 1
