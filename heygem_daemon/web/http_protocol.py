"""HTTP/1.1 of uvicorn with limits that it lacks: the head of a request, what comes between requests, one client's connections.

Its keep-alive time begins after the first answer and ends with any byte that follows, be it a line end or the rest of a body that was
refused; and a connection that is closed waits for ever for a client that does not take the end of its answer.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from heygem_daemon.web.access.login_limiter import network_of

HEAD_SECONDS: Final = 15.0
"""From the connection, or from the first byte that follows an answer, to the end of a head."""
HEAD_BYTES: Final = 64 * 1024
PEER_CONNECTIONS: Final = 100
"""Of one address (of one /64 in IPv6) at a time: an office may stand behind one address, and a browser holds up to 6, one of them for as
long as a live screen is open. A fifth of all (server.CONNECTIONS), so that nobody alone can use them up."""
FLUSH_SECONDS: Final = 60.0
"""How long a connection that was closed waits for its client to take what was written."""
STALLED_SECONDS: Final = 630.0
"""How long a client may take nothing of more than that; the answer itself has given up before (security.ANSWER_IDLE)."""
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\nRetry-After: 15\r\n"
    b"Connection: close\r\n\r\ntoo many connections\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request head takes too long or too much, and those of a client that has too many."""

    household = ""
    """What stands for the client; "" for a proxy, behind which many are."""
    _head_timer: asyncio.TimerHandle | None = None
    _flush_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_head = True

    @staticmethod
    def is_proxy(_peer: str) -> bool:
        """Return whether many clients may stand behind an address."""
        return False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()
        peer = self.client[0] if self.client else ""
        self.household = "" if self.is_proxy(peer) else network_of(peer)
        if self.household and sum(getattr(each, "household", "") == self.household for each in self.connections) > PEER_CONNECTIONS:
            transport.write(_FULL)
            self._refuse()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        for timer in (self._flush_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            # The last piece may hold the beginning of a body; a read is 256 KB at most, and counted only while a head is incomplete.
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            self._flush_in_time()
        elif self._is_in_head and self._head_bytes > HEAD_BYTES:
            self._refuse()
        elif self._head_timer is None and self.cycle is not None and self.cycle.response_complete:
            # Bytes that begin no request have ended the keep-alive time. More of them do not lengthen this one.
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        if self._head_timer is None:
            self._start_timer()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._flush_in_time()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._flush_in_time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().resume_writing()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, *_: Any) -> None:
        if not self.transport.is_closing():
            self.transport.close()
        self._flush_in_time()

    def _flush_in_time(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = self.loop.call_later(FLUSH_SECONDS, self.transport.abort)


def protocol_behind(is_proxy: Callable[[str], bool]) -> type[BoundedProtocol]:
    """Return the protocol for a page that knows the proxies in front of it."""
    return type("ProxiedProtocol", (BoundedProtocol,), {"is_proxy": staticmethod(is_proxy)})
