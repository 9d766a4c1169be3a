"""Find out who makes a request: by a token, by the name that a proxy in front gives, or by the cookie of a login."""

import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from heygem_daemon.settings import Web
from heygem_daemon.web.access.accounts import (
    Accounts,
    Token,
    User,
    is_user_name,
    make_private_folder,
    normal_name,
    read_private,
    write_private,
)
from heygem_daemon.web.access.login_limiter import LoginLimiter
from heygem_daemon.web.access.origins import Headers
from heygem_daemon.web.access.passwords import PasswordChecker
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.problems import WebProblem

KEY_FILE: Final = "session.key"
MAX_ENDED: Final = 10_000
"""Sessions that were logged out and whose cookie has not expired; beyond it the oldest is forgotten."""

_Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


class Identity:
    """Who calls, and the logins of this process."""

    def __init__(self, settings: Web, accounts: Accounts) -> None:
        self.limiter = LoginLimiter()
        self.checker = PasswordChecker()
        self._settings = settings
        self._accounts = accounts
        self._proxies = _networks(settings.proxy_addresses)
        self._ended: OrderedDict[str, None] = OrderedDict()

    def caller(self, headers: Headers, peer: str, session: Mapping[str, Any], language: str) -> Caller:
        """Return who calls. Raises WebProblem (`login_required`), AccountsError."""
        secret = _bearer(headers)
        if secret is not None:
            token = self._accounts.token(secret)
            if token is None:
                raise WebProblem("login_required", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
            return Caller(name=token.user, is_admin=self._is_admin(token), language=language)
        named = self._named_by_proxy(headers, peer)
        if named:
            return Caller(name=named, is_admin=named in self._settings.admins, language=language)
        if not self.is_login_needed:
            return Caller(language=language)
        user = self._of_session(session)
        if user is None:
            raise WebProblem("login_required", headers={"WWW-Authenticate": "Bearer"})
        return Caller(name=user.name, is_admin=user.admin, language=language)

    @property
    def is_login_needed(self) -> bool:
        """Return whether a request without any sign of who makes it is refused. Raises AccountsError."""
        return self._accounts.are_needed or bool(self._settings.proxy_header)

    @property
    def has_users(self) -> bool:
        """Return whether there is somebody who could log in. Raises AccountsError."""
        return self._accounts.are_needed

    def is_proxy(self, peer: str) -> bool:
        """Return whether the other end of a connection is the proxy of the configuration; without `proxy_header` there is none.

        Any program on this machine could else name another client with every password that it tries."""
        if not self._settings.proxy_header:
            return False
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._proxies)

    def client_address(self, headers: Headers, peer: str) -> str:
        """Return the address of the client; behind the proxy the last one that X-Forwarded-For names, which the proxy itself put there."""
        if not self.is_proxy(peer):
            return peer
        named = ",".join(headers.get("x-forwarded-for", [])).rpartition(",")[2].strip()
        return named or peer

    def is_https(self, headers: Headers, peer: str, scheme: str) -> bool:
        """Return whether the browser speaks HTTPS, with us or with the proxy in front."""
        return scheme == "https" or (self.is_proxy(peer) and headers.get("x-forwarded-proto", [""])[-1].lower() == "https")

    def begin_session(self, session: dict[str, Any], user: User) -> None:
        """Fill a fresh session."""
        session.clear()
        session.update({"user": user.name, "stamp": user.password.stamp, "id": secrets.token_hex(16), "since": int(time.time())})

    def end_session(self, session: dict[str, Any]) -> None:
        """Empty a session, and refuse copies of its cookie from now on (until this process ends)."""
        if session.get("id"):
            self._ended[str(session["id"])] = None
            while len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)
        session.clear()

    def _is_admin(self, token: Token) -> bool:
        """Return whether a token is an administrator: one that acts as a user, no longer than he is one."""
        user = self._accounts.user(token.user)
        if user is not None:
            return token.admin and user.admin
        if token.user != token.name and self._settings.proxy_header:
            return token.admin and token.user in self._settings.admins
        return token.admin

    def _of_session(self, session: Mapping[str, Any]) -> User | None:
        """Return the user of a session that has neither been ended nor outlived his password."""
        if not session.get("id") or session["id"] in self._ended:
            return None
        user = self._accounts.user(str(session.get("user", "")))
        return user if user and user.password.stamp == session.get("stamp") else None

    def _named_by_proxy(self, headers: Headers, peer: str) -> str:
        if not self.is_proxy(peer):
            return ""
        values = headers.get(self._settings.proxy_header.lower(), [])
        if not values or values == [""]:
            return ""
        # A header twice is one that the proxy did not replace.
        name = normal_name(values[0].encode("latin-1").decode("utf-8", "replace")) if len(values) == 1 else ""
        if not is_user_name(name):
            raise WebProblem("login_required")
        return name


def session_key(state: Path) -> str:
    """Return the key that signs the sessions, made when it is first needed. Raises OSError."""
    path = state / KEY_FILE
    for _ in range(2):
        try:
            key = read_private(path, 1000).decode("ascii", "replace").strip()
        except FileNotFoundError:
            key = ""
        if len(key) >= 64:  # hexadecimal digits of 32 bytes
            return key
        make_private_folder(state)
        write_private(path, secrets.token_hex(32).encode() + b"\n")
    raise OSError(f"{path} cannot be written")


def _bearer(headers: Headers) -> str | None:
    values = headers.get("authorization", [])
    if not values:
        return None
    kind, _, secret = values[0].partition(" ")
    if kind.lower() != "bearer":
        return None  # a proxy in front may ask for a password of its own (Basic)
    return secret.strip() if len(values) == 1 else ""


def _networks(addresses: Iterable[str]) -> _Networks:
    """Return the networks that the configuration names; server.py has refused what is none."""
    found = []
    for address in addresses:
        try:
            found.append(ipaddress.ip_network(address, strict=False))
        except ValueError:
            continue
    return tuple(found)
