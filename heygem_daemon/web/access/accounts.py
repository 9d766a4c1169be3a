"""Users and tokens of the page, in two files of the state folder. They are read again whenever they change on disk.

`heygem web user` and `heygem web token` write them while the page runs. A file that cannot be read lets nobody in.
"""

import fcntl
import hashlib
import json
import os
import pwd
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from heygem_daemon.durable import sync_folder
from heygem_daemon.web.access.passwords import PasswordHash

USERS: Final = "users.json"
TOKENS: Final = "tokens.json"
SERVICE_USER: Final = "heygem-web"
"""Who gets a state folder that root makes."""
TOKEN_PREFIX: Final = "heygem_"  # noqa: S105 - not a secret
"""In front of every token, so that scanners of repositories recognise one that was left there."""

_NAME: Final = re.compile(r"\w[\w.@-]{0,63}")
_MAX_FILE_BYTES: Final = 8 * 2**20

T = TypeVar("T")


class AccountsError(Exception):
    """The users or the tokens cannot be read, or a change to them makes no sense; the message is a sentence."""


@dataclass(frozen=True, kw_only=True)
class User:
    name: str
    password: PasswordHash
    admin: bool
    created: str


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token of the HTTP interface. Only its sha256 is kept; `last4` are its last characters, to tell tokens apart by."""

    name: str
    sha256: str
    user: str
    admin: bool
    created: str
    last4: str


def normal_name(name: str) -> str:
    """Return a user's name in the form in which it is compared (Unicode NFC)."""
    return unicodedata.normalize("NFC", name)


def is_user_name(name: str) -> bool:
    """Return whether somebody may be called so: 1 to 64 letters of any script, digits and . _ - @, no sign in front."""
    return _NAME.fullmatch(name) is not None and normal_name(name) == name


