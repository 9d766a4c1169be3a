"""Find what grows in a process that works for weeks: memory, handles, threads, files, and every container that belongs to the daemon."""

import gc
import os
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sized
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Final

PACKAGE: Final = "heygem_daemon"
_CONTAINERS: Final = (dict, list, set, frozenset, deque)


def containers(root: object) -> dict[str, int]:
    """Return the length of all containers that can be reached from an object over the attributes of objects of the package, by the way
    there; the containers inside of a container count by their number only."""
    lengths: Counter[str] = Counter()
    for way, length in _containers(root, type(root).__name__, set()):
        lengths[way] += length
    return lengths


def _containers(found: object, way: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    if id(found) in seen or isinstance(found, type | ModuleType | Enum):
        return
    seen.add(id(found))
    if isinstance(found, _CONTAINERS):
        assert isinstance(found, Sized)
        yield way, len(found)
        values = list(found.values()) if isinstance(found, Mapping) else list(found)
        for value in values:
            if type(value).__module__.startswith(PACKAGE) and not _is_value(value):
                yield from _containers(value, f"{way}[{type(value).__name__}]", seen)
    elif type(found).__module__.startswith((PACKAGE, "tests.")):
        for name, value in sorted(_attributes(found).items()):
            yield from _containers(value, f"{way}.{name}", seen)


def _attributes(found: object) -> dict[str, object]:
    slots = [
        name
        for kind in type(found).__mro__
        for name in getattr(kind, "__slots__", ())
        if not name.startswith("__") and hasattr(found, name)
    ]
    return {name: getattr(found, name) for name in slots} | getattr(found, "__dict__", {})


def _is_value(found: object) -> bool:
    """Whether an object is a frozen dataclass: a job, a scan; there are as many as their container holds."""
    parameters = getattr(type(found), "__dataclass_params__", None)
    return bool(parameters and parameters.frozen)


def open_handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    return threading.active_count()


def objects() -> int:
    """Return how many objects the collector follows, after a collection; also those that it was to leave out so far."""
    gc.unfreeze()
    gc.collect()
    return len(gc.get_objects())


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used itself, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
