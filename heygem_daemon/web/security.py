"""Stand before every request: host and origin, who calls, the size and pace of bodies, the headers of every answer.

Plain ASGI: Starlette's BaseHTTPMiddleware puts a queue between an endpoint and its client, which streams of gigabytes and of events suffer
from.
"""

import asyncio
import re
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heygem_daemon.core.ports import Log
from heygem_daemon.service.log import StructLog
from heygem_daemon.web.access.identity import Identity, session_key
from heygem_daemon.web.access.origins import Headers, allowed_origins, check_host, check_origin, own_names
from heygem_daemon.web.answers import add_handlers, problem_answer
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import WebContext
from heygem_daemon.web.files.open_files import BrokenStreamError
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.words import language_of

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
STRICT_TRANSPORT: Final = "max-age=15552000"
"""Half a year of HTTPS only, for this name alone; where a proxy speaks HTTPS, the header is its business."""
COOKIE: Final = "heygem_session"
BODY_LIMIT: Final = 2 * 2**20
"""Bytes of a JSON body; a script of 200,000 characters takes up to 1.2 MB of it, escaped."""
LOGIN_BYTES: Final = 16 * 2**10
"""Bytes of the one body that is read before anybody is known: a name, and a password of 1000 characters, each up to 12 bytes escaped."""
OWN_LIMITS: Final = ("/api/v1/uploads", "/api/v1/faces")
"""Addresses that take files, and limit them themselves."""
BODY_IDLE: Final = 60.0
"""Seconds that a client may send nothing in the middle of a body."""
BODY_SECONDS: Final = 30.0
"""For a whole body that is no file; the largest needs a line of 560 kbit/s."""
DISCARDED_BYTES: Final = 32 * 2**20
DISCARD_SECONDS: Final = 2.0
"""How much of a refused body is still read, and for how long."""
ANSWER_IDLE: Final = 600.0
"""Seconds that a client may take nothing of an answer. Browsers leave a paused video standing, and ask again for what is missing."""

_REFUSED: Final = 400
_FOREIGN: Final = re.compile(r"[\\\x00-\x1f]")
"""What browsers take for a slash, or for nothing."""
_OPEN: Final = frozenset({"/login", "/favicon.ico", "/api/v1/health", "/api/v1/session"})
"""What needs no login, beside /static."""


