"""A computer for tests, switched on and off (machine.sh): what runs in it, and how it is left without a trace on the host."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

SCRIPT: Final = Path(__file__).with_name("machine.sh")
CGROUP_PREFIX: Final = "heygem-box-"
BOOT_SECONDS: Final = 60.0
ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}


def wait_until(condition: Any, timeout: float, what: str, pause: float = 0.05) -> Any:
    """Return the first true value of `condition()`. Raises TimeoutError, saying `what` did not come."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout:g} s: {what}")
        time.sleep(pause)
    return found


@dataclass(kw_only=True)
class Machine:
    """Use as a context manager. Only what is bound into it, and what it wrote between two boots, outlasts a boot."""

    folder: Path
    """Where the disk is mounted, in a mount namespace of its own: the host sees an empty folder."""
    binds: Mapping[Path, str] = field(default_factory=dict)
    """Folder of the host -> where it appears."""
    layers: Sequence[Path] = ()
    """Folders of the host that appear at their own path, wherever that is; the host does not see what the box writes there."""
    boots: int = 0
    _disk: subprocess.Popen[bytes] | None = None
    _boot: subprocess.Popen[bytes] | None = None
    _first: int = 0
    _cgroups: list[Path] = field(default_factory=list)

    def __enter__(self) -> Self:
        _remove_stale_cgroups()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._disk = subprocess.Popen(_mortal("unshare", "--mount", "--propagation", "private", str(SCRIPT), "disk", str(self.folder)))
        made = Path(f"/proc/{self._disk.pid}/root{self.folder}/made")
        wait_until(made.exists, 10, "the disk of the box is not mounted", 0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()
        if self._disk is not None:
            self._disk.kill()
            self._disk.wait(10)

    # -- on and off -----------------------------------------------------------------------------------------------

    def boot(self, *, host_network: bool = False) -> None:
        """Switch on and return when systemd is up."""
        assert self._boot is None, "it is on already"
        assert self._disk is not None
        self.boots += 1
        self._cgroups = _make_cgroups(f"{CGROUP_PREFIX}{os.getpid()}-{self.boots}")
        options = [word for cgroup in self._cgroups for word in ("--cgroup", str(cgroup))]
        options += [word for source, target in self.binds.items() for word in ("--bind", f"{source}:{target}")]
        options += [word for folder in self.layers for word in ("--layer", str(folder))]
        options += ["--host-network"] if host_network else []
        command = _mortal("nsenter", "--target", str(self._disk.pid), "--mount", str(SCRIPT), "boot", str(self.folder), *options)
        with (self.folder.parent / "boot.log").open("ab") as log:
            self._boot = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._is_up, BOOT_SECONDS, "the box did not come up")
        except (TimeoutError, AssertionError):
            self.cut_power()
            raise

    def _is_up(self) -> bool:
        assert self._boot is not None
        assert self._boot.poll() is None, f"the box died at boot:\n{(self.folder.parent / 'boot.log').read_text()[-4000:]}"
        with suppress(OSError, ValueError):
            self._first = int(Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text())
            if Path(f"/proc/{self._first}/comm").read_text().strip() == "systemd":
                return self.run("systemctl", "is-active", "box.target", check=False).stdout.strip() == "active"
        return False

    def cut_power(self) -> None:
        """Kill process 1, and with it everything inside."""
        if self._boot is None:
            return
        if self._first:
            with suppress(ProcessLookupError):
                os.kill(self._first, signal.SIGKILL)
        else:
            self._boot.kill()
        self._gone(30)

    def shut_down(self) -> None:
        """Let systemd stop everything in order."""
        assert self._boot is not None
        os.kill(self._first, signal.SIGRTMIN + 4)
        self._gone(120)

    def _gone(self, timeout: float) -> None:
        assert self._boot is not None
        self._boot.wait(timeout)
        self._boot, self._first = None, 0
        for cgroup in reversed(self._cgroups):
            wait_until(lambda cgroup=cgroup: _removed(cgroup), 10, f"{cgroup} is still used")

    @property
    def written(self) -> Path:
        """What the box wrote over the files of the host, at their paths; without what is bound."""
        assert self._disk is not None
        return Path(f"/proc/{self._disk.pid}/root{self.folder}/upper")

    # -- inside ---------------------------------------------------------------------------------------------------

    def inside(self, *command: str, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Return the command line that runs `command` in the box, as root."""
        assert self._first, "the box is off"
        variables = {**ENVIRONMENT, **(environment or {})}
        words = (f"{name}={value}" for name, value in variables.items())
        return ("nsenter", "--target", str(self._first), "--all", "env", "--ignore-environment", *words, *command)

    def outside(self, *command: str) -> tuple[str, ...]:
        """Return the command line that runs `command` as on another computer of the box's network: with the files of the host."""
        assert self._first, "the box is off"
        return _mortal("nsenter", "--target", str(self._first), "--net", *command)

    def run(
        self, *command: str, check: bool = True, timeout: float = 60, environment: Mapping[str, str] | None = None, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` inside, with `text` as its input. Raises AssertionError with its words when it fails."""
        done = subprocess.run(
            self.inside(*command, environment=environment), check=False, capture_output=True, text=True, input=text or "", timeout=timeout
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done


def _mortal(*command: str) -> tuple[str, ...]:
    """A command that ends with this process, however that ends."""
    return ("setpriv", "--pdeathsig", "KILL", *command)


def _hierarchies() -> Sequence[Path]:
    """Return where this process stands in every cgroup hierarchy that is mounted here."""
    mounts: dict[str, Path] = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _device, point, kind, options, *_rest = line.split()
        if kind == "cgroup2":
            mounts[""] = Path(point)
        elif kind == "cgroup":
            mounts |= {option: Path(point) for option in options.split(",")}
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, names, path = line.split(":", 2)
        mount = next((mounts[name] for name in names.split(",") if name in mounts), None)
        if mount is not None and "cpuset" not in names:  # a new cpuset holds no processors, and takes no processes
            found.append(mount / path.lstrip("/"))
    return found


def _make_cgroups(name: str) -> list[Path]:
    made = [place / name for place in _hierarchies()]
    for cgroup in made:
        cgroup.mkdir()
    return made


def _removed(cgroup: Path) -> bool:
    for folder, _folders, _files in os.walk(cgroup, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106 - the kernel's files in it go with it
    return not cgroup.exists()


def _remove_stale_cgroups() -> None:
    """Remove what a run left that was killed."""
    for place in _hierarchies():
        for left in place.glob(f"{CGROUP_PREFIX}*"):
            if not Path(f"/proc/{left.name.removeprefix(CGROUP_PREFIX).split('-')[0]}").exists():
                _removed(left)
