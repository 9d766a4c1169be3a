"""Index the published results of a job and the inputs they were made from: `.heygem.json`, hidden beside status.json.

An entry is written before the rename it describes, so it proves nothing alone: an item is published when the entry matches the file.
A crash between the two leaves an entry without its file (work is repeated), never a file without its entry.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.job import Item, Job
from heygem_daemon.durable import write_durably

PUBLISHED: Final = ".heygem.json"
SCHEMA: Final = 1


def add(folder: Path, job: Job, item: Item, staged: Path, result: Mapping[str, Any]) -> None:
    """Add the entry for `staged`, which is about to become the item's output in `folder`. Raises OSError."""
    found = staged.stat()
    entries = _entries(folder)
    entries[item.key] = {
        "job": job.id,
        "output": item.output,
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "sources": _sources(job, item),
        "result": dict(result),
    }
    write_durably(folder / PUBLISHED, json.dumps({"schema": SCHEMA, "items": entries}, indent=1, default=str).encode())


def matching_result(folder: Path, job: Job, item: Item) -> Mapping[str, Any] | None:
    """Return the result of the item's output in `folder` if file and inputs are the ones of its entry; else None."""
    entry = _entries(folder).get(item.key)
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
    return result if isinstance(result, dict) and _same_sources(entry.get("sources"), _sources(job, item)) else None


def _same_sources(before: object, now: Mapping[str, list[int] | None]) -> bool:
    """Return whether the inputs are unchanged. One that cannot be read at the moment counts as unchanged."""
    if not isinstance(before, dict) or before.keys() != now.keys():
        return False
    return all(stamp is None or before[path] is None or before[path] == stamp for path, stamp in now.items())


def _entries(folder: Path) -> dict[str, Any]:
    try:
        items = json.loads((folder / PUBLISHED).read_bytes())["items"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return items if isinstance(items, dict) else {}


def _sources(job: Job, item: Item) -> dict[str, list[int] | None]:
    """Return size and mtime_ns of each input; None for one that cannot be read."""
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
    return [found.st_size, found.st_mtime_ns]
