"""InlineExecutor keeps the contract."""

import pytest

from heygem_daemon.executors.inline import InlineExecutor
from tests.executors.contract import ExecutorContract
from tests.executors.sessions import Scripted


class TestInlineExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self):
        executor = InlineExecutor(Scripted)
        yield executor
        executor.stop(0.0)
