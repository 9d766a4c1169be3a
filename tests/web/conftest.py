"""A temporary site for the page: two inboxes, outputs, a state folder; the application on it, and a client."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from heygem_daemon.core.names import MARKER
from heygem_daemon.settings import Disk, Inbox, Intake, Settings, Web
from heygem_daemon.web.app import create_app
from tests.web.serving import serving


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """Give all clients of this process one TLS context: to read the certificates of the system takes longer than many a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The first inbox of the site."""
    return _inbox(tmp_path / "inbox")


@pytest.fixture
def second_inbox(tmp_path: Path) -> Path:
    return _inbox(tmp_path / "urgent")


def _inbox(folder: Path) -> Path:
    folder.mkdir()
    (folder / MARKER).touch()
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path, inbox: Path, second_inbox: Path, outputs: Path) -> Settings:
    """The settings of the site. A test that needs others makes them from these: `settings.model_copy(update={...})`."""
    return Settings(
        inboxes=(Inbox(path=inbox), Inbox(path=second_inbox, priority=10)),
        outputs=outputs,
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        weights=tmp_path / "weights",
        corpus=tmp_path / "corpus",
        intake=Intake(answer_seconds=5.0),
        disk=Disk(reserve_bytes=0),
        web=Web(state=tmp_path / "web"),
    )


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The address of the running application: http://127.0.0.1:PORT."""
    with serving(app) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """A client of the running application, over real HTTP."""
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
