"""People control a real daemon with files and commands: pause, hold, cancel, retry, the marker of the inbox."""

from pathlib import Path

from tests.e2e.site import Site


def test_a_job_is_held_cancelled_paused_and_retried(site: Site, speech: Path, portrait_clip: Path, faceless: Path) -> None:
    assert site.call("pause").returncode == 0
    daemon = site.start()
    site.drop("held", speech, [portrait_clip])
    (site.inbox / "held.hold").touch()
    site.drop("lesson-01", speech, [portrait_clip])
    site.drop("wrong", speech, [faceless])
    site.wait_for(lambda: "Paused" in (site.status("lesson-01").get("waiting_for") or ""), "the pause was not reported")
    assert "held.hold" in site.wait_for_state("held", "settling", "waiting")["reason"]
    assert not site.events("item_started")
    (site.inbox / "lesson-01.cancel").touch()
    site.wait_for_state("lesson-01", "cancelled")
    assert site.call("resume").returncode == 0
    site.wait_for_state("wrong", "failed")
    site.wait_for((site.inbox / "_failed" / "wrong").exists, "its inputs were not moved")
    assert site.call("retry", "nothing-of-this-name").returncode == 1
    assert site.call("retry", "wrong").returncode == 0
    site.wait_for(lambda: site.events("job_retried"), "the retry was not taken")
    site.wait_for(lambda: len(site.events("job_finished")) == 3, "it did not finish again")
    (site.inbox / "held.hold").unlink()
    site.wait_for_state("held", "succeeded")
    result = site.call("status", "--outputs", str(site.outputs))
    assert result.returncode == 0
    assert "held" in result.stdout
    assert site.stop(daemon) == 0


def test_a_second_daemon_on_the_same_state_is_refused(site: Site) -> None:
    daemon = site.start()
    site.wait_for(lambda: site.status().get("state") == "running", "the daemon did not come up")
    second = site.call("run")
    assert second.returncode == 1
    assert "another daemon" in second.stderr
    assert site.stop(daemon) == 0


def test_an_inbox_without_its_marker_is_offline_and_nothing_is_concluded(site: Site, speech: Path, portrait_clip: Path) -> None:
    (site.inbox / ".heygem-inbox").unlink()
    site.drop("lesson-01", speech, [portrait_clip])
    daemon = site.start()
    site.wait_for(lambda: site.events("inbox_offline"), "offline was not logged")
    site.wait_for(lambda: site.status().get("inboxes"), "the daemon wrote no status")
    assert site.status()["inboxes"][0]["online"] is False
    assert not (site.outputs / "lesson-01").exists()
    (site.inbox / ".heygem-inbox").touch()
    site.wait_for_state("lesson-01", "succeeded")
    assert site.stop(daemon) == 0