def protect(app: FastAPI, context: WebContext) -> None:
    """Put the guard before an application, and answer its errors."""
    web = context.settings.web
    app.state.identity = Identity(web, context.accounts)
    app.state.log = StructLog(style=context.settings.log.format, level=context.settings.log.level)
    add_handlers(app)
    app.add_middleware(Guard, context=context, identity=app.state.identity, log=app.state.log)


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, *, context: WebContext, identity: Identity, log: Log) -> None:
        self._app = app
        self._web = context.settings.web
        self._identity = identity
        self._log = log
        self._names = own_names(self._web.hosts)
        self._origins = allowed_origins(self._web.origins)
        self._sessions: dict[bool, SessionMiddleware] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _headers(scope)
        language = language_of(",".join(headers.get("accept-language", [])), _cookies(headers).get("lang", ""))
        scope.setdefault("state", {})["language"] = language
        body = _Body(scope, headers, receive)
        answering = _Answering(send, scope, body)
        try:
            await self._serve(scope, body, answering, headers)
        except WebProblem as problem:
            await self._answer(problem_answer(problem, language), scope, receive, answering)
        except BrokenStreamError as broken:
            self._log("web_answer_cut", level="warning", path=scope["path"], problem=str(broken))
        except Exception as unexpected:  # noqa: BLE001 - the border of a request: any exception becomes its answer
            await self._answer(problem_answer(WebProblem("internal"), language), scope, receive, answering)
            self._log("web_request_failed", level="error", method=scope["method"], path=scope["path"], exc_info=unexpected)

    async def _answer(self, answer: Response, scope: Scope, receive: Receive, answering: "_Answering") -> None:
        """Send an answer; where another has begun, none: the server then cuts the connection."""
        if not answering.has_begun:
            await answer(scope, receive, answering)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        peer = (scope.get("client") or ("", 0))[0]
        is_https = self._identity.is_https(headers, peer, scope["scheme"])
        check_host(headers, self._names)
        check_origin(scope["method"], headers, "https" if is_https else "http", self._origins)
        scope["state"]["address"] = self._identity.client_address(headers, peer)
        await self._session(is_https)(scope, receive, send)

    def _session(self, is_https: bool) -> SessionMiddleware:
        """Return the middleware of the sessions, made at the first request: only then the key is read."""
        if is_https not in self._sessions:
            self._sessions[is_https] = SessionMiddleware(
                self._identified,
                session_key(self._web.state),
                session_cookie=COOKIE,
                max_age=round(self._web.session_hours * 3600),
                # Not strict: a link in a mail would lead to the login. Changes are protected by their Origin.
                same_site="lax",
                https_only=is_https,
            )
        return self._sessions[is_https]

    async def _identified(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of somebody who may make it."""
        peer = (scope.get("client") or ("", 0))[0]
        path, language = scope["path"], scope["state"]["language"]
        try:
            scope["state"]["caller"] = self._identity.caller(_headers(scope), peer, scope["session"], language)
        except WebProblem:
            if _is_open(path):
                scope["state"]["caller"] = Caller(is_admin=False, language=language)
            elif path.startswith("/api/") or scope["method"] not in {"GET", "HEAD"} or not self._identity.has_users:
                raise
            else:
                await RedirectResponse(f"/login?next={quote(_wanted(scope), safe='/')}", status_code=303)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith("/static/")


def _wanted(scope: Scope) -> str:
    """Return the address in a request; "/" for one that a browser could take for that of another server."""
    path: str = scope["path"]
    if _FOREIGN.search(path) or not path.startswith("/") or not {"", ".", ".."}.isdisjoint(path.split("/")[1:-1]):
        return "/"
    return path + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")


class _Answering:
    """The way of an answer to the client: adds the headers of every answer, and does not wait for ever for a client that takes nothing."""

    def __init__(self, send: Send, scope: Scope, body: "_Body") -> None:
        self._send = send
        self._path: str = scope["path"]
        self._is_tls = scope["scheme"] == "https"
        self._body = body
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            if message["status"] >= _REFUSED:
                await self._body.discard_rest()
            self._add_headers(MutableHeaders(scope=message))
        try:
            async with asyncio.timeout(ANSWER_IDLE):
                await self._send(message)
        except TimeoutError:
            raise BrokenStreamError(f"the client took nothing for {ANSWER_IDLE:.0f} s") from None

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if self._is_tls:
            headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
        # Static files have validators: a browser asks whether they are still right, and gets 304.
        headers.setdefault("Cache-Control", "no-cache" if self._path.startswith("/static/") else "no-store")


class _Body:
    """The body of a request, with limits of size and pace. Reading it raises WebProblem: `request_too_large`, `request_timeout`."""

    def __init__(self, scope: Scope, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self._limit = _body_limit(scope["path"])
        self._deadline: float | None = None
        declared = (headers.get("content-length") or ["0"])[0]
        self._declared = int(declared[:20]) if declared.isdecimal() else 0
        self._waits_for_word = "expect" in headers
        self._received = 0
        self._is_complete = False

    async def __call__(self) -> Message:
        if not self._received and self._is_too_large(self._declared):
            raise WebProblem("request_too_large", limit=self._limit, headers={"Connection": "close"})
        if self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout(self._patience()):
                message = await self._next()
        except TimeoutError:
            raise WebProblem("request_timeout", headers={"Connection": "close"}) from None
        if self._is_too_large(self._received):
            raise WebProblem("request_too_large", limit=self._limit, headers={"Connection": "close"})
        return message

    def _patience(self) -> float:
        """Return for how many seconds the next part is waited for."""
        if self._limit is None:
            return BODY_IDLE
        now = asyncio.get_running_loop().time()
        if self._deadline is None:  # since somebody reads
            self._deadline = now + BODY_SECONDS
        return max(0.0, min(BODY_IDLE, self._deadline - now))

    def _is_too_large(self, count: int) -> bool:
        return self._limit is not None and count > self._limit

    async def _next(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        return message

    async def discard_rest(self) -> None:
        """Read what the client still sends, for a while: a connection that is closed with unread bytes in it is reset, and the client
        would lose the answer that refuses them (RFC 9112, 9.6)."""
        end = self._received + DISCARDED_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while not self._is_complete and self._received < end and not self._waits_for_word:
                    await self._next()


def _body_limit(path: str) -> int | None:
    """Return the largest body of an address in bytes; None where it limits files itself."""
    if path.startswith(OWN_LIMITS):
        return None
    return LOGIN_BYTES if path == "/api/v1/session" else BODY_LIMIT


def _headers(scope: Scope) -> Headers:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _cookies(headers: Headers) -> dict[str, str]:
    return cookie_parser("; ".join(headers.get("cookie", [])))
