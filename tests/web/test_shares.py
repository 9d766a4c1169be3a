"""Calls into shares: their time limit, and that a cancellation is never lost."""

import asyncio
from pathlib import Path

import pytest

from heygem_daemon.web.shares import Shares


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_a_cancellation_in_the_moment_of_the_result_is_not_lost(tmp_path: Path) -> None:
    """Else a task that polls goes on for ever, and with it a page that is to end."""
    shares = Shares(5)
    lost = 0
    for _ in range(200):
        task = asyncio.create_task(shares.call(tmp_path, lambda: None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        lost += not task.cancelled()
    shares.close()
    assert lost == 0
