"""An inbox on another computer: drops in it are found, and a share that is unmounted or frozen is not an empty one."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.box.box import UNIT, Box
from tests.box.far import FarFolder
from tests.box.material import Material, copy

pytestmark = pytest.mark.box

SCAN = 1.0
ANSWER = 2.0
"""`intake.network_scan_seconds` and `intake.answer_seconds` in the box."""


@pytest.fixture(scope="module")
def far(box: Box) -> Iterator[FarFolder]:
    """A second inbox, served by another computer, mounted before the service starts."""
    far = FarFolder(box=box)
    (far.outside / ".heygem-inbox").touch()
    box.run("systemctl", "stop", UNIT)
    far.serve()
    far.mount()
    inboxes = f'["/srv/heygem/inbox", "{far.mounted}"]'.replace('"', '\\"')
    with box.drop_in("60-far", f'Environment="HEYGEM_INBOXES={inboxes}"'):
        yield far
        box.run("systemctl", "stop", UNIT)
    far.close()


def is_online(box: Box, inbox: str) -> bool:
    return any(each["path"] == inbox and each["online"] for each in box.status().get("inboxes", ()))


def lay_complete(drop: Path, inbox: Path) -> None:
    """Copy a drop under a name that does not count, and give it its own name when it is complete."""
    copy(drop, inbox / f".{drop.name}")
    (inbox / f".{drop.name}").rename(inbox / drop.name)


def test_a_drop_on_a_far_inbox_is_found_by_polling(
    far: FarFolder, service: Box, material: Material, measurement: Callable[[str], None]
) -> None:
    service.until(lambda: is_online(service, far.mounted), 10, "the far inbox is not online")
    time.sleep(SCAN / 2)
    lay_complete(material.drop("far-away"), far.outside)
    laid = time.time()
    seen = int(service.wait_for_event("drop_seen", "far-away")["__REALTIME_TIMESTAMP"]) / 1e6 - laid
    measurement(f"a drop on a far inbox, seen after {seen:.1f} s (looked at every {SCAN:.0f} s)")
    assert seen < SCAN + 0.7
    service.wait_for_state("far-away", "succeeded", timeout=120)
    assert service.events("inbox_online", f"HEYGEM_INBOX={far.mounted}")[-1]["HEYGEM_NETWORK"] == "True"
    service.until((far.outside / "_done" / "far-away" / "speech.wav").is_file, 15, "the inputs were not archived", "far-away")


def test_nothing_is_concluded_from_a_far_inbox_that_was_unmounted(far: FarFolder, service: Box, material: Material) -> None:
    service.until(lambda: is_online(service, far.mounted), 10, "the far inbox is not online")
    (far.outside / "unmounted.hold").touch()
    lay_complete(material.drop("unmounted"), far.outside)
    lay_complete(material.drop("in-the-queue"), far.outside)
    service.wait_for_event("item_started", "in-the-queue")
    service.wait_for_event("drop_seen", "unmounted")
    far.unmount()
    service.until(lambda: not is_online(service, far.mounted), 15, "the far inbox is still online")
    assert service.state("unmounted") in {"settling", "waiting"}
    time.sleep(2 * SCAN)
    (far.outside / "unmounted.hold").unlink()
    far.mount()
    service.until(lambda: is_online(service, far.mounted), 15, "the far inbox did not come back")
    for name in ("in-the-queue", "unmounted"):
        service.wait_for_state(name, "succeeded", timeout=150)
        service.until((far.outside / "_done" / name / "speech.wav").is_file, 15, "the inputs were not archived", name)
        assert len(service.events("item_published", f"HEYGEM_JOB={name}")) == 1
    assert not service.events("drop_withdrawn", "HEYGEM_JOB=unmounted")


def test_a_far_inbox_that_froze_blocks_no_other(
    far: FarFolder, service: Box, material: Material, measurement: Callable[[str], None]
) -> None:
    service.until(lambda: is_online(service, far.mounted), 10, "the far inbox is not online")
    main = service.pid()
    far.freeze()
    began = time.time()
    try:
        service.until(lambda: service.events("inbox_offline", after=began), 20, "the frozen inbox is still online")
        seconds = int(service.events("inbox_offline", after=began)[0]["__REALTIME_TIMESTAMP"]) / 1e6 - began
        measurement(f"a frozen far inbox is offline after {seconds:.1f} s (intake.answer_seconds = {ANSWER:.0f})")
        lay_complete(material.drop("meanwhile"), service.inbox)
        service.wait_for_state("meanwhile", "succeeded", timeout=120)
    finally:
        far.thaw()
    service.until(lambda: is_online(service, far.mounted), 20, "the thawed inbox did not come back")
    assert service.pid() == main, "the watchdog took a frozen share for a hung daemon"


def test_files_of_a_far_inbox_that_froze_during_their_inspection_block_no_other(far: FarFolder, service: Box, material: Material) -> None:
    service.until(lambda: is_online(service, far.mounted), 10, "the far inbox is not online")
    lay_complete(long_drop(material, "frozen-inside"), far.outside)
    looking = ("pgrep", "--full", "--count", f"ffmpeg .*{far.mounted}/frozen-inside/audios")
    service.until(lambda: service.run(*looking, check=False).stdout.strip() == "2", 30, "its recordings were not opened")
    far.freeze()
    try:
        lay_complete(material.drop("meanwhile-too"), service.inbox)
        service.wait_for_state("meanwhile-too", "succeeded", timeout=60)
    finally:
        (far.outside / "frozen-inside.cancel").touch()
        far.thaw()
    service.wait_for_state("frozen-inside", "cancelled", timeout=60)


def long_drop(material: Material, name: str) -> Path:
    """Make a drop with two recordings of 20 minutes of noise: to look into them takes seconds."""
    drop = material.drop(name)
    (drop / "speech.wav").unlink()
    (drop / "audios").mkdir()
    for each in ("one", "two"):
        noise = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anoisesrc=d=1200:a=0.1:r=44100", str(drop / "audios" / f"{each}.wav"))
        subprocess.run(noise, check=True, timeout=60)
    return drop
