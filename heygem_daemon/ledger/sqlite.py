"""The ledger on disk: one SQLite file that holds the queue.

WAL with synchronous=FULL: once `put` has returned, the job is there after a power cut (about 2 ms on a local disk). The file must be on
a local disk: SQLite's locks and shared memory are not reliable over NFS or SMB, and this cannot be detected here.
The command line opens the same file from another process while the daemon runs.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import TransientError, error
from heygem_daemon.core.job import Item, Job
from heygem_daemon.ledger.documents import item_document, job_document, read_item, read_job

BUSY_MS: Final = 10_000
"""ms to wait for a lock of another process."""
MODE: Final = 0o660
"""The daemon's group may leave requests."""

MIGRATIONS: Final = ("schema.sql",)
"""The n-th script brings a ledger from version n to n + 1."""

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_IS_OPEN: Final = "state NOT IN ('succeeded', 'partial', 'failed', 'rejected', 'cancelled')"


class SqliteLedger:
    """The `Ledger` port. Every call is one transaction; a failing disk or lock is a TransientError (`io_error`).

    `damaged` is the path to which an unreadable ledger was moved at opening, None where there was none. If it is set, this ledger is
    new and empty, and the caller should adopt the claimed folders that it finds.
    """

    def __init__(self, path: Path, *, repair: bool = True) -> None:
        """Open the ledger at `path`, created if there is none. repair: move a damaged one aside instead of raising (for the daemon only).

        Raises TransientError (`io_error`), SetupError (`ledger_newer`).
        """
        self._path = path
        self.damaged: Path | None = None
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError as problem:
            if not (repair and _is_damage(problem)):
                raise error("io_error", problem=f"{path.name}: {problem}") from problem
            self.damaged = _move_aside(path)
            self._connection = _open(path)
        except OSError as problem:
            raise error("io_error", problem=f"{path.name}: {problem.strerror}") from problem
        self._inode = path.stat().st_ino

    def put(self, *jobs: Job) -> None:
        with self._transaction() as connection:
            for job in jobs:
                _put_job(connection, job)
                _put_items(connection, job)

    def get(self, job_id: str) -> Job | None:
        return next(iter(self._select("id = ?", (_column(job_id),))), None)

    def open_jobs(self) -> Sequence[Job]:
        return self._select(_IS_OPEN)

    def find(self, name: str) -> Sequence[Job]:
        return self._select("? IN (id, name, output)", (_column(name),))[::-1]

    def recent(self, limit: int) -> Sequence[Job]:
        return self._select("number IN (SELECT number FROM jobs ORDER BY number DESC LIMIT ?)", (max(limit, 0),))[::-1]

    def forget(self, finished_before: float) -> int:
        with self._transaction() as connection:
            return connection.execute(f"DELETE FROM jobs WHERE finished_at < ? AND NOT ({_IS_OPEN})", (finished_before,)).rowcount  # noqa: S608

    def request(self, verb: str, target: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT INTO requests (verb, target) VALUES (?, ?)", (verb, _column(target)))

    def take_requests(self) -> Sequence[tuple[str, str]]:
        with self._read_transaction() as connection:
            is_any = connection.execute("SELECT EXISTS (SELECT 1 FROM requests)").fetchone()[0]
        if not is_any:  # called in every round of the daemon: spare the disk a write
            return []
        with self._transaction() as connection:
            taken = connection.execute("SELECT verb, target FROM requests ORDER BY number").fetchall()
            connection.execute("DELETE FROM requests")
        return taken

    def healthy(self) -> bool:
        """Return whether the file is still the one that was opened, and can be locked for writing."""
        try:
            with self._transaction() as connection:
                connection.execute("SELECT count(*) FROM requests").fetchone()
            return self._path.stat().st_ino == self._inode
        except (TransientError, OSError):
            return False

    def close(self) -> None:
        self._connection.close()

    def _select(self, condition: str, parameters: tuple[Any, ...] = ()) -> list[Job]:
        """Return the jobs that meet a condition on the table jobs, oldest first."""
        items: dict[str, list[Item]] = {}
        with self._read_transaction() as connection:
            jobs = connection.execute(f"SELECT id, document FROM jobs WHERE {condition} ORDER BY number", parameters).fetchall()  # noqa: S608
            rows = connection.execute(
                f"SELECT job, document FROM items WHERE job IN (SELECT id FROM jobs WHERE {condition}) ORDER BY job, position",  # noqa: S608
                parameters,
            )
            for job_id, document in rows:
                items.setdefault(job_id, []).append(read_item(document))
        return [read_job(document, tuple(items.get(job_id, ()))) for job_id, document in jobs]

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._run_transaction("BEGIN IMMEDIATE")

    def _read_transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._run_transaction("BEGIN")

    @contextmanager
    def _run_transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back on a full disk
                    self._connection.execute("ROLLBACK")
                raise
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a bug of ours, not an error of the disk
        except sqlite3.DatabaseError as problem:
            raise error("io_error", problem=f"{self._path.name}: {problem}") from problem


def _put_job(connection: sqlite3.Connection, job: Job) -> None:
    connection.execute(
        "INSERT INTO jobs (id, name, output, state, finished_at, document) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, output = excluded.output, state = excluded.state,"
        " finished_at = excluded.finished_at, document = excluded.document",
        (_column(job.id), _column(job.name), _column(job.output), job.state, job.finished_at, job_document(job)),
    )


def _put_items(connection: sqlite3.Connection, job: Job) -> None:
    """Write only the items that changed: of up to 500, one changes at a time."""
    documents = [item_document(item) for item in job.items]
    kept = dict(connection.execute("SELECT position, document FROM items WHERE job = ?", (_column(job.id),)).fetchall())
    changed = [position for position, document in enumerate(documents) if kept.get(position) != document]
    gone = [position for position in kept if position >= len(documents)]
    connection.executemany("DELETE FROM items WHERE job = ? AND position = ?", [(_column(job.id), position) for position in changed + gone])
    connection.executemany(
        "INSERT INTO items (job, position, key, state, attempt, document) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (_column(job.id), position, _column(item.key), item.state, item.attempt, documents[position])
            for position, item in enumerate(job.items)
            if position in set(changed)
        ],
    )


def _column(text: str) -> str:
    """Return text that SQLite can store; the documents have the original."""
    return text.encode(errors="backslashreplace").decode()


def _open(path: Path) -> sqlite3.Connection:
    """Return a checked connection to a ledger of the present version; create the file if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, MODE)
        os.fchmod(descriptor, MODE)  # whatever the umask; SQLite gives its side files the same mode
        os.close(descriptor)
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        findings = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
        if findings != ["ok"]:
            raise _DamageError("; ".join(findings))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


class _DamageError(sqlite3.DatabaseError):
    """The integrity check found an error."""


def _is_damage(problem: sqlite3.DatabaseError) -> bool:
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    return isinstance(problem, _DamageError) or code in _DAMAGE


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")  # first, so that when two processes open a new ledger, one waits
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise error("ledger_newer", version=version, known=len(MIGRATIONS))
        for script in MIGRATIONS[version:]:
            for statement in _statements(resources.files(__package__).joinpath(script).read_text()):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements; executescript() would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _move_aside(path: Path) -> Path:
    """Rename a damaged ledger with its side files, so that it can be inspected, and return its new path."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    names = (f"{path.name}.damaged-{stamp}-{number}" for number in count(1))
    target = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target
