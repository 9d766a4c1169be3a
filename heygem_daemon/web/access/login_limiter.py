"""Slow down whoever guesses passwords, without locking others out: waits grow for one address, never for a user's name alone."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from heygem_daemon.web.problems import WebProblem

FREE_FOR_USER: Final = 5
"""Wrong passwords for one user from one address before the first wait."""
FREE_FOR_ADDRESS: Final = 20
"""The same for all users together: an office may stand behind one address."""
FIRST_WAIT: Final = 2.0
LONGEST_WAIT: Final = 300.0
"""Seconds; the wait doubles with every attempt."""
FORGET_AFTER: Final = 1800.0
"""Seconds without an attempt."""
MAX_ENTRIES: Final = 10_000
"""About 3 MB; beyond it the oldest is forgotten."""


@dataclass(kw_only=True)
class _Attempts:
    count: int = 0
    last: float = 0.0
    blocked_until: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _OfUser:
    user: str
    network: str


@dataclass(frozen=True, kw_only=True)
class _OfAddress:
    network: str


_Key = _OfUser | _OfAddress
"""Types of their own: no name of a user, however odd, counts as an address."""


class LoginLimiter:
    """Counts attempts. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: OrderedDict[_Key, _Attempts] = OrderedDict()

    def begin(self, user: str, address: str) -> None:
        """Count an attempt as a wrong one, before it is known: many at once gain nothing. Raises WebProblem (`too_many_attempts`)."""
        now = self._clock()
        user_key, address_key = _keys(user, address)
        limits = ((self._entry(user_key, now), FREE_FOR_USER), (self._entry(address_key, now), FREE_FOR_ADDRESS))
        wait = max(entry.blocked_until for entry, _ in limits) - now
        if wait > 0:
            seconds = int(wait) + 1
            raise WebProblem("too_many_attempts", seconds=seconds, headers={"Retry-After": str(seconds)})
        for entry, free in limits:
            entry.count += 1
            entry.last = now
            if entry.count >= free:
                entry.blocked_until = now + min(FIRST_WAIT * 2.0 ** min(entry.count - free, 20), LONGEST_WAIT)

    def succeeded(self, user: str, address: str) -> None:
        """Forget the attempts of this user from this address, and take back the one that was right."""
        user_key, address_key = _keys(user, address)
        self._attempts.pop(user_key, None)
        common = self._attempts.get(address_key)
        if common:
            common.count = max(0, common.count - 1)
            common.blocked_until = 0.0

    def _entry(self, key: _Key, now: float) -> _Attempts:
        entry = self._attempts.get(key)
        if entry is None or now - entry.last > FORGET_AFTER:
            entry = self._attempts[key] = _Attempts(last=now)
        self._attempts.move_to_end(key)
        while len(self._attempts) > MAX_ENTRIES:
            self._attempts.popitem(last=False)
        return entry


def _keys(user: str, address: str) -> tuple[_OfUser, _OfAddress]:
    network = network_of(address)
    return _OfUser(user=user[:64], network=network), _OfAddress(network=network)


def network_of(address: str) -> str:
    """Return what stands for one household: an IPv4 address, or the /64 of an IPv6 address, of which each has many."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)
