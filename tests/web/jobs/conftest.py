"""A page that polls quickly, a daemon that writes status files, and a client of a page with users."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from heygem_daemon.settings import Settings
from heygem_daemon.web.app import create_app
from tests.web.serving import serving
from tests.web.site import Daemon, quick_polls


@pytest.fixture(autouse=True)
def _quick_polls() -> Iterator[None]:
    with quick_polls():
        yield


@pytest.fixture
def daemon(outputs: Path, inbox: Path, second_inbox: Path) -> Daemon:
    """A daemon that has just shown a sign of life."""
    daemon = Daemon(outputs, (inbox, second_inbox))
    daemon.beat()
    return daemon


@pytest.fixture
def people(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a page with users; the header X-User names who calls, and `manager` is an administrator."""
    web = settings.web.model_copy(update={"proxy_header": "X-User", "admins": ("manager",)})
    with serving(create_app(settings.model_copy(update={"web": web}))) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client
