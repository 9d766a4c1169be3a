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

from heygem_daemon.core.errors import HeygemError, TransientError, error
from heygem_daemon.core.job import Job
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.storage import sqlite_error
from heygem_daemon.disks import disk_error, room_in
from heygem_daemon.durable import sync_folder
from heygem_daemon.ledger.documents import column, item_document, job_document, read_readable_job

BUSY_MS: Final = 10_000
"""ms to wait for a lock of another process."""
MODE: Final = 0o660
"""The daemon's group may leave requests."""

MIGRATIONS: Final = ("schema.sql",)
"""The n-th script brings a ledger from version n to n + 1."""

CHECK_SECONDS: Final = 1.0
"""How long a ledger is checked for damage at its opening: one of 80,000 jobs is checked as a whole. Damage that is found later has all of
it checked at the next opening."""
_CHECK_STEPS: Final = 10_000
"""Instructions of SQLite between two looks at the clock: some ms."""
_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS jobs_by_name ON jobs (name)",
    "CREATE INDEX IF NOT EXISTS jobs_by_output ON jobs (output)",
)
"""What a ledger of the same version may lack: it was made before they were needed, and does without them in an older release."""

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
        self._found_open: list[Job] | None = None
        """The open jobs as they were read at the opening, for the first who asks."""
        try:
            self._connection = _open(path)
            if repair:
                self._refuse_damage()
        except sqlite3.DatabaseError as problem:
            if not (repair and _is_damage(problem)):
                raise _as_heygem_error(problem, path) from problem
            self.damaged, self._found_open = _move_aside(path), None
            self._connection = _open(path)
        except OSError as problem:
            raise disk_error(problem, path.parent) or error("io_error", problem=f"{path}: {problem.strerror}") from problem
        self._inode = path.stat().st_ino

    def _refuse_damage(self) -> None:
        """Raise _DamageError where an open job cannot be read: one of the history may be passed over, but not one that somebody waits for.

        SQLite finds damage of its own structures only; a document has no checksum. Raises sqlite3.DatabaseError too."""
        try:
            count = self._connection.execute(f"SELECT count(*) FROM jobs WHERE {_IS_OPEN}").fetchone()[0]  # noqa: S608
            self._found_open = self._select(_IS_OPEN)
            if len(self._found_open) != count:
                raise _DamageError("an open job cannot be read")
        except (sqlite3.DatabaseError, TransientError) as problem:
            self._connection.close()
            raise problem.__cause__ if isinstance(problem.__cause__, sqlite3.DatabaseError) else problem from None

    def refuse_unreadable_jobs(self) -> None:
        """Raise TransientError where an open job cannot be read."""
        try:
            self._refuse_damage()
        except sqlite3.DatabaseError as problem:
            raise _as_heygem_error(problem, self._path) from problem

    def count(self) -> int:
        """Return how many jobs there are. Raises TransientError."""
        with self._read_transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0])

    def clear(self) -> None:
        """Delete all jobs and requests. Raises TransientError."""
        with self._transaction() as connection:
            for table in ("requests", "items", "jobs"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608

    def copy_from(self, other: "SqliteLedger") -> None:
        """Become a copy of another ledger. Raises TransientError."""
        try:
            other._connection.backup(self._connection)
        except sqlite3.DatabaseError as problem:
            raise _as_heygem_error(problem, self._path) from problem

    def put(self, *jobs: Job) -> None:
        self._found_open = None
        with self._transaction() as connection:
            for job in jobs:
                _put_job(connection, job)
                _put_items(connection, job)

    def get(self, job_id: str) -> Job | None:
        return next(iter(self._select("id = ?", (column(job_id),))), None)

    def open_jobs(self) -> Sequence[Job]:
        found, self._found_open = self._found_open, None
        if found is not None:
            return found
        return self._select(_IS_OPEN)

    def find(self, name: str, limit: int | None = None) -> Sequence[Job]:
        named = "SELECT number FROM jobs WHERE id = ?1 OR name = ?1 OR output = ?1 ORDER BY number DESC LIMIT ?2"
        return self._select(f"number IN ({named})", (column(name), -1 if limit is None else max(limit, 0)))[::-1]

    def recent(self, limit: int) -> Sequence[Job]:
        return self._select("number IN (SELECT number FROM jobs ORDER BY number DESC LIMIT ?)", (max(limit, 0),))[::-1]

    def finished(self, limit: int) -> Sequence[Job]:
        last = f"SELECT number FROM jobs WHERE finished_at IS NOT NULL AND NOT ({_IS_OPEN}) ORDER BY finished_at DESC, number DESC LIMIT ?"  # noqa: S608
        found = self._select(f"number IN ({last})", (max(limit, 0),))
        return sorted(found, key=lambda job: job.finished_at or 0.0)[::-1]

    def forget(self, finished_before: float, limit: int) -> int:
        old = f"SELECT number FROM jobs WHERE finished_at < ? AND NOT ({_IS_OPEN}) ORDER BY finished_at, number LIMIT ?"  # noqa: S608
        with self._read_transaction() as connection:  # mostly there are none: spare the disk a write
            numbers = connection.execute(old, (finished_before, max(limit, 0))).fetchall()
        if not numbers:
            return 0
        with self._transaction() as connection:
            return connection.executemany("DELETE FROM jobs WHERE number = ?", numbers).rowcount

    def request(self, verb: str, target: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT INTO requests (verb, target) VALUES (?, ?)", (verb, column(target)))

    def requests(self, limit: int) -> Sequence[tuple[str, str]]:
        with self._read_transaction() as connection:
            return connection.execute("SELECT verb, target FROM requests ORDER BY number LIMIT ?", (max(limit, 0),)).fetchall()

    def remove_requests(self, count: int) -> None:
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM requests WHERE number IN (SELECT number FROM requests ORDER BY number LIMIT ?)", (max(count, 0),)
            )

    def healthy(self) -> bool:
        """Return whether the file is still the one that was opened, and can be locked for writing."""
        try:
            with self._transaction() as connection:
                connection.execute("SELECT count(*) FROM requests").fetchone()
            return True
        except TransientError:
            return False

    def close(self) -> None:
        self._connection.close()

    def _select(self, condition: str, parameters: tuple[Any, ...] = ()) -> list[Job]:
        """Return the jobs that meet a condition on the table jobs, oldest first."""
        items: dict[str, list[str]] = {}
        with self._read_transaction() as connection:
            jobs = connection.execute(f"SELECT id, document FROM jobs WHERE {condition} ORDER BY number", parameters).fetchall()  # noqa: S608
            rows = connection.execute(
                f"SELECT job, document FROM items WHERE job IN (SELECT id FROM jobs WHERE {condition}) ORDER BY job, position",  # noqa: S608
                parameters,
            )
            for job_id, document in rows:
                items.setdefault(job_id, []).append(document)
        found = ((job_id, read_readable_job(job_id, document, items.get(job_id, ()))) for job_id, document in jobs)
        return [job for _, job in found if job is not None]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Raises TransientError, also where the file is no longer the one that was opened: what is written would be gone with it."""
        with self._run_transaction("BEGIN IMMEDIATE") as connection:
            if not self._is_in_place():
                raise error("io_error", problem=f"{self._path}: it was deleted or replaced while it was in use")
            yield connection

    def _is_in_place(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

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
            if _is_damage(problem):
                with suppress(OSError):
                    _doubt_file(self._path).touch()
            raise _as_heygem_error(problem, self._path) from problem


def _as_heygem_error(problem: sqlite3.DatabaseError, path: Path) -> HeygemError:
    """Return the error that names what is wrong with the disk of the state folder, else `io_error`."""
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    known = sqlite_error(code, escape_name(str(path.parent)), room_in(path.parent), str(problem))
    return known or error("io_error", problem=f"{path}: {problem}")


def _put_job(connection: sqlite3.Connection, job: Job) -> None:
    connection.execute(
        "INSERT INTO jobs (id, name, output, state, finished_at, document) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, output = excluded.output, state = excluded.state,"
        " finished_at = excluded.finished_at, document = excluded.document",
        (column(job.id), column(job.name), column(job.output), job.state, job.finished_at, job_document(job)),
    )


def _put_items(connection: sqlite3.Connection, job: Job) -> None:
    """Write only the items that changed: of up to 500, one changes at a time."""
    documents = [item_document(item) for item in job.items]
    kept = dict(connection.execute("SELECT position, document FROM items WHERE job = ?", (column(job.id),)).fetchall())
    changed = [position for position, document in enumerate(documents) if kept.get(position) != document]
    gone = [position for position in kept if position >= len(documents)]
    connection.executemany("DELETE FROM items WHERE job = ? AND position = ?", [(column(job.id), position) for position in changed + gone])
    connection.executemany(
        "INSERT INTO items (job, position, key, state, attempt, document) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (column(job.id), position, column(item.key), item.state, item.attempt, documents[position])
            for position, item in enumerate(job.items)
            if position in set(changed)
        ],
    )


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
        _check(connection, seconds=None if _doubt_file(path).exists() else CHECK_SECONDS)
        _doubt_file(path).unlink(missing_ok=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
        for statement in _INDEXES:
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, *, seconds: float | None) -> None:
    """Raise _DamageError where the file is damaged, as far as it can be read in so many s; None = all of it, however long that takes."""
    until = None if seconds is None else time.monotonic() + seconds
    connection.set_progress_handler(lambda: until is not None and time.monotonic() > until, _CHECK_STEPS)
    try:
        findings = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    except sqlite3.OperationalError as problem:
        if problem.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        findings = ["ok"]
    finally:
        connection.set_progress_handler(None, 0)
    if findings != ["ok"]:
        raise _DamageError("; ".join(findings))


def _doubt_file(path: Path) -> Path:
    """Return the file beside a ledger whose damage was found in use: all of it is checked at the next opening."""
    return path.with_name(f"{path.name}.doubtful")


class _DamageError(sqlite3.DatabaseError):
    """The integrity check found an error."""


def _is_damage(problem: sqlite3.DatabaseError) -> bool:
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    return isinstance(problem, _DamageError) or code in _DAMAGE


def is_of_damage(problem: HeygemError) -> bool:
    """Return whether an error of a ledger means that its file is damaged, not only that it cannot be used now."""
    return isinstance(problem.__cause__, sqlite3.DatabaseError) and _is_damage(problem.__cause__)


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
    target = _name_aside(path, "damaged")
    _rename_side_files(path, target)
    with suppress(FileNotFoundError):
        path.rename(target)
    return target


def _name_aside(path: Path, why: str) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    names = (f"{path.name}.{why}-{stamp}-{number}" for number in count(1))
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def _rename_side_files(path: Path, target: Path) -> None:
    """Take away what belongs to the file at `path`: SQLite would add a write-ahead log that lies there to any file of that name."""
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))


@contextmanager
def new_file_beside(path: Path) -> Iterator[Path]:
    """Yield a path for a new ledger beside the one at `path`; what an earlier try left there is deleted, and so is what is still there at
    the end. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    _delete_file(new)
    try:
        yield new
    finally:
        _delete_file(new)


def _delete_file(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def exchange(path: Path, new: Path) -> Path | None:
    """Put the closed ledger `new` in the place of the one at `path`, which nobody has open; return where that one is kept, None where
    there was none. Raises OSError; there is a ledger at every moment."""
    with new.open("rb") as written:
        os.fsync(written.fileno())
    aside = _name_aside(path, "before-rebuild") if path.exists() else None
    if aside is not None:
        _rename_side_files(path, aside)
        os.link(path, aside)
    new.replace(path)
    _doubt_file(path).unlink(missing_ok=True)
    sync_folder(path.parent)
    return aside
