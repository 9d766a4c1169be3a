"""An answer whose body is read while it is sent: it ends at once when the client hangs up, and is cut when it cannot be finished."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class StreamedAnswer(Response):
    """Sends the parts that `open_body` yields, which must have `length` bytes together. No body for HEAD. `close` is called at the end.

    Starlette's StreamingResponse would read a whole file for a client that has gone: its server takes in silence what it cannot send.
    """

    def __init__(
        self,
        open_body: Callable[[], AsyncGenerator[bytes, None]],
        *,
        length: int,
        headers: Mapping[str, str],
        status: int = HTTPStatus.OK,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(status_code=status, headers={**headers, "Content-Length": str(length)})
        self._open_body = open_body
        self._close = close

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        # Response would add a Content-Length of its empty body.
        self.raw_headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises BrokenStreamError."""
        hung_up = asyncio.create_task(_hung_up(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD" and not await self._send_body(send, hung_up):
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            hung_up.cancel()
            self._close()

    async def _send_body(self, send: Send, hung_up: "asyncio.Task[None]") -> bool:
        """Send the parts; return False where the client has gone."""
        async with aclosing(self._open_body()) as parts:
            async for part in parts:
                if hung_up.done():
                    return False
                await send({"type": "http.response.body", "body": part, "more_body": True})
        return True


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
