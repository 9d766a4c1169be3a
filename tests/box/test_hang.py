"""A tick that hangs: the daemon's thread is stuck in the kernel, where no signal reaches it."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.box.box import UNIT, Box
from tests.box.far import FarFolder
from tests.box.material import Material, copy

pytestmark = pytest.mark.box


@pytest.fixture
def far(box: Box) -> Iterator[FarFolder]:
    """Outputs on another computer: a system call on them never returns while that computer is frozen."""
    far = FarFolder(box=box)
    box.run("systemctl", "stop", UNIT)
    far.serve()
    far.mount()
    with box.drop_in("60-hang", f"Environment=HEYGEM_OUTPUTS={far.mounted}", "TimeoutStopSec=3"):
        box.start()
        yield far
        far.thaw()
        box.run("systemctl", "stop", UNIT)
    far.close()


def test_a_tick_that_hangs_is_ended_with_its_stack_and_the_job_is_finished_after_all(
    box: Box, far: FarFolder, material: Material, measurement: Callable[[str], None]
) -> None:
    main, began = box.pid(), time.time()
    copy(material.drop("stuck"), box.inbox / "stuck")
    box.wait_for_event("item_started", "stuck")
    far.freeze()
    frozen = time.time()
    box.until(lambda: box.pid() != main, 60, "the hung daemon was not ended")
    measurement(f"a hung tick ended after {time.time() - frozen:.1f} s (WatchdogSec=5, TimeoutStopSec=3)")
    assert [entry for entry in box.journal(f"UNIT={UNIT}", after=began) if entry.get("UNIT_RESULT") == "watchdog"], box.diagnosis()
    logged = "\n".join(str(entry["MESSAGE"]) for entry in box.journal(f"_SYSTEMD_UNIT={UNIT}", after=frozen))
    assert "Timeout (" in logged
    assert "daemon/main_loop.py" in logged, "the journal does not show where it hung"

    far.thaw()
    box.until(lambda: box.show("ActiveState")["ActiveState"] == "active", 60, "it did not come back")
    box.wait_for_event("job_finished", "stuck", timeout=120)
    assert {path.name for path in (far.outside / "stuck").glob("*.mp4")} == {"teacher.mp4"}
    assert len(box.events("item_published", "HEYGEM_JOB=stuck")) == 1
