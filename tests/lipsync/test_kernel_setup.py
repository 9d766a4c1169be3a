"""Every kernel that is called from Python is compiled at set-up, for as many arguments as it has, and depends on no other module."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from heygem_daemon.lipsync.imaging.kernels import warm_up
from heygem_daemon.lipsync.kernel_files import kernel_sources
from heygem_daemon.lipsync.kernel_setup import WARM_UPS

KERNELS: Final = "heygem_daemon.lipsync.imaging.kernels"
MAY_BE_IMPORTED: Final = ("heygem_daemon.lipsync.arrays", "heygem_daemon.lipsync.compiled", "heygem_daemon.lipsync.kernel_files", KERNELS)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of everything that a file imports from the package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("heygem_daemon"):
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_every_kernel_that_is_called_from_python_is_compiled_at_set_up(root: Path) -> None:
    called = {
        name
        for path in (root / "heygem_daemon").rglob("*.py")
        if path not in kernel_sources()
        for module, name in imports(path)
        if module.startswith(f"{KERNELS}.")
    }
    functions = {name for name in called if not name.isupper() and name != "warm_up"}
    assert len(functions) > 5
    assert functions <= {kernel.py_func.__name__ for kernel, _ in warm_up.signatures()}


def test_the_types_are_those_of_all_arguments() -> None:
    for kernel, types in warm_up.signatures():
        assert len(inspect.signature(kernel.py_func).parameters) == len(types), kernel.py_func.__name__


@pytest.mark.parametrize("name", WARM_UPS)
def test_every_part_offers_its_warm_up(name: str) -> None:
    assert callable(importlib.import_module(name).warm_up)


def test_kernels_depend_on_nothing_that_their_machine_code_is_not_compared_with() -> None:
    foreign = [
        f"{path.name} imports {module}.{name}"
        for path in kernel_sources()
        for module, name in imports(path)
        if module not in MAY_BE_IMPORTED and not module.startswith(f"{KERNELS}.")
    ]
    assert foreign == []
