"""Serve an application over real HTTP from a thread of the test process."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import uvicorn
from fastapi import FastAPI

from heygem_daemon.web.http_protocol import BoundedProtocol


class _QuickServer(uvicorn.Server):
    """Stops within some milliseconds; uvicorn's own looks for the order ten times a second, and then waits as long once more."""

    async def main_loop(self) -> None:
        tick = 0  # sets the headers of all answers
        while not await self.on_tick(tick):
            tick = 1
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the sockets, give answers under way the graceful time, and end the application: what uvicorn's own does."""
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._answered(), self.config.timeout_graceful_shutdown)
        for task in self.server_state.tasks:
            task.cancel()
        await self.lifespan.shutdown()

    async def _answered(self) -> None:
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.005)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Run the application (its start and stop included) on a port that the system chooses; yield its address, http://127.0.0.1:PORT."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = _QuickServer(
            uvicorn.Config(app, log_level="warning", http=BoundedProtocol, ws="none", proxy_headers=False, timeout_graceful_shutdown=1)
        )
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, name="uvicorn", daemon=True)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the application did not start"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
