"""The product's command line with a worker whose session publishes a film that is ready: everything else is real, the worker process too.

python -m tests.prove.instant_engine run --config heygem.toml      with PROVE_FILM = the film
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from heygem_daemon.cli import main
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.settings import Settings
from heygem_daemon.wiring import adapters, config_mapping
from heygem_daemon.worker.loop import OnStep
from tests.e2e.site import Site

FILM: Final = "PROVE_FILM"
REPORT: Final = {"frames": 10, "frame_rate": "10", "seconds": 1.0, "width": 64, "height": 64, "speed": 100.0, "engine": "rewrite"}
"""What make_film of tests/daemon/doubles.py writes."""
SESSION: Final = "tests.prove.instant_engine:InstantSession"


class InstantSession:
    """Takes no time. `options` are those of the worker, which are not needed here."""

    def __init__(self, options: object = None) -> None:
        self._film = Path(os.environ[FILM])

    def device(self) -> str:
        return "instant"

    def models(self) -> Mapping[str, str]:
        return {}

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        on_step("render", 1, 1)
        shutil.copyfile(self._film, order.output)
        return REPORT


@dataclass(kw_only=True)
class InstantSite(Site):
    """A Site whose daemon has the instant engine, and scans as seldom as the product does where nothing is said."""

    film: Path

    def __enter__(self) -> Self:
        super().__enter__()
        config = self.folder / "heygem.toml"
        config.write_text(config.read_text(encoding="utf-8").replace("scan_seconds = 0.5\n", ""), encoding="utf-8")
        return self

    def command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "tests.prove.instant_engine", *arguments, "--config", str(self.folder / "heygem.toml"))

    def environment(self, inherited: Mapping[str, str]) -> Mapping[str, str]:
        """Return the environment in which the daemon is to be started."""
        return {**inherited, FILM: str(self.film)}


def worker_commands(settings: Settings, threads: int) -> Callable[[str, str], tuple[str, ...]]:
    """Return the product's command lines, with the session of this module."""
    command = config_mapping.worker_commands(settings, threads)
    return lambda name, device: (*command(name, device), "--session", SESSION)


if __name__ == "__main__":
    setattr(adapters, "worker_commands", worker_commands)  # noqa: B010 - the one thing that differs from the product
    main()
