"""Kill a process of the product at a chosen moment, from inside: before, in, or after a named function.

The product knows nothing of it. `install` wraps the named functions (steps) of the modules that are there, and the system calls by which
they change something (writes). A process then sends itself SIGKILL before the n-th write of the n-th call of a step: what a power cut, an
administrator or the kernel would do to it at that moment. With `record` it only notes the steps and writes that it comes through, of which
the crash matrix makes its rows. A step that does not exist any more ends the process with status 97: nothing is left out silently.
"""

import builtins
import ctypes
import importlib
import io
import json
import os
import shutil  # noqa: F401 - looks at os when it is imported, which must be before the functions of os are wrapped
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

BEFORE: Final = 0
AFTER: Final = -1
UNKNOWN_STEP_STATUS: Final = 97

_OS_WRITES: Final = (
    "rename",
    "replace",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "fsync",
    "link",
    "symlink",
    "truncate",
    "ftruncate",
    "utime",
)
_CREATING: Final = os.O_CREAT | os.O_TRUNC
_READING: Final = ("SELECT", "PRAGMA foreign_keys", "PRAGMA integrity_check", "PRAGMA synchronous")
_real_open, _real_kill, _real_close, _real_write = os.open, os.kill, os.close, os.write


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One moment of a process.

    step: `module:function` or `module:Class.method`; label: which calls of it count (see LABELS), "" = all; call: the how manyth of them.
    write: BEFORE the call, AFTER its return, or before its so manyth write. delay_ms: instead, so many ms after the call began.
    times: how many processes die of it, one after the other."""

    step: str
    label: str = ""
    call: int = 1
    write: int = BEFORE
    delay_ms: float | None = None
    times: int = 1

    def __str__(self) -> str:
        label = f"[{self.label}]" if self.label else ""
        moments = {BEFORE: "before", AFTER: "after"}
        moment = moments.get(self.write, f"write {self.write}") if self.delay_ms is None else f"{self.delay_ms:g} ms in"
        return f"{self.step.rpartition(':')[2]}{label} #{self.call} {moment}"


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One call of a step that a recorded process came through, and the writes in it, in order."""

    step: str
    label: str
    call: int
    writes: tuple[str, ...]

    def kills(self) -> Iterator[Kill]:
        """Yield every moment of this call: before, before each write, after."""
        for write in (BEFORE, *range(1, len(self.writes) + 1), AFTER):
            yield Kill(step=self.step, label=self.label, call=self.call, write=write)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the processes of one start do, by the module that a process runs: `kills`; with `record`, the steps that are noted in this file.

    marks: a folder that tells which have died."""

    marks: str
    kills: Mapping[str, Kill] = field(default_factory=dict)
    record: str = ""
    steps: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        fields = json.loads(path.read_text(encoding="utf-8"))
        kills = {module: Kill(**kill) for module, kill in fields["kills"].items()}
        return cls(marks=fields["marks"], kills=kills, record=fields["record"], steps=fields["steps"])


def _state_and_progress(*jobs: Any) -> str:
    """Return for instance `queued 1/2` for a job with two items of which one succeeded."""
    if not jobs:
        return ""
    job = jobs[0]
    return f"{job.state} {sum(item.state == 'succeeded' for item in job.items)}/{len(job.items)}"


LABELS: Final[Mapping[str, Callable[..., str]]] = {
    "heygem_daemon.ledger.sqlite:SqliteLedger.put": lambda _self, *jobs: _state_and_progress(*jobs),
    "heygem_daemon.publishing.status_files:StatusFiles.write_job": lambda _self, status: str(status.state),
    "heygem_daemon.publishing.status_files:StatusFiles.write_daemon": lambda _self, status: str(status.state),
    "heygem_daemon.intake.claims:FolderClaims.clear_control": lambda _self, _inbox, _name, kind: str(kind),
}
"""How calls of a step are told apart where their number depends on time: by what they are about."""


class _Call:
    """A call of a step in progress."""

    def __init__(self, step: str, label: str, number: int) -> None:
        self.step, self.label, self.number = step, label, number
        self.writes: list[str] = []


class KillPoints:
    """Everything wrapped in one process."""

    def __init__(self, module: str, plan: Plan) -> None:
        self._module, self._plan, self._kill = module, plan, plan.kills.get(module)
        self._calls: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._local = threading.local()

    def install(self) -> None:
        """Wrap the steps and the writes. Raises what a missing module or function raises."""
        if self._kill is None and not self._plan.record:
            return
        self._wrap_writes()
        for step in {*self._plan.steps.get(self._module, ()), *((self._kill.step,) if self._kill else ())}:
            self._wrap_step(step)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _wrap_step(self, step: str) -> None:
        owner, name, original = resolve(step)
        wrapped = self._wrapped(step, original)
        if isinstance(owner, type):
            setattr(owner, name, wrapped)
            return
        for module in [module for module_name, module in list(sys.modules.items()) if module_name.startswith("heygem_daemon")]:
            for found in [key for key, value in list(vars(module).items()) if value is original]:  # also where it is imported by name
                setattr(module, found, wrapped)

    def _wrapped(self, step: str, original: Callable[..., Any]) -> Callable[..., Any]:
        labelled = LABELS.get(step, lambda *_args, **_kwargs: "")

        def call(*args: Any, **kwargs: Any) -> Any:
            entered = self._enter(step, labelled(*args, **kwargs))
            try:
                result = original(*args, **kwargs)
            finally:
                self._leave(entered)
            if self._is_target(entered) and self._kill is not None and self._kill.write == AFTER and self._kill.delay_ms is None:
                self._die()
            return result

        return call

    def _enter(self, step: str, label: str) -> _Call:
        with self._lock:
            self._calls[step, label] += 1
            self._calls[step, "*"] += 1
            is_any = self._kill is not None and self._kill.step == step and not self._kill.label
            number = self._calls[step, "*" if is_any else label]
        entered = _Call(step, label, number)
        self._stack().append(entered)
        if self._is_target(entered) and self._kill is not None:
            if self._kill.delay_ms is not None:
                threading.Thread(target=self._die_in, args=(self._kill.delay_ms,), daemon=True).start()
            elif self._kill.write == BEFORE:
                self._die()
        return entered

    def _leave(self, entered: _Call) -> None:
        self._stack().remove(entered)
        if self._plan.record:
            fields = {"step": entered.step, "label": entered.label, "call": entered.number, "writes": entered.writes}
            self._append(self._plan.record, json.dumps(fields))

    def _is_target(self, call: _Call) -> bool:
        kill = self._kill
        return kill is not None and call.step == kill.step and kill.label in {"", call.label} and call.number == kill.call

    def _stack(self) -> list[_Call]:
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        stack: list[_Call] = self._local.stack
        return stack

    # -- writes ---------------------------------------------------------------------------------------------------

    def _wrap_writes(self) -> None:
        for name in _OS_WRITES:
            setattr(os, name, self._writing(name, getattr(os, name)))
        os.open = self._opening
        builtins.open = io.open = self._opening_file
        sqlite3.connect = self._connecting  # type: ignore[assignment]
        durable = importlib.import_module("heygem_daemon.durable")
        durable._libc = _Libc(durable._libc, self._note)  # type: ignore[attr-defined]

    def _writing(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **kwargs: Any) -> Any:
            self._note(name, args[-1] if args else "")
            return original(*args, **kwargs)

        for known in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd):
            if original in known:
                known.add(write)
        return write

    def _opening(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & _CREATING:
            self._note("create", path)
        return _real_open(path, flags, *args, **kwargs)

    def _opening_file(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wxa") and not isinstance(file, int):
            self._note("create", file)
        return _open_file(file, mode, *args, **kwargs)

    def _connecting(self, *args: Any, **kwargs: Any) -> sqlite3.Connection:
        note = self._note

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                if not sql.startswith(_READING):
                    note("sql", sql.lstrip()[:24])
                return super().execute(sql, *parameters)

            def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                note("sql", sql.lstrip()[:24])
                return super().executemany(sql, *parameters)

        return _connect(*args, factory=Connection, **kwargs)

    def _note(self, what: str, about: object) -> None:
        """Count a write for each step that is in progress in this thread, and die if it is the chosen one."""
        for call in self._stack():
            call.writes.append(f"{what} {_short(about)}")
            kill = self._kill
            if kill is not None and kill.delay_ms is None and len(call.writes) == kill.write and self._is_target(call):
                self._die()

    # -- the end --------------------------------------------------------------------------------------------------

    def _die_in(self, milliseconds: float) -> None:
        time.sleep(milliseconds / 1000)
        self._die()

    def _die(self) -> None:
        """Leave a mark and be gone; do nothing where as many as planned have died already."""
        assert self._kill is not None
        for number in range(self._kill.times):
            with suppress(FileExistsError):
                descriptor = _real_open(f"{self._plan.marks}/{self._module}-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
                _real_write(descriptor, f"{os.getpid()} {self._kill}\n".encode())
                _real_close(descriptor)
                _real_kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

    @staticmethod
    def _append(path: str, line: str) -> None:
        descriptor = _real_open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        _real_write(descriptor, line.encode() + b"\n")
        _real_close(descriptor)


_open_file, _connect = builtins.open, sqlite3.connect


class _Libc:
    """The C library with renameat2 noted before it is called."""

    def __init__(self, real: ctypes.CDLL, note: Callable[[str, object], None]) -> None:
        self._real, self._noted = real, note

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != "renameat2":
            return found

        def renameat2(*args: Any) -> Any:
            self._noted("renameat2", args[3])
            return found(*args)

        return renameat2


def _short(about: object) -> str:
    text = os.fsdecode(about) if isinstance(about, bytes) else str(about)
    return text.rpartition("/")[2][:80]


def resolve(step: str) -> tuple[Any, str, Callable[..., Any]]:
    """Return the owner, the name and the function of a step. Raises ImportError, AttributeError or KeyError where there is
    none."""
    module_name, _, qualified = step.partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, name = qualified.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = vars(owner)[name]
    if not callable(original):
        raise AttributeError(f"{step} is no plain function")
    return owner, name, original


def passages(record: Path) -> list[Passage]:
    """Return what a recorded process came through, in the order in which the calls ended."""
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    return [Passage(**{**json.loads(line), "writes": tuple(json.loads(line)["writes"])}) for line in lines]
