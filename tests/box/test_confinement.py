"""Test what the hardened unit permits the service, while it works as everywhere else in these tests."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.box.box import FINISHED, Box
from tests.box.material import Material, copy

pytestmark = pytest.mark.box

CAP_LEASE = 1 << 28


@pytest.fixture(scope="module")
def at_work(box: Box, material: Material) -> Iterator[Box]:
    """The service in the middle of an item."""
    box.start()
    copy(material.drop("confined"), box.inbox / "confined")
    box.wait_for_event("item_started", "confined")
    yield box
    box.wait_for_state("confined", *FINISHED)


def processes(box: Box) -> list[str]:
    """Return the numbers of all processes of the service: the daemon, its workers, and what these started."""
    group = box.show("ControlGroup")["ControlGroup"]
    hierarchy = "systemd" if Path("/sys/fs/cgroup/systemd").is_dir() else "."
    return box.run("cat", f"/sys/fs/cgroup/{hierarchy}{group}/cgroup.procs").stdout.split()


def kernel_status(box: Box, pid: str) -> Mapping[str, str]:
    lines = box.run("cat", f"/proc/{pid}/status", check=False).stdout.splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def environment(box: Box, pid: str) -> Mapping[str, str]:
    words = box.run("cat", f"/proc/{pid}/environ", check=False).stdout.split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_no_process_of_the_service_is_root_or_can_become_it(at_work: Box) -> None:
    uid = at_work.run("id", "--user", "heygem").stdout.strip()
    looked_at = [status for pid in processes(at_work) if (status := kernel_status(at_work, pid))]
    assert len(looked_at) >= 2, "the daemon and its worker"
    for status in looked_at:
        assert set(status["Uid"].split()) == {uid} != {"0"}
        assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
        assert int(status["CapPrm"], 16) & ~CAP_LEASE == 0


def test_what_libraries_compile_at_run_time_would_lie_in_the_cache(at_work: Box) -> None:
    """Nothing has to be compiled for a job: librosa's filters are made without."""
    found = {environment(at_work, pid).get("NUMBA_CACHE_DIR") for pid in processes(at_work)}
    assert found - {None} == {"/var/cache/heygem/numba"}
    assert not list((at_work.folder / "cache").rglob("*.nbi"))


def test_nothing_was_written_but_state_cache_results_and_inboxes(at_work: Box) -> None:
    """Of the other file systems of the box, the program was made before its boot, and on the rest nothing is the service's."""
    assert at_work.run("find", "/opt/heygem", "-newer", "/run/systemd/system/box.target").stdout == ""
    uid = int(at_work.run("id", "--user", "heygem").stdout)
    disk = at_work.machine.written
    assert {path.relative_to(disk) for path in disk.rglob("*") if path.lstat().st_uid == uid and not path.is_dir()} == set()
    assert at_work.run("find", "/dev/shm", "/run", "-user", "heygem").stdout == ""


def test_the_program_and_the_system_are_read_only_for_the_service(at_work: Box) -> None:
    main = str(at_work.pid())
    for path in ("/opt/heygem/x", "/etc/heygem/x", "/usr/x", "/srv/x"):
        tried = at_work.run("nsenter", "--target", main, "--mount", "touch", path, check=False)
        assert "Read-only file system" in tried.stderr, path
    assert at_work.run("nsenter", "--target", main, "--mount", "ls", "/root", check=False).stdout == ""
