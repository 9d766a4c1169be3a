"""Writes the lines that test_journal.py looks for; run beside a private journald, with the field HEYGEM_CASE to distinguish them."""

import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any, Final

from systemd import journal  # type: ignore[attr-defined]  # mypy takes the folder of the unit files for this package

from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.log import StructLog

SOCKET: Final = Path("/run/systemd/journal/socket")
JOB: Final = {"job_id": "20261123-004554-lesson-01-k3f9", "job": "lesson-01"}
THREADS, LINES_EACH = 8, 50
HUGE: Final = "a" + "x" * 100 * 1024 + "z"


def one_job(log: StructLog) -> None:
    log("item_started", level="debug", **JOB, item="teacher-a")
    log("item_rendered", **JOB, item="teacher-a", speed=0.7)
    log("item_published", **JOB, item="teacher-a", seconds=12.3)
    log("item_failed", level="error", **JOB, item="teacher-b", error_code="no_face", reason="There is no face.")
    log("job_finished", level="warning", **JOB, state="partial", succeeded=1, items=2)


def odd_values(log: StructLog) -> None:
    log("drop_seen", case="name", job=os.fsdecode(b"b\xffad\nname\x1b[31m \xe8\xaf\xbe"), inbox=Path("/in"))
    log("worker_output", case="huge", worker="w", line=HUGE)
    odd_names: dict[str, Any] = {"a-b.c é": 1, "n" * 80: [1, "课"]}
    log("swept", case="kinds", deleted={"inputs": 3, "staging": 0}, Mixed_case=True, **odd_names)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log("tick_failed", level="error", case="traceback", part="scan", exc_info=True)


def many_threads(log: StructLog) -> None:
    def work(number: int) -> None:
        for line in range(LINES_EACH):
            log("item_late", case="threads", token=f"{number}-{line}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def as_a_service() -> None:
    """Log as a unit does: standard error is a stream to the journal, and $JOURNAL_STREAM names it."""
    with journal.stream("heygem") as stream:
        found = os.fstat(stream.fileno())
        os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
        StructLog(stream=stream)("daemon_stopped", case="auto")


def main() -> None:
    log = StructLog(style="journal")
    one_job(log)
    odd_values(log)
    many_threads(log)
    as_a_service()
    for name in EVENTS:
        log(name, case="bare")
    log.set_level("debug")
    log("item_started", level="debug", case="level", **JOB, item="teacher-a")
    subprocess.run(("journalctl", "--sync"), check=True)
    SOCKET.unlink()
    log("daemon_stopping", case="absent", running=2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(SOCKET))
    log("daemon_stopped", case="dead")


if __name__ == "__main__":
    main()
