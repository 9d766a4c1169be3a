"""Whatever dies, hangs or is switched off in the middle of an item: every job ends finished, exactly once."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.box.box import UNIT, Box
from tests.box.material import Material, copy

pytestmark = pytest.mark.box


def drop(box: Box, material: Material, name: str) -> None:
    """Copy a drop of two videos into the inbox."""
    copy(material.drop(name, ["teacher-a", "teacher-b"]), box.inbox / name)


def begin(box: Box, material: Material, name: str) -> None:
    """Drop something and return in the middle of its first item."""
    drop(box, material, name)
    box.wait_for_event("item_started", name)


def assert_finished_once(box: Box, name: str) -> None:
    status = box.wait_for_state(name, "succeeded", "partial", "failed", "rejected", timeout=240)
    assert status["state"] == "succeeded", box.diagnosis(name)
    items = {item["key"] for item in status["items"]}
    assert items == {"teacher-a", "teacher-b"}
    assert {path.stem for path in (box.outputs / name).glob("*.mp4")} == items
    box.until(lambda: box.events("job_finished", f"HEYGEM_JOB={name}"), 15, "the end of the job was not logged", name)
    published = Counter(entry["HEYGEM_ITEM"] for entry in box.events("item_published", f"HEYGEM_JOB={name}"))
    assert published == dict.fromkeys(items, 1)
    assert len(box.events("job_finished", f"HEYGEM_JOB={name}")) == 1
    assert len(box.events("drop_claimed", f"HEYGEM_JOB={name}")) == 1
    box.until((box.inbox / "_done" / name / "speech.wav").is_file, 15, "the inputs were not archived", name)
    assert not (box.inbox / ".heygem" / "claimed" / status["job"]).exists()
    shown = box.run("runuser", "-u", "heygem", "--", "/opt/heygem/venv/bin/heygem", "status", status["job"], "--json")
    assert json.loads(shown.stdout)["state"] == "succeeded"


def assert_nothing_is_left(box: Box) -> None:
    """Once everything has ended, neither inputs nor half results lie about."""
    staging = box.outputs / ".heygem" / "staging"
    box.until(lambda: not list(staging.iterdir()), 10, "something stayed in staging")
    assert not list((box.inbox / ".heygem" / "claimed").iterdir())
    assert {path.name for path in box.inbox.iterdir() if not path.name.startswith((".", "_"))} == set()


def workers(box: Box) -> list[int]:
    return [int(pid) for pid in box.run("pgrep", "--full", "heygem_daemon.worker", check=False).stdout.split()]


def wait_for_restart(box: Box, main: int) -> None:
    def is_up_again() -> bool:
        shown = box.show("ActiveState", "MainPID")
        return shown["ActiveState"] == "active" and int(shown["MainPID"]) not in {0, main}

    box.until(is_up_again, 40, "systemd did not start it again")


def test_a_killed_daemon_is_started_again_and_goes_on(service: Box, material: Material) -> None:
    begin(service, material, "daemon-killed")
    main, before = service.pid(), workers(service)
    service.signal(main, "KILL")
    wait_for_restart(service, main)
    assert not set(before) & set(workers(service)), "a worker of the dead daemon still runs"
    assert_finished_once(service, "daemon-killed")
    assert_nothing_is_left(service)


def test_a_killed_worker_costs_one_attempt(service: Box, material: Material) -> None:
    main = service.pid()
    begin(service, material, "worker-killed")
    for worker in workers(service):
        service.signal(worker, "KILL")
    assert_finished_once(service, "worker-killed")
    assert service.pid() == main
    retried = service.events("item_retrying", "HEYGEM_JOB=worker-killed")
    assert [entry["HEYGEM_ERROR_CODE"] for entry in retried] == ["worker_died"]


def test_a_daemon_that_hangs_is_restarted_by_the_watchdog(service: Box, material: Material, measurement: Callable[[str], None]) -> None:
    begin(service, material, "daemon-hung")
    main, began = service.pid(), time.time()
    service.signal(main, "STOP")
    wait_for_restart(service, main)
    ended = [entry for entry in service.journal(f"UNIT={UNIT}", after=began) if entry.get("UNIT_RESULT") == "watchdog"]
    assert len(ended) == 1, service.diagnosis()
    assert_finished_once(service, "daemon-hung")


def test_a_worker_that_takes_too_much_memory_is_killed_and_the_daemon_lives(service: Box, material: Material) -> None:
    if not Path("/sys/fs/cgroup/memory").is_dir():
        pytest.skip("no memory controller of version 1: a limit would not be enforced here")
    service.run("systemctl", "stop", UNIT)
    with service.drop_in("60-memory", "MemoryMax=250M"):
        service.start()
        main, began = service.pid(), time.time()
        drop(service, material, "memory")
        service.until(lambda: service.events("worker_died", after=began), 90, "the kernel killed no worker")
        service.run("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=infinity")
        assert_finished_once(service, "memory")
        assert service.pid() == main


def test_an_item_that_runs_at_a_stop_is_finished_after_the_next_start(service: Box, material: Material) -> None:
    begin(service, material, "stopped")
    service.run("systemctl", "stop", UNIT)
    assert service.show("Result")["Result"] == "success"
    assert sorted(item["state"] for item in service.status("stopped")["items"]) == ["interrupted", "queued"]
    assert not workers(service)
    service.start()
    assert_finished_once(service, "stopped")
    assert {item["attempt"] for item in service.status("stopped")["items"]} == {1}


def test_after_a_power_cut_everything_goes_on(service: Box, material: Material) -> None:
    begin(service, material, "power-cut")
    drop(service, material, "just-arrived")
    service.machine.cut_power()
    service.machine.boot()
    service.start()
    assert_finished_once(service, "power-cut")
    assert_finished_once(service, "just-arrived")
    assert_nothing_is_left(service)
