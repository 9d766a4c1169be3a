"""Keep costly fixtures on disk: the first test process builds one, the others and later runs read it.

For fixtures only. A test that asserts that something is built builds it itself, in a folder of its own.
"""

import fcntl
import hashlib
import importlib.metadata
import inspect
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / ".cache" / "tests"
KEPT_SECONDS: Final = 1800
"""Results of other code are deleted after they have not been used for this long; another run may still be reading them."""


def cached(name: str, build: Callable[[Path], object], *, is_of_product: bool = True) -> Path:
    """Return the read-only folder that `build` has filled, in this process or another one; it is there whole or not at all.

    The folder is built again after any change of what fixtures depend on: the file of `build`, the installed versions of the libraries, of
    the interpreter and of ffmpeg; with `is_of_product` also the code of the package, the conftest files and helpers of the tests, and the
    model files.
    """
    return _cached(FOLDER, name, _key(inspect.getsourcefile(build) or "", is_of_product), build)


def _cached(folder: Path, name: str, key: str, build: Callable[[Path], object]) -> Path:
    result = folder / f"{name}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released by the kernel when the process ends, however it ends
        if not result.is_dir():
            partial = folder / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            build(partial)
            _delete_unused(folder, name)
            partial.rename(result)
        os.utime(result)
    return result


def _delete_unused(folder: Path, name: str) -> None:
    for path in folder.glob(f"{name}-{'[0-9a-f]' * 16}"):
        if time.time() - path.stat().st_mtime > KEPT_SECONDS:
            doomed = folder / f"{name}.removed"  # renamed first: a half-deleted folder must not pass for a whole one
            shutil.rmtree(doomed, ignore_errors=True)
            path.rename(doomed)
            shutil.rmtree(doomed)


@lru_cache
def _key(builder: str, is_of_product: bool) -> str:
    digest = hashlib.sha256(_versions().encode())
    for path in (*(_inputs() if is_of_product else ()), Path(__file__), Path(builder)):
        digest.update(f"{path.name} {path.stat().st_size} ".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@lru_cache
def _versions() -> str:
    ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True, timeout=60).stdout
    packages = sorted(f"{each.name} {each.version}" for each in importlib.metadata.distributions())
    return f"{sys.version} {ffmpeg} {packages}"


def _inputs() -> Iterator[Path]:
    yield from sorted((ROOT / "heygem_daemon").rglob("*.py"))
    yield from sorted((ROOT / "tests").rglob("conftest.py"))
    yield from sorted(path for path in (ROOT / "tests" / "lipsync").rglob("*.py") if not path.name.startswith("test_"))
    yield from sorted(path for path in (ROOT / "weights").iterdir() if path.suffix in {".tflite", ".safetensors"})
