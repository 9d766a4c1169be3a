"""`python -m tests.prove.killed_process MODULE ...`: run a module of the product as `python -m MODULE ...` would, with kill points.

The file named by PROVE_PLAN says which process dies where (kill_points.Plan). The processes that the daemon starts get the same: workers
and the inspection are started through this module too, and workers make their results with the engine named by PROVE_SESSION, if any."""

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.prove.kill_points import UNKNOWN_STEP_STATUS, KillPoints, Plan

DAEMON: Final = "heygem_daemon"
WORKER: Final = "heygem_daemon.worker"
INSPECTION: Final = "heygem_daemon.intake.inspection"
PLAN_VARIABLE: Final = "PROVE_PLAN"
SESSION_VARIABLE: Final = "PROVE_SESSION"


def child_command(command: Sequence[str]) -> tuple[str, ...]:
    """Return the command line of a child of the daemon with kill points; that of any other program as it is."""
    words = list(command)
    if "-m" not in words or words[words.index("-m") + 1] not in {WORKER, INSPECTION}:
        return tuple(words)
    place = words.index("-m") + 1
    session = os.environ.get(SESSION_VARIABLE)
    if words[place] == WORKER and session:
        words += ["--session", session]
    words.insert(place, "tests.prove.killed_process")
    return tuple(words)


def _lead_children_here() -> None:
    from heygem_daemon import processes  # noqa: PLC0415 - not before the plan is read

    original: Any = processes.start

    def start(command: Sequence[str], **kwargs: Any) -> Any:
        return original(child_command(command), **kwargs)

    processes.start = start


def main() -> None:
    module, *arguments = sys.argv[1:]
    plan = Plan.read(Path(os.environ[PLAN_VARIABLE]))
    try:
        KillPoints(module, plan).install()
    except (ImportError, AttributeError, KeyError) as missing:
        sys.stderr.write(f"a step of the crash matrix does not exist: {missing!r}\n")
        sys.stderr.flush()
        os._exit(UNKNOWN_STEP_STATUS)
    if module == DAEMON:
        _lead_children_here()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
