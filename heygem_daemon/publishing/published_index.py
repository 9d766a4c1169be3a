"""Index the published results of a job and the inputs they were made from: `.heygem.json`, hidden beside status.json.

An entry is written before the rename it describes, so it proves nothing alone: an item is published when the entry matches the file.
A crash between the two leaves an entry without its file (work is repeated), never a file without its entry.
"""

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from heygem_daemon.bounded_reading import is_file_in, read_file_in
from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.durable import write_durably

PUBLISHED: Final = ".heygem.json"
SCHEMA: Final = 1
_NOT_A_FILE: Final = [-1, 0]
"""The stamp of an input that is a link, a folder or a device by now: no file has it."""

Sources = Mapping[str, list[int] | None]
"""The inputs of an item by their paths in the drop, each with size and mtime_ns; None for one that cannot be read."""


def add(folder: Path, job: Job, item: Item, staged: Path, result: Mapping[str, Any], *, made_from: Sources) -> None:
    """Add the entry for `staged`, which is about to become the item's output in `folder` and was made from these inputs. Raises OSError."""
    found = staged.stat()
    entries = _entries(folder)
    entries[item.key] = {
        "job": job.id,
        "output": item.output,
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "sources": dict(made_from),
        "result": dict(result),
    }
    write_durably(folder / PUBLISHED, json.dumps({"schema": SCHEMA, "items": entries}, indent=1, default=str).encode())


def matching_result(folder: Path, job: Job, item: Item, inputs: Callable[[Item], Sources]) -> Mapping[str, Any] | None:
    """Return the result of the item's output in `folder` if file and inputs are the ones of its entry; else None.

    inputs: returns the inputs of an item as they are now; called only where the file matches."""
    return _matching(_entries(folder), folder, job, item, inputs)


def matching_results(folder: Path, job: Job, inputs: Callable[[Item], Sources]) -> dict[str, Mapping[str, Any]]:
    """Return the same of all items of a job for which there is one, by their keys; the index is read once."""
    entries = _entries(folder)
    found = {item.key: _matching(entries, folder, job, item, inputs) for item in job.items}
    return {key: result for key, result in found.items() if result is not None}


def _matching(
    entries: Mapping[str, Any], folder: Path, job: Job, item: Item, inputs: Callable[[Item], Sources]
) -> Mapping[str, Any] | None:
    entry = entries.get(item.key)
    if not isinstance(entry, dict) or entry.get("output") != item.output or entry.get("job") != job.id:
        return None
    try:
        found = (folder / item.output).lstat()
    except OSError:
        return None
    # A rename keeps the modification time: a file from elsewhere has another one.
    if (entry.get("size"), entry.get("mtime_ns")) != (found.st_size, found.st_mtime_ns):
        return None
    result = entry.get("result")
    return result if isinstance(result, dict) and _same_sources(entry.get("sources"), inputs(item)) else None


def missing_results(outputs: Path, job: Job) -> frozenset[str]:
    """Return the keys of the published items whose files are no longer in the job's folder; none while outputs cannot be reached."""
    try:
        outputs.stat()
        return frozenset(
            item.key for item in job.items if item.state is State.SUCCEEDED and not is_file_in(outputs / job.output, item.output)
        )
    except OSError:
        return frozenset()


def count(folder: Path, job_id: str) -> int:
    """Return how many results of this job the index of a folder has."""
    return sum(isinstance(entry, dict) and entry.get("job") == job_id for entry in _entries(folder).values())


def changed_source(before: Sources, now: Sources) -> str | None:
    """Return the path of an input that is not as it was, None where all are. One that cannot be read at the moment counts as unchanged."""
    return next((path for path, stamp in now.items() if stamp is not None and before.get(path) not in (None, stamp)), None)


def _same_sources(before: object, now: Sources) -> bool:
    return isinstance(before, dict) and before.keys() == now.keys() and changed_source(before, now) is None


def _entries(folder: Path) -> dict[str, Any]:
    try:
        items = json.loads(read_file_in(folder, PUBLISHED))["items"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return items if isinstance(items, dict) else {}


def unknown_sources(item: Item) -> Sources:
    """Return the inputs of an item where nothing can be found out about them."""
    return {path: None for path in (item.recording, item.video, item.script) if path}


def sources(job: Job, item: Item) -> Sources:
    """Return the inputs of an item as they are now. Touches the inbox, which may hang."""
    try:
        names = sorted(name for name in os.listdir(job.claimed) if not name.startswith("."))
    except OSError:
        names = []
    root = Path(job.claimed, names[0]) if names else None
    return {path: _stamp(root / path) if root else None for path in (item.recording, item.video, item.script) if path}


def _stamp(path: Path) -> list[int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns] if stat.S_ISREG(found.st_mode) else _NOT_A_FILE