class Accounts:
    """The users and tokens in a state folder. Readers may ask at any time; writers lock each other out."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self._users = _JsonFile(state / USERS, _user)
        self._tokens = _JsonFile(state / TOKENS, _token)
        self._had_users = False

    @property
    def are_needed(self) -> bool:
        """Return whether users are configured. Once there were some, their end does not open the page to everybody.

        Raises AccountsError."""
        self._had_users = self._had_users or bool(self._users.read())
        return self._had_users

    def users(self) -> Mapping[str, User]:
        """Return all users by name. Raises AccountsError."""
        return self._users.read()

    def tokens(self) -> Mapping[str, Token]:
        """Return all tokens by name. Raises AccountsError."""
        return self._tokens.read()

    def user(self, name: str) -> User | None:
        """Return a user, None where there is none of this name. Raises AccountsError."""
        return self._users.read().get(normal_name(name))

    def token(self, secret: str) -> Token | None:
        """Return the token with this secret, None where there is none, or its user is gone. Raises AccountsError."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        # The digest of a guess says nothing about how near it is, so the comparison need not take constant time.
        found = next((token for token in self._tokens.read().values() if token.sha256 == digest), None)
        if found is None or found.user == found.name or not self.are_needed:
            return found
        return found if self.user(found.user) else None

    def add_user(self, name: str, password: str, *, admin: bool) -> bool:
        """Add a user, or change one's password and rights; return whether he is new. Raises AccountsError, OSError."""
        name = normal_name(name)
        if not is_user_name(name):
            raise AccountsError(f"{name!r} cannot be a name: use 1 to 64 letters, digits and . _ - @, a letter or digit first")
        user = User(name=name, password=PasswordHash.of(password), admin=admin, created=_now())
        with self._locked():
            users = self._users.read()
            self._users.write({**users, name: user})
        return name not in users

    def remove_user(self, name: str) -> None:
        """Remove a user, and with him his sessions and tokens. Raises AccountsError, OSError."""
        with self._locked():
            self._users.write(_without(self._users.read(), normal_name(name), "user"))
            tokens = self._tokens.read()
            kept = {key: token for key, token in tokens.items() if token.user != normal_name(name)}
            if len(kept) != len(tokens):
                self._tokens.write(kept)

    def add_token(self, name: str, *, user: str = "", admin: bool = False) -> str:
        """Add a token that acts as `user` (else under its own name); return its secret, which is kept nowhere.

        Raises AccountsError, OSError."""
        name, user = normal_name(name), normal_name(user or name)
        for each in (name, user):
            if not is_user_name(each):
                raise AccountsError(f"{each!r} cannot be a name: use 1 to 64 letters, digits and . _ - @, a letter or digit first")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        token = Token(name=name, sha256=digest, user=user, admin=admin, created=_now(), last4=secret[-4:])
        with self._locked():
            tokens, users = self._tokens.read(), self._users.read()
            if name in tokens:
                raise AccountsError(f"there is a token {name} already; remove it first, or choose another name")
            if user != name and users and user not in users:
                raise AccountsError(f"there is no user {user}")
            self._tokens.write({**tokens, name: token})
        return secret

    def remove_token(self, name: str) -> None:
        """Remove a token. Raises AccountsError, OSError."""
        with self._locked():
            self._tokens.write(_without(self._tokens.read(), normal_name(name), "token"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_private_folder(self.state)
        descriptor = _opened_lock(self.state)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _opened_lock(state: Path) -> int:
    """Return a descriptor of the lock file, made where there is none. Raises OSError."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(state / ".lock", flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        # Never given to anybody: its owner may have put the second name of a foreign file there, and we may be root.
        return os.open(state / ".lock", flags)
    try:
        give_to_owner(descriptor, state)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class _JsonFile(Generic[T]):
    """A file of rows by name, kept in memory until it changes on disk."""

    def __init__(self, path: Path, parse: Callable[[str, dict[str, Any]], T]) -> None:
        self._path = path
        self._parse = parse
        self._seen: tuple[int, int, int] | None = None
        self._rows: Mapping[str, T] = {}

    def read(self) -> Mapping[str, T]:
        """Return the rows; none where there is no file. Raises AccountsError where there is one that cannot be read."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            self._seen, self._rows = None, {}
            return self._rows
        except OSError as failed:
            raise AccountsError(f"{self._path}: {failed.strerror}") from failed
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._rows, self._seen = self._load(), seen
        return self._rows

    def _load(self) -> Mapping[str, T]:
        try:
            rows = json.loads(read_private(self._path, _MAX_FILE_BYTES))
            return {name: self._parse(name, fields) for name, fields in rows.items()}
        except OSError as failed:
            raise AccountsError(f"{self._path}: {failed.strerror}") from failed
        except (ValueError, KeyError, TypeError, AttributeError) as invalid:
            raise AccountsError(f"{self._path} is damaged; restore it, or delete it and add its content again") from invalid

    def write(self, rows: Mapping[str, Any]) -> None:
        """Replace the file, all of it or nothing. Raises OSError."""
        content = {name: _fields(row) for name, row in sorted(rows.items())}
        write_private(self._path, json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


def _fields(row: User | Token) -> dict[str, Any]:
    fields = {key: value for key, value in vars(row).items() if key != "name"}
    return fields | ({"password": row.password.fields()} if isinstance(row, User) else {})


def _user(name: str, fields: dict[str, Any]) -> User:
    return User(
        name=name, password=PasswordHash.read(fields["password"]), admin=fields["admin"] is True, created=str(fields.get("created", ""))
    )


def _token(name: str, fields: dict[str, Any]) -> Token:
    words = {key: str(fields.get(key, "")) for key in ("created", "last4")}
    return Token(name=name, sha256=str(fields["sha256"]), user=str(fields["user"]), admin=fields["admin"] is True, **words)


def _without(rows: Mapping[str, T], name: str, what: str) -> dict[str, T]:
    if name not in rows:
        raise AccountsError(f"there is no {what} {name}")
    return {key: row for key, row in rows.items() if key != name}


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")


# -- files that only the page may read ---------------------------------------------------------------------------------------


def read_private(path: Path, limit: int) -> bytes:
    """Return the content of a file, never of what a link of that name points to. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(limit)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only the owner of its folder may read, so that it survives a power cut. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner(descriptor, path.parent)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner alone; for the user of the service where root makes it. An existing one stays as it is."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:  # made by somebody else meanwhile
        if folder.is_dir():
            return
        raise
    if os.geteuid() == 0:
        with suppress(KeyError):
            account = pwd.getpwnam(SERVICE_USER)
            os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Give a file that root made to the owner of its folder, who could otherwise not read it."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
