"""Sweep beside the daemon: what has collected in a year takes minutes to delete, and on a share that hangs a sweep never ends."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from heygem_daemon.core.ports import Undeleted
from heygem_daemon.publishing.retention import FolderRetention, SweepStopped

WORK_SECONDS: Final = 0.02
"""A sweep rests after this for as long: the disk and the interpreter are others' too."""


class BackgroundRetention:
    """The `Retention` port: one thread for each inbox and one for outputs, while they are swept. A thread that hangs is left behind, with
    the process it ends; its place is not swept again before. `retention` may be exchanged while it works."""

    def __init__(self, retention: FolderRetention) -> None:
        self.retention = retention
        self._lock = threading.Lock()
        self._threads: dict[Path, threading.Thread] = {}
        self._deleted: Counter[str] = Counter()
        self._undeleted: Undeleted | None = None
        self._is_closing = threading.Event()

    def begin(self, now: float, open_jobs: Iterable[str], inboxes: Collection[str]) -> None:
        """Begin to sweep these inboxes and outputs, each that is not being swept. Never raises."""
        still_open = frozenset(open_jobs)
        for place in self.retention.places:
            thread = self._threads.get(place)
            is_there = str(place) in inboxes or place == self.retention.outputs
            if is_there and not self._is_closing.is_set() and (thread is None or not thread.is_alive()):
                self._start(place, now, still_open)

    def _start(self, place: Path, now: float, open_jobs: Collection[str]) -> None:
        thread = threading.Thread(target=self._sweep, args=(place, now, open_jobs), name=f"sweep {place}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system's limit of tasks: next time
            return
        self._threads[place] = thread

    def _sweep(self, place: Path, now: float, open_jobs: Collection[str]) -> None:
        left = _Left()
        counts = self.retention.sweep(now, open_jobs, places=[place], pause=_Pause(self._is_closing), failed=left)
        with self._lock:
            self._deleted.update(counts)
            if left.found is not None:
                before = self._undeleted.count if self._undeleted is not None else 0
                self._undeleted = replace(left.found, count=before + left.found.count)

    def poll(self) -> Mapping[str, int]:
        """Return what the sweeps that ended since the last call have deleted, by kind."""
        with self._lock:
            deleted, self._deleted = self._deleted, Counter()
        return {kind: count for kind, count in deleted.items() if count}

    def undeleted(self) -> Undeleted | None:
        """Return what the sweeps that ended since the last call could not delete."""
        with self._lock:
            undeleted, self._undeleted = self._undeleted, None
        return undeleted

    @property
    def is_sweeping(self) -> bool:
        return any(thread.is_alive() for thread in self._threads.values())

    def close(self) -> None:
        """Let the sweeps end after the file that they are at; does not wait for them."""
        self._is_closing.set()


class _Left:
    """Called with each folder that could not be deleted: counts them, and keeps the last one."""

    def __init__(self) -> None:
        self.found: Undeleted | None = None

    def __call__(self, path: Path, problem: OSError) -> None:
        before = self.found.count if self.found is not None else 0
        self.found = Undeleted(count=before + 1, path=str(path), reason=problem.strerror or str(problem))


class _Pause:
    """Called after every file: rests now and then, and ends a sweep that is to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._since = time.monotonic()

    def __call__(self) -> None:
        worked = time.monotonic() - self._since
        if worked >= WORK_SECONDS:
            self._stop.wait(worked)
            self._since = time.monotonic()
        if self._stop.is_set():
            raise SweepStopped
