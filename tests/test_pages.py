"""The pages for developers name modules and functions that exist."""

import ast
import re
from pathlib import Path

import pytest

PAGES = (
    "docs/way-of-a-drop.md",
    "docs/from-speech-to-frame.md",
    "docs/glossary.md",
    "docs/architecture.md",
    "docs/library.md",
    "docs/web.md",
    "docs/drops.md",
    "docs/installation.md",
    "docs/monitoring.md",
    "docs/performance.md",
    "docs/security.md",
    "docs/shares.md",
    "CONTRIBUTING.md",
)
NAMED = re.compile(r"`([a-z_0-9/]+\.py)(?::([A-Za-z_.0-9]+))?`")
ROOTS = ("heygem_daemon", "", "tests")


def _definitions(tree: ast.AST, prefix: str = "") -> set[str]:
    """Return the qualified names of all classes, functions and assigned names."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found |= {prefix + node.name} | _definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {prefix + target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.If | ast.With | ast.Try):
            found |= _definitions(node, prefix)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_module_and_function_that_a_page_names_exists(root: Path, page: str) -> None:
    named = NAMED.findall((root / page).read_text(encoding="utf-8"))
    wrong = []
    for path, name in named:
        files = [file for folder in ROOTS if (file := root / folder / path).is_file()]
        if not files or (name and name not in _definitions(ast.parse(files[0].read_text(encoding="utf-8")))):
            wrong.append(f"{path}:{name}".rstrip(":"))
    assert wrong == []


def test_the_ways_of_a_drop_and_of_a_frame_name_their_functions(root: Path) -> None:
    for page in PAGES[:2]:
        assert len([name for _, name in NAMED.findall((root / page).read_text(encoding="utf-8")) if name]) > 20, page
