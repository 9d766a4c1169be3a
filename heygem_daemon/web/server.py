"""Run the page: check what it may listen on, open the port, serve until a signal comes."""

import errno
import ipaddress
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from fastapi import FastAPI

from heygem_daemon.core.ports import Log
from heygem_daemon.service.notify import SystemdNotifier
from heygem_daemon.settings import ConfigurationError, Settings
from heygem_daemon.web.access.accounts import Accounts, AccountsError, make_private_folder
from heygem_daemon.web.access.identity import session_key
from heygem_daemon.web.app import create_app
from heygem_daemon.web.http_protocol import protocol_behind

SHUTDOWN: Final = 2
"""Seconds that answers under way may still take when the page is stopped; event streams never end by themselves."""
KEEP_ALIVE: Final = 15
"""Seconds that a connection may stay idle between two requests."""
CONNECTIONS: Final = 500
"""At a time; beyond it clients get 503. Of one address: http_protocol.PEER_CONNECTIONS."""
_EXPECTED: Final = ("ASGI callable returned without completing response", "Unsupported upgrade request", "No supported WebSocket library")
"""Beginnings of messages that security.py has logged already, or that mean nothing."""

_HINTS: Final = {
    errno.EADDRINUSE: ": another program listens there; stop it, or choose another port with web.port or --port",
    errno.EACCES: ": ports below 1024 need a privilege; choose another one, or put a proxy in front",
    errno.EADDRNOTAVAIL: ": this machine has no such address",
}


def serve(settings: Settings, *, say: Callable[[str], object] = print) -> None:
    """Serve the page until SIGTERM or SIGINT. `say` gets the address, for a person. Raises ConfigurationError before it serves."""
    web = settings.web
    check(settings)
    listening = open_port(web.address, web.port)
    app = create_app(settings)
    log: Log = app.state.log
    _route_server_messages(log)
    address = url(settings, listening[0].getsockname())
    config = uvicorn.Config(
        app,
        http=protocol_behind(app.state.identity.is_proxy),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # X-Forwarded headers are read by security.py, from the proxies of the configuration only.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=SHUTDOWN,
        ssl_certfile=web.certificate or None,
        ssl_keyfile=web.key or None,
    )
    server = _Server(config, SystemdNotifier(), log, address, lambda: say(_announcement(settings, address)))
    server.run(sockets=listening)


class _Server(uvicorn.Server):
    """Tells systemd and the log when the page is ready and when it stops."""

    def __init__(self, config: uvicorn.Config, notifier: SystemdNotifier, log: Log, address: str, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._notifier = notifier
        self._log = log
        self._address = address
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._notifier.ready()
        self._log("web_started", address=self._address)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notifier.stopping()
        cast(FastAPI, self.config.app).state.context.index.close_streams()  # they would last until the graceful time is over
        await super().shutdown(sockets=sockets)
        self._log("web_stopped")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own would send the signal again at the end: this process would die of it instead of ending with 0.
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def check(settings: Settings) -> None:
    """Raise ConfigurationError for a configuration that would let everybody in, or cannot be served."""
    web = settings.web
    mistakes = [*_wrong_networks(web.proxy_addresses), *_wrong_certificate(web.certificate, web.key)]
    try:
        has_users = Accounts(web.state).are_needed
        make_private_folder(web.state)
        session_key(web.state)
    except AccountsError as problem:
        raise ConfigurationError(str(problem)) from None
    except OSError as failed:
        raise ConfigurationError(f"web.state: {failed.filename or web.state}: {failed.strerror or failed}") from None
    if not has_users and not web.proxy_header and not _is_loopback(web.address):
        mistakes.append(
            f"web.address = {web.address!r} lets other machines in, and there are no users: add one with "
            "`heygem web user add NAME --admin`, or name the header of a proxy in front (web.proxy_header), or use 127.0.0.1"
        )
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))


def _wrong_networks(addresses: tuple[str, ...]) -> list[str]:
    wrong = []
    for address in addresses:
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            wrong.append(f"web.proxy_addresses: {address!r} is neither an address nor a network")
    return wrong


def _wrong_certificate(certificate: str, key: str) -> list[str]:
    if not certificate and not key:
        return []
    if not certificate or not key:
        return ["web.certificate and web.key: name both, or neither"]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as failed:
        return [f"web.certificate {certificate}, web.key {key}: {getattr(failed, 'strerror', None) or failed}"]
    return []


def _is_loopback(address: str) -> bool:
    """Return whether only this machine reaches an address; a name counts by all that it stands for."""
    try:
        found = socket.getaddrinfo(address or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as failed:
        raise ConfigurationError(f"web.address {address!r}: {failed.strerror}") from None
    return all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found)


def open_port(address: str, port: int) -> list[socket.socket]:
    """Return listening sockets for every address that a name stands for. Raises ConfigurationError with what to do."""
    sockets: dict[str, socket.socket] = {}
    failures: list[OSError] = []
    for family, _, _, _, where in socket.getaddrinfo(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        host = str(where[0])
        try:
            if host not in sockets:
                both = host == "::" and socket.has_dualstack_ipv6()
                sockets[host] = socket.create_server((host, port), family=family, dualstack_ipv6=both)
        except OSError as failed:
            failures.append(failed)
    # A machine without IPv6 knows localhost as ::1 all the same; a port in use is an error for each of them.
    in_use = [failed for failed in failures if failed.errno == errno.EADDRINUSE]
    if failures and (in_use or not sockets):
        for each in sockets.values():
            each.close()
        first = (in_use or failures)[0]
        raise ConfigurationError(f"{address} port {port}: {os.strerror(first.errno or 0)}{_HINTS.get(first.errno or 0, '')}")
    return list(sockets.values())


def url(settings: Settings, name: Any) -> str:
    """Return the address to open in a browser, for a socket's name."""
    host, port = str(name[0]), int(name[1])
    if ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        host = socket.gethostname()
    scheme = "https" if settings.web.certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def _announcement(settings: Settings, address: str) -> str:
    with suppress(AccountsError):
        if Accounts(settings.web.state).are_needed:
            return f"heygem: the page is at {address}"
    if settings.web.proxy_header:
        return f"heygem: the page is at {address}, for users that the proxy names in {settings.web.proxy_header}"
    return f"heygem: the page is at {address} - without users: everybody on this machine may do everything"


def _route_server_messages(log: Log) -> None:
    logger = logging.getLogger("uvicorn.error")
    logger.handlers = [_Handler(log)]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    # asyncio reports what clients do to their connections (resets in the middle of TLS ...).
    noisy = logging.getLogger("asyncio")
    noisy.handlers, noisy.propagate = [_Handler(log)], False
    noisy.setLevel(logging.ERROR)


class _Handler(logging.Handler):
    """Writes the messages of the server below as lines of our log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage().strip()
        if line.startswith(_EXPECTED):
            return
        level = "error" if record.levelno >= logging.ERROR else "warning"
        problem = record.exc_info[1] if record.exc_info else None
        if type(problem).__name__ == "CancelledError":  # a stream that was cut at the end
            return
        try:
            self._log("web_server", level=level, line=line[:500], exc_info=problem)
        except Exception:  # noqa: BLE001 - a log line is no reason to end
            sys.stderr.write(f"{line}\n")
