"""What must hold for an installation at every instant, and after all is over: the promises, as checks that return sentences.

`StatusWatch` reads every status file all the time and compares it with the model, the ledger and the files; `check_at_rest` looks at the
folders of a daemon that has nothing left to do; `processes_with` finds what is still running.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.names import DONE, FAILED, JOB_LOG, MARKER, PRIVATE, RECORD, UPLOADS, control_of
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.publishing.published_index import PUBLISHED

POLL_SECONDS: Final = 0.006
EVERYTHING: Final = 50
"""Every so many reads a file is compared that has not changed: what it says may have become untrue."""
_OWN_IN_OUTPUT: Final = frozenset({"status.json", JOB_LOG, PUBLISHED, "thumbnails", "explain"})
_OWN_IN_PRIVATE: Final = frozenset({"staging", "heartbeat.json", "daemon.json"})
_GIVES_BACK: Final = frozenset({State.WAITING, State.INTERRUPTED, State.QUEUED})
"""States in which an item may have its attempt back: what the machine or an orderly stop did to it costs none."""
_IN_LEDGER: Final = frozenset({State.QUEUED, State.RUNNING, State.INTERRUPTED}) | FINAL


@dataclass(frozen=True, kw_only=True)
class ExpectedDrop:
    """How a drop must end.

    place: the folder in the inbox under which its files lie in the end ("_done", "_failed", "" = where it was dropped); files: the SHA-256
    of each of its files, by path in the drop; results: the comment that each result must carry, by path in the output folder."""

    name: str
    state: State
    place: str
    files: Mapping[str, str]
    results: Mapping[str, str] = field(default_factory=dict)
    zip: bool = False
    attempts: int = 3


@dataclass(frozen=True, kw_only=True)
class LedgerView:
    """One job as the ledger has it: its state, and state and attempt of each item by its key."""

    state: str
    items: Mapping[str, tuple[str, int]]


def read_ledger(path: Path) -> dict[str, LedgerView]:
    """Return the jobs of a ledger by id, from a copy: a reader on the file itself would keep its shared memory alive over a crash."""
    with tempfile.TemporaryDirectory(prefix="prove-ledger-", dir="/dev/shm") as folder:
        copy = Path(folder, path.name)
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        if not copy.exists():
            return {}
        connection = sqlite3.connect(copy)
        try:
            jobs = connection.execute("SELECT id, state FROM jobs").fetchall()
            rows = connection.execute("SELECT job, key, state, attempt FROM items").fetchall()
        except sqlite3.OperationalError:  # a new ledger whose tables are being made
            return {}
        finally:
            connection.close()
    items: dict[str, dict[str, tuple[str, int]]] = {}
    for job, key, state, attempt in rows:
        items.setdefault(job, {})[key] = (state, attempt)
    return {job: LedgerView(state=state, items=items.get(job, {})) for job, state in jobs}


# -- at every instant -----------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class StatusWatch:
    """Reads all status files of an outputs folder every few ms from a thread of its own; use as a context manager.

    `polls` counts the files read, `compared` those that were compared with the model, the files and the ledger: what has changed, and now
    and then what has not. `violations` are sentences: a file that is not valid, a statement that was not true when it was read.
    may_reopen: whether a job may be open again after its end (a retry)."""

    outputs: Path
    ledger: Path
    attempts: int
    may_reopen: bool = False
    polls: int = 0
    compared: int = 0
    violations: list[str] = field(default_factory=list)
    _contents: dict[Path, bytes] = field(default_factory=dict)
    _results: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _attempts: dict[tuple[str, str], int] = field(default_factory=dict)
    _final: dict[str, State] = field(default_factory=dict)
    _is_over: bool = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name=f"status of {self.outputs}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join(30)

    def _run(self) -> None:
        while not self._is_over:
            try:
                self.poll()
            except Exception as problem:
                self._violated(f"the watch ended: {problem!r}")
                raise
            time.sleep(POLL_SECONDS)

    def poll(self) -> None:
        """Read every status file once."""
        for path in [self.outputs / "status.json", *self._job_files()]:
            try:
                content = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            self.polls += 1
            if self._contents.get(path) != content or self.polls % EVERYTHING == 0:
                self._contents[path] = content
                self.compared += 1
                self._check(path, content)

    def _job_files(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return [self.outputs / name / "status.json" for name in os.listdir(self.outputs) if name not in {PRIVATE, "status.json"}]
        return []

    def _check(self, path: Path, content: bytes) -> None:
        try:
            if path.parent == self.outputs:
                DaemonStatus.model_validate_json(content)
            else:
                self._check_job(path.parent, JobStatus.model_validate_json(content))
        except ValueError as invalid:
            self._violated(f"{path.parent.name}/{path.name} is not valid: {str(invalid)[:200]}: {content[:80]!r}")

    def _check_job(self, folder: Path, status: JobStatus) -> None:
        self._check_items(folder, status)
        is_accepted = status.times.queued is not None
        if status.state in _IN_LEDGER and (is_accepted or status.state is not State.CANCELLED):
            self._check_with_ledger(folder, status)
        before = self._final.get(status.job)
        if before is not None and status.state is not before and not self.may_reopen:
            self._violated(f"{folder.name}: {before} became {status.state}")
        if status.state in FINAL:
            self._final[status.job] = status.state

    def _check_items(self, folder: Path, status: JobStatus) -> None:
        states = [item.state for item in status.items]
        if status.state is State.SUCCEEDED and set(states) != {State.SUCCEEDED}:
            self._violated(f"{folder.name} says succeeded and its items {states}")
        if status.state is State.RUNNING and State.RUNNING not in states:
            self._violated(f"{folder.name} says running and its items {states}")
        for item in status.items:
            if item.state is State.SUCCEEDED:
                self._check_result(folder, item.output)
            if item.attempt > self.attempts:
                self._violated(f"{folder.name}/{item.key}: attempt {item.attempt} of {self.attempts}")
            before = self._attempts.get((status.job, item.key), 0)
            given_back = 1 if item.state in _GIVES_BACK else 0
            if item.attempt < before - given_back and not self.may_reopen:
                self._violated(f"{folder.name}/{item.key}: attempt {item.attempt} after attempt {before}")
            self._attempts[status.job, item.key] = item.attempt

    def _check_result(self, folder: Path, output: str | None) -> None:
        """A result that is named must be there, whole, and stay the same file."""
        try:
            entry = _index_entry(folder, output)
            found = (folder / str(output)).stat()
        except OSError:
            self._violated(f"{folder.name} says that {output} is made, and it is not there")
            return
        if entry is None or entry.get("size") != found.st_size:
            self._violated(f"{folder.name}/{output} has {found.st_size} bytes, of {entry and entry.get('size')}")
        first = self._results.setdefault(folder / str(output), (found.st_ino, found.st_mtime_ns))
        if first != (found.st_ino, found.st_mtime_ns):
            self._violated(f"{folder.name}/{output} was published twice")

    def _check_with_ledger(self, folder: Path, status: JobStatus) -> None:
        """What is written must be kept before: a status of a job that the ledger does not have would be a lie after a power cut."""
        problem = self._ledger_problem(status)
        if problem and self._ledger_problem(status):  # once more: the copy of the ledger is not taken in one instant
            self._violated(f"{folder.name}: {problem}")

    def _ledger_problem(self, status: JobStatus) -> str | None:
        kept = read_ledger(self.ledger).get(status.job)
        if kept is None:
            return f"says {status.state}, and the ledger does not know {status.job}"
        if status.state in FINAL and kept.state != status.state and not self.may_reopen:
            return f"says {status.state}, and the ledger {kept.state}"
        for item in status.items:
            state, attempt = kept.items.get(item.key, ("absent", 0))
            given_back = 1 if state in _GIVES_BACK else 0
            if item.attempt > attempt + given_back and not self.may_reopen:
                return f"item {item.key} says attempt {item.attempt}, and the ledger {attempt}"
            if item.state is State.SUCCEEDED and state != State.SUCCEEDED:
                return f"item {item.key} says succeeded, and the ledger {state}"
        return None

    def _violated(self, sentence: str) -> None:
        if sentence not in self.violations:
            self.violations.append(sentence)


def _index_entry(folder: Path, output: str | None) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        entries = json.loads((folder / PUBLISHED).read_bytes())["items"].values()
        return next((entry for entry in entries if entry.get("output") == output), None)
    return None


# -- when nothing is left to do -------------------------------------------------------------------------------------------


def is_at_rest(inbox: Path, outputs: Path, drops: Iterable[ExpectedDrop]) -> bool:
    """Return whether every drop lies where it ends, with a status that says so, and nothing is claimed."""
    with suppress(FileNotFoundError):
        if os.listdir(inbox / PRIVATE / "claimed"):
            return False
    if any(control_of(name) for name in os.listdir(inbox)):
        return False
    return all(_is_over(inbox, outputs, drop) for drop in drops)


def _is_over(inbox: Path, outputs: Path, drop: ExpectedDrop) -> bool:
    places = (inbox / DONE, inbox / FAILED) if drop.place else (inbox,)
    if not any((place / drop.name).exists() for place in places):
        return False
    status = _job_status(outputs, drop.name)
    if status is None or status.state is not drop.state:
        return status is not None and status.state in FINAL
    return not drop.zip or bool(status.links.get("zip"))


def check_at_rest(inbox: Path, outputs: Path, ledger: Path, drops: Iterable[ExpectedDrop]) -> list[str]:
    """Return what is wrong with the folders of a daemon that has nothing left to do and has been stopped, each sentence behind its kind:
    place, left, state, result or record."""
    drops = list(drops)
    kept = read_ledger(ledger)
    found = _of("place", _lost_or_doubled(inbox, drops))
    found += _of("left", [*_left_in_inbox(inbox, drops), *_left_in_outputs(outputs, drops)])
    for drop in drops:
        status = _job_status(outputs, drop.name)
        if status is None:
            found.append(f"state: {drop.name} has no valid status")
            continue
        found += _of("state", _wrong_status(status, drop, kept))
        frames = {item.output: item.frames for item in status.items}
        found += _of("result", _wrong_results(outputs / drop.name, drop, frames))
        if drop.place:
            found += _of("record", _wrong_record(inbox / drop.place / drop.name, status.job))
    return found


def _of(kind: str, sentences: Iterable[str]) -> list[str]:
    return [f"{kind}: {sentence}" for sentence in sentences]


def _job_status(outputs: Path, name: str) -> JobStatus | None:
    with suppress(OSError, ValueError):
        return JobStatus.model_validate_json((outputs / name / "status.json").read_bytes())
    return None


def _lost_or_doubled(inbox: Path, drops: Iterable[ExpectedDrop]) -> Iterator[str]:
    """Every byte of the users must be there once, and where the drop ended."""
    places: dict[str, list[str]] = {}
    for path in _files(inbox):
        places.setdefault(hash_of(path), []).append(str(path.relative_to(inbox)))
    for drop in drops:
        for name, content in drop.files.items():
            where = places.get(content, [])
            wanted = str(Path(drop.place, drop.name, name))
            if len(where) != 1:
                yield f"{drop.name}/{name} is there {len(where)} times: {where}"
            elif where != [wanted]:
                yield f"{drop.name}/{name} lies at {where[0]}, and not at {wanted}"


def _left_in_inbox(inbox: Path, drops: Iterable[ExpectedDrop]) -> Iterator[str]:
    expected = {MARKER, PRIVATE, DONE, FAILED, UPLOADS, *(drop.name for drop in drops if not drop.place)}
    yield from (f"{name} is left in the inbox" for name in sorted(os.listdir(inbox)) if name not in expected)
    own = {inbox / PRIVATE / name for name in ("claimed", "daemon.json")}
    yield from (f"{path.relative_to(inbox)} is left" for path in sorted((inbox / PRIVATE).rglob("*")) if path not in own)
    yield from (f"{path.relative_to(inbox)} is left" for path in sorted((inbox / UPLOADS).rglob("*")))
    for place in (DONE, FAILED):
        known = {drop.name for drop in drops if drop.place == place}
        with suppress(FileNotFoundError):
            yield from (f"{place}/{name} is left" for name in sorted(os.listdir(inbox / place)) if name not in known)
    yield from (f"{path.relative_to(inbox)} is a left temporary file" for path in _files(inbox) if path.name.endswith(".tmp"))


def _left_in_outputs(outputs: Path, drops: Iterable[ExpectedDrop]) -> Iterator[str]:
    known = {"status.json", PRIVATE, *(drop.name for drop in drops)}
    yield from (f"outputs/{name} is left" for name in sorted(os.listdir(outputs)) if name not in known)
    own = {outputs / PRIVATE / name for name in _OWN_IN_PRIVATE}
    yield from (f"{path.relative_to(outputs)} is left" for path in sorted((outputs / PRIVATE).rglob("*")) if path not in own)
    for drop in drops:
        extra = {f"{drop.name}.zip"} if drop.zip else set()
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(outputs / drop.name)):
                if name not in _OWN_IN_OUTPUT | extra | {path.split("/")[0] for path in drop.results}:
                    yield f"outputs/{drop.name}/{name} is left"
    yield from (f"outputs/{path.relative_to(outputs)} is a left temporary file" for path in _files(outputs) if path.name.endswith(".tmp"))


def _wrong_status(status: JobStatus, drop: ExpectedDrop, kept: Mapping[str, LedgerView]) -> Iterator[str]:
    if status.state is not drop.state:
        yield f"{drop.name} ended as {status.state} ({status.reason or status.error}), and not as {drop.state}"
    row = kept.get(status.job)
    if row is None or row.state != status.state:
        yield f"{drop.name} says {status.state}, and the ledger {row and row.state}"
        return
    same_name = [job for job in kept if f"-{drop.name}-" in job]
    if len(same_name) > 1:
        yield f"{drop.name} became {len(same_name)} jobs: {same_name}"
    for item in status.items:
        if item.attempt != row.items[item.key][1]:
            yield f"{drop.name}/{item.key} says attempt {item.attempt}, and the ledger {row.items[item.key][1]}"
        if not (item.state is State.FAILED or 1 <= item.attempt <= drop.attempts or item.state is State.CANCELLED):
            yield f"{drop.name}/{item.key} took {item.attempt} attempts of {drop.attempts}"
    if drop.zip and not status.links.get("zip"):
        yield f"{drop.name} does not name its ZIP"


def _wrong_results(folder: Path, drop: ExpectedDrop, frames: Mapping[str | None, int | None]) -> Iterator[str]:
    for name, comment in drop.results.items():
        path = folder / name
        if not path.is_file():
            yield f"{drop.name}/{name} was not published"
            continue
        problem, carried = decoded(path, frames.get(name))
        if problem:
            yield f"{drop.name}/{name} is corrupt: {problem}"
        if comment and carried != comment:
            yield f"{drop.name}/{name} is made from other inputs: {carried}, not {comment}"


def _wrong_record(folder: Path, job: str) -> Iterator[str]:
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError) as problem:
        yield f"{folder.name} has no record of its job: {problem}"
        return
    if record.get("job") != job:
        yield f"the record of {folder.name} names {record.get('job')}, and not {job}"


def decoded(path: Path, frames: int | None) -> tuple[str, str]:
    """Return what is wrong with a result of so many frames, "" if all of it decodes, and the comment that it carries. Equal files are
    decoded once."""
    return _decoded(hash_of(path), path, frames)


@lru_cache(maxsize=4096)
def _decoded(_content: str, path: Path, frames: int | None) -> tuple[str, str]:
    entries = "stream=codec_type,nb_read_frames:format_tags=comment"
    command = ("ffprobe", "-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", str(path))
    ended = subprocess.run(command, capture_output=True, check=False, timeout=120)
    if ended.returncode or ended.stderr.strip():
        return f"exit status {ended.returncode}: {ended.stderr.decode(errors='replace')[-200:]}", ""
    answer = json.loads(ended.stdout)
    counted = {stream["codec_type"]: int(stream.get("nb_read_frames", 0)) for stream in answer["streams"]}
    comment = str(answer.get("format", {}).get("tags", {}).get("comment", ""))
    if set(counted) != {"audio", "video"} or counted["video"] != frames or not counted["audio"]:
        return f"its tracks have {counted} frames, its status says {frames}", comment
    return "", comment


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


# -- processes ------------------------------------------------------------------------------------------------------------


def processes_with(variable: str, value: str) -> list[tuple[int, str]]:
    """Return id and command line of every process that has this variable in its environment; not those that have ended."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with suppress(OSError):
                if wanted in Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                    found.append((int(entry), Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")))
    return found


def wait_for_no_process(variable: str, value: str, seconds: float) -> list[str]:
    """Return the command lines of the processes that are still there after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := processes_with(variable, value)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [f"process {pid} is left: {command[:120]}" for pid, command in found]
