import pytest

from heygem_daemon.ledger.memory import MemoryLedger
from tests.ledger.contract import LedgerContract


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        return MemoryLedger()


def test_closing_it_keeps_nothing_open() -> None:
    MemoryLedger().close()
