"""Hash passwords with scrypt, and compare them so that neither time nor memory gives anything away."""

import asyncio
import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Any, Final, Self

from heygem_daemon.daemon_threads import DaemonThreadPool
from heygem_daemon.web.problems import WebProblem

COST: Final = 2**17
BLOCKS: Final = 8
PARALLEL: Final = 1
"""n, r and p of scrypt, as OWASP's Password Storage Cheat Sheet asks for; 128 MiB and some tenths of a second each."""
MAX_MEMORY: Final = 256 * 2**20
"""Bytes; parameters in the users file that need more are refused."""
MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 1000
"""Characters of a password."""
MAX_WAITING: Final = 8
"""Logins that wait for their turn. One is computed at a time, so that no crowd of them takes the machine's memory."""


@dataclass(frozen=True, kw_only=True)
class PasswordHash:
    """A hash and what it was made with."""

    salt: bytes
    digest: bytes
    n: int
    r: int
    p: int

    @classmethod
    def of(cls, password: str) -> Self:
        """Return a new hash of a password, with a salt of its own."""
        salt = os.urandom(16)
        return cls(salt=salt, digest=_scrypt(password, salt, COST, BLOCKS, PARALLEL), n=COST, r=BLOCKS, p=PARALLEL)

    def matches(self, password: str) -> bool:
        """Return whether this is the password, in the same time for every wrong one."""
        return hmac.compare_digest(_scrypt(password, self.salt, self.n, self.r, self.p), self.digest)

    def fields(self) -> dict[str, Any]:
        return {"salt": self.salt.hex(), "digest": self.digest.hex(), "n": self.n, "r": self.r, "p": self.p}

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Self:
        """Return the hash that `fields` describes. Raises KeyError, TypeError or ValueError where it is none."""
        numbers = {name: int(fields[name]) for name in ("n", "r", "p")}
        return cls(salt=bytes.fromhex(fields["salt"]), digest=bytes.fromhex(fields["digest"]), **numbers)

    @property
    def stamp(self) -> str:
        """Return what a session keeps of it: another password has another stamp, and nothing leads back to the hash."""
        return hashlib.sha256(b"session\0" + self.salt + self.digest).hexdigest()[:32]


NOBODY: Final = PasswordHash(salt=bytes(16), digest=bytes(64), n=COST, r=BLOCKS, p=PARALLEL)
"""Stands in for users that do not exist, so that a login for them takes as long. No password is known to give it."""


class PasswordChecker:
    """Compares passwords in a thread of its own, one at a time."""

    def __init__(self) -> None:
        self._pool = DaemonThreadPool("passwords", threads=1)
        self._waiting = 0

    async def matches(self, stored: PasswordHash | None, password: str) -> bool:
        """Return whether the password is right; False for a user that does not exist. Raises WebProblem (`too_many_attempts`)."""
        if self._waiting >= MAX_WAITING:
            raise WebProblem("too_many_attempts", seconds=5, headers={"Retry-After": "5"})
        self._waiting += 1
        # Shielded: a client that hangs up must not let the next computation begin beside this one.
        work = asyncio.wrap_future(self._pool.submit(lambda: (stored or NOBODY).matches(password)))
        work.add_done_callback(self._done)
        return await asyncio.shield(work) and stored is not None

    def _done(self, work: "asyncio.Future[bool]") -> None:
        self._waiting -= 1
        if not work.cancelled():
            work.exception()


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # surrogatepass: JSON may hold lone surrogates, which must be a wrong password and not an error.
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=MAX_MEMORY, dklen=64)
