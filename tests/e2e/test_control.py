"""People control a real daemon with files and commands: pause, hold, cancel, retry, the marker of the inbox."""

import json
from pathlib import Path

import pytest

from heygem_daemon.core.names import JOB_LOG
from tests.e2e.site import Site, kill


@pytest.mark.slow  # tests/daemon/test_control_files.py has each of them, tests/cli/test_cli.py the commands
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


@pytest.mark.slow  # tests/wiring/test_instance_lock.py has each of them
def test_a_second_daemon_on_the_same_state_is_refused(site: Site) -> None:
    daemon = site.start()
    site.wait_for(lambda: site.status().get("state") == "running", "the daemon did not come up")
    second = site.call("run")
    assert second.returncode == 1
    assert "another daemon" in second.stderr
    assert site.stop(daemon) == 0


@pytest.mark.slow  # tests/daemon/test_daemon.py and tests/intake/test_scanner.py have an inbox without its marker
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


@pytest.mark.slow  # tests/daemon/test_control_files.py has each of them
def test_control_files_by_name_and_by_id_reach_the_ledger_and_survive_a_restart(
    site: Site, speech: Path, portrait_clip: Path, faceless: Path
) -> None:
    """The daemon is killed in the middle: what lies in the inbox and in the ledger is all that it needs."""
    assert site.call("pause").returncode == 0
    daemon = site.start()
    site.drop("wrong", speech, [faceless], {"job.toml": 'owner = "amy"\nreference = "order-7"\n'})
    site.drop("low", speech, [portrait_clip])
    site.drop("high", speech, [portrait_clip])
    site.wait_for(lambda: len(site.events("job_queued")) == 3, "the drops were not taken")
    high, low, wrong = (str(site.status(name)["job"]) for name in ("high", "low", "wrong"))
    (site.inbox / f"{high}.priority").write_text("50", encoding="utf-8")
    (site.inbox / f"{low}.hold").touch()
    site.wait_for(lambda: site.status("high").get("priority") == 50, "the priority was not taken")
    site.wait_for(lambda: site.status("low").get("waiting_for") == f"Held back by {low}.hold", "the job was not held")
    kill(daemon.pid)
    daemon.wait(30)
    (site.inbox / "PAUSE").unlink()
    (site.inbox / "wrong.priority").write_text("99", encoding="utf-8")
    daemon = site.start()
    failed = site.wait_for_state("wrong", "failed")
    assert (failed["owner"], failed["reference"], failed["inbox"]) == ("amy", "order-7", str(site.inbox))
    site.wait_for((site.inbox / "_failed" / "wrong").exists, "its inputs were not moved")
    (site.inbox / f"{wrong}.retry").touch()
    site.wait_for(lambda: site.events("job_retried"), "the retry was not taken")
    site.wait_for_state("high", "succeeded")
    site.wait_for(lambda: len([line for line in site.events("job_finished") if line["job"] == "wrong"]) == 2, "it did not end again")
    assert [line["job"] for line in site.events("item_started")[:2]] == ["wrong", "high"]
    assert site.status("low")["state"] == "waiting"
    (site.inbox / f"{low}.resume").touch()
    site.wait_for_state("low", "succeeded")
    assert site.stop(daemon) == 0
    log = [json.loads(line) for line in (site.outputs / "low" / JOB_LOG).read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in log if line["event"] in {"job_held", "job_released", "job_finished"}] == [
        "job_held",
        "job_released",
        "job_finished",
    ]
    assert [name for name in sorted(site.inbox.iterdir()) if name.suffix in {".hold", ".resume", ".retry", ".priority"}] == []
