"""Machine code of kernels: compiled once at set-up, loaded by everybody, never stale, and no error of a disk is an error of a job.

The tests work on a copy of the modules concerned, with two small kernels in place of the real ones.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

MODULES: Final = ("__init__.py", "durable.py", "lipsync/__init__.py", "lipsync/arrays.py", "lipsync/compiled.py")
SETUP_MODULES: Final = ("lipsync/kernel_files.py", "lipsync/kernel_setup.py")
KERNELS: Final = {
    "lipsync/speech/__init__.py": "",
    "lipsync/speech/high_pass.py": "def warm_up(): pass\n",
    "lipsync/imaging/__init__.py": "",
    "lipsync/imaging/kernels/__init__.py": "",
    "lipsync/imaging/kernels/inner.py": (
        "from heygem_daemon.lipsync.compiled import compiled_function\n\n\n@compiled_function\ndef twice(x):\n    return 2 * x\n"
    ),
    "lipsync/imaging/kernels/outer.py": (
        "from heygem_daemon.lipsync.compiled import compiled_function\n"
        "from heygem_daemon.lipsync.imaging.kernels.inner import twice\n\n\n"
        "@compiled_function\ndef thrice(x):\n    return twice(x) + x\n"
    ),
    "lipsync/imaging/kernels/warm_up.py": (
        "from heygem_daemon.lipsync.imaging.kernels.outer import thrice\n\n\ndef warm_up():\n    thrice(1.0)\n"
    ),
}
CALL: Final = (
    "from heygem_daemon.lipsync.imaging.kernels.outer import thrice\n"
    "print(thrice({argument}), sum(thrice.stats.cache_hits.values()), sum(thrice.stats.cache_misses.values()))\n"
)
COMPILED: Final = "heygem_daemon/lipsync/__pycache__/kernels"
_PR_CAPBSET_DROP: Final = 24
_CAP_DAC_OVERRIDE: Final = 1


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A tree in which everything is compiled."""
    tree = tmp_path_factory.mktemp("tree")
    package = tree / "heygem_daemon"
    for name in (*MODULES, *SETUP_MODULES):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "heygem_daemon" / name, package / name)
    for name, source in KERNELS.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(source, encoding="utf-8")
    assert "drawing loops" in set_up(tree)
    return tree


@pytest.fixture
def tree(built: Path, tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "tree"
    shutil.copytree(built, copy)
    yield copy
    for folder in (copy, *copy.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)


def make_read_only(tree: Path) -> None:
    for folder in (tree, *tree.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o555)


def python(tree: Path, *words: str) -> str:
    """Return what a process of somebody prints whose home is beside the tree, and to whom permissions apply, root or not."""
    environment = {"PYTHONPATH": str(tree), "XDG_CACHE_HOME": str(tree.parent / "home"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        (sys.executable, *words),
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=_drop_override,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _drop_override() -> None:
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def set_up(tree: Path) -> str:
    return python(tree, "-m", "heygem_daemon.lipsync.kernel_setup")


def call(tree: Path, argument: str = "1.5") -> list[str]:
    """Return [result, loaded, compiled] of a call in a fresh process."""
    return python(tree, "-c", CALL.format(argument=argument)).split()


def test_after_set_up_a_fresh_process_compiles_nothing(tree: Path) -> None:
    assert call(tree) == ["4.5", "1", "0"]
    assert set_up(tree) == ""


@pytest.mark.slow
def test_somebody_who_may_not_write_loads_what_is_there_and_keeps_nothing(tree: Path) -> None:
    make_read_only(tree)
    assert call(tree) == ["4.5", "1", "0"]
    assert set_up(tree) == ""
    assert call(tree, argument="2") == ["6", "0", "1"], "other types are compiled, and cannot be kept"
    assert not (tree.parent / "home").exists()


@pytest.mark.slow
def test_where_nothing_is_there_and_nothing_may_be_written_the_own_cache_is_used(tree: Path) -> None:
    shutil.rmtree(tree / COMPILED)
    make_read_only(tree)
    assert "drawing loops" in set_up(tree)
    assert call(tree) == ["4.5", "1", "0"]
    assert (tree.parent / "home" / "heygem" / "kernels" / "complete.json").exists()


@pytest.mark.slow
def test_a_damaged_file_is_compiled_again(tree: Path) -> None:
    (code,) = (tree / COMPILED).glob("outer.thrice*.nbc")
    code.write_bytes(code.read_bytes()[:1000])
    assert call(tree) == ["4.5", "0", "1"]
    assert "drawing loops" in set_up(tree)
    assert call(tree) == ["4.5", "1", "0"]


@pytest.mark.slow
def test_what_calls_a_changed_function_of_another_file_is_compiled_again(tree: Path) -> None:
    inner = tree / "heygem_daemon/lipsync/imaging/kernels/inner.py"
    inner.write_text(inner.read_text(encoding="utf-8").replace("2 * x", "20 * x"), encoding="utf-8")
    assert call(tree) == ["31.5", "0", "1"]
    assert "drawing loops" in set_up(tree)


@pytest.mark.slow
def test_types_that_came_later_do_not_make_it_incomplete(tree: Path) -> None:
    assert call(tree, argument="2") == ["6", "0", "1"]
    assert call(tree, argument="2") == ["6", "1", "0"]
    assert set_up(tree) == ""


@pytest.mark.slow
def test_several_processes_at_once_compile_for_one_another(tree: Path) -> None:
    shutil.rmtree(tree / COMPILED)
    report = (
        "from heygem_daemon.lipsync.kernel_setup import compile_kernels\n"
        "steps = []\n"
        "print(compile_kernels(lambda: steps.append(1)) is None, len(steps) > 1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    started = [
        subprocess.Popen((sys.executable, "-c", report), cwd="/", env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = sorted(process.communicate(timeout=300)[0].split() for process in started)
    assert [had_nothing_to_do for had_nothing_to_do, _ in answers] == ["False", "True", "True"]
    assert answers[0][1] == "True", "whoever compiles shows progress"
    assert call(tree) == ["4.5", "1", "0"]


@pytest.mark.slow
def test_the_files_of_kernels_that_are_no_more_are_removed(tree: Path) -> None:
    outer = tree / "heygem_daemon/lipsync/imaging/kernels/outer.py"
    outer.write_text("\n\n" + outer.read_text(encoding="utf-8"), encoding="utf-8")
    set_up(tree)
    assert len(list((tree / COMPILED).glob("outer.thrice*.nbi"))) == 1, "the name holds the line of the function"
