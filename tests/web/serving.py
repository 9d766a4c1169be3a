"""Serve an application over real HTTP from a thread of the test process."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from fastapi import FastAPI

from heygem_daemon.web.http_protocol import BoundedProtocol


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Run the application (its start and stop included) on a port that the system chooses; yield its address, http://127.0.0.1:PORT."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
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
