"""Read what this process may use of the machine: cores, memory, cards. Limits of a container or a service count (cgroups, version 1 and 2).

Reading costs some 100 us and never raises: where the system gives no answer, a limit counts as absent.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIB: Final = 2**20
_KIB: Final = 2**10
_UNLIMITED: Final = 2**60
"""bytes. Version 1 writes "no limit" as a number near 2**63."""
_CARD_SECONDS: Final = 10.0
"""s that nvidia-smi may take; without persistence mode it starts the driver first, which takes 1 to 3 s."""
_CARD_QUERY: Final = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """cores: CPU cores that the process may use at once. memory_bytes: all memory that it may use, with whatever else uses it.
    card_bytes: memory of each card, in the order of their numbers, 0 where it is not known."""

    cores: int
    memory_bytes: int
    card_bytes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Roots:
    """Where the files of the kernel are: tests give others."""

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")


SYSTEM: Final = Roots()


def read_machine(*, with_cards: bool, roots: Roots = SYSTEM) -> Machine:
    """Return what can be used. with_cards: also ask for the cards, which starts nvidia-smi where there is one."""
    return Machine(cores=usable_cores(roots), memory_bytes=memory_limit(roots), card_bytes=card_memory(roots) if with_cards else ())


def usable_cores(roots: Roots = SYSTEM) -> int:
    """Return on how many cores this process may run at once: its affinity, and the CPU quota of its cgroups, rounded up."""
    cores = len(os.sched_getaffinity(0))
    quotas = [*_quotas(roots)]
    return max(min([cores, *quotas]), 1)


def memory_limit(roots: Roots = SYSTEM) -> int:
    """Return the bytes of memory that this process may use at most: those of the machine, or of its cgroups where they have less."""
    return min([_meminfo(roots, "MemTotal"), *(limit for limit, _ in _cgroup_memory(roots))])


def memory_available(roots: Roots = SYSTEM) -> int:
    """Return the bytes of memory that could be used now without swapping, in the machine and within the limits of the cgroups."""
    return min([_meminfo(roots, "MemAvailable"), *(max(limit - used, 0) for limit, used in _cgroup_memory(roots))])


def killed_for_memory(roots: Roots = SYSTEM) -> int:
    """Return how many processes the kernel has ended so far as memory ran out, in the machine and in the cgroups of this process."""
    events = sum(_statistic(folder / "memory.events", "oom_kill") for folder in _folders(roots, "memory"))
    return events + _statistic(roots.proc / "vmstat", "oom_kill")


def process_namespace(roots: Roots = SYSTEM) -> str:
    """Return what two processes have in common that know each other by the same numbers: this start of the system, and the namespace of
    processes (pid_namespaces(7)); "" where that cannot be found out."""
    try:
        boot = (roots.proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(roots.proc / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def process_start(pid: int, roots: Roots = SYSTEM) -> int:
    """Return when a process began, in clock ticks since the start of the system (proc_pid_stat(5), field 22); 0 where it is not there, or
    has ended and its parent has not taken note."""
    fields = _text(roots.proc / str(pid) / "stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[0] not in {"Z", "X"} else 0


def card_memory(roots: Roots = SYSTEM, query: Callable[[], str] | None = None) -> tuple[int, ...]:
    """Return the bytes of memory of each NVIDIA card, 0 for one whose memory cannot be asked for; () without a card."""
    cards = _names(roots.proc / "driver/nvidia/gpus")
    if not cards:
        return ()
    sizes = [int(line) * MIB for line in (query or _ask_cards)().splitlines() if line.strip().isdigit()]
    return tuple(sizes) if len(sizes) == len(cards) else (0,) * len(cards)


def _ask_cards() -> str:
    """Ask in a process of its own: a broken driver may crash or hang whoever loads it."""
    try:
        return subprocess.run(_CARD_QUERY, capture_output=True, text=True, timeout=_CARD_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _meminfo(roots: Roots, key: str) -> int:
    for line in _text(roots.proc / "meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * _KIB
    return _UNLIMITED


def _quotas(roots: Roots) -> Iterator[int]:
    """Yield the CPU quota of each cgroup above this process, in cores, rounded up."""
    for folder in _folders(roots, "cpu"):
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period):
            yield -(-int(quota) // int(period))


def _cgroup_memory(roots: Roots) -> Iterator[tuple[int, int]]:
    """Yield (limit, used) in bytes of each cgroup with a limit; files that the kernel may drop from its cache do not count as used."""
    for folder in _folders(roots, "memory"):
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            value = _text(folder / limit).strip()
            if value.isdigit() and int(value) < _UNLIMITED:
                yield int(value), max(_number(folder / used) - _statistic(folder / "memory.stat", cached), 0)


def _folders(roots: Roots, controller: str) -> Iterator[Path]:
    """Yield the folder of this process's cgroup for `controller` and of those above it, the root's last."""
    for line in _text(roots.proc / "self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = roots.cgroup / controllers if controllers else roots.cgroup
        here = Path(path.lstrip("/"))
        yield from (top / part for part in (here, *here.parents))


def _statistic(path: Path, key: str) -> int:
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.isdigit():
            return int(value)
    return 0


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if text.isdigit() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
