"""InlineExecutor keeps the contract."""

from collections.abc import Iterator

import pytest

from heygem_daemon.executors.inline import InlineExecutor
from tests.executors.contract import ExecutorContract
from tests.executors.sessions import ScriptedSession


class TestInlineExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Iterator[InlineExecutor]:
        executor = InlineExecutor(ScriptedSession)
        yield executor
        executor.stop(0.0)
