import inspect
from typing import get_type_hints

from heygem_daemon.core import ports


def test_every_question_of_a_port_names_the_types_of_its_answer() -> None:
    for protocol in (ports.Ledger, ports.Scanner, ports.Claims, ports.Inspector, ports.Executor, ports.Publisher, ports.StatusWriter):
        for name, method in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_"):
                assert "return" in get_type_hints(method), f"{protocol.__name__}.{name}"
