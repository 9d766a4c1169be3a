"""Where the machine code of the compiled kernels lies, and whether all of it is there. Imports nothing heavy.

It lies beside the source where that was compiled by who may write there (a checkout, an installation by root), for everybody to read; else
in the user's own cache. `complete.json` there says for which sources, versions and CPU all of it was compiled: with it nothing is compiled.
"""

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from heygem_daemon.durable import sync_folder, write_durably

_SOURCE: Final = Path(__file__).parent
BESIDE_THE_SOURCE: Final = _SOURCE / "__pycache__" / "kernels"
KERNEL_SOURCES: Final = ("imaging/kernels/*.py", "speech/high_pass.py", "compiled.py")
"""The modules with compiled functions, and what their machine code depends on. They import nothing else of the package but `arrays`."""
MANIFEST: Final = "complete.json"

_IMPORTED: Final = re.compile(r"^from heygem_daemon\.lipsync\.([\w.]+) import ", re.MULTILINE)


def kernel_sources() -> tuple[Path, ...]:
    """Return the source files with compiled functions."""
    return tuple(sorted(path for pattern in KERNEL_SOURCES for path in _SOURCE.glob(pattern)))


@lru_cache(maxsize=1)
def code_folder() -> Path:
    """Return where this process reads machine code from and writes it to: a complete one, else one that it may write to."""
    places = (BESIDE_THE_SOURCE, own_folder())
    complete = next((place for place in places if is_complete(place)), None)
    return complete or (places[0] if _may_write(places[0]) else places[1])


def own_folder() -> Path:
    """Return the folder in the user's cache: $NUMBA_CACHE_DIR, $XDG_CACHE_HOME/heygem or ~/.cache/heygem."""
    if own := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(own) / "kernels"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  (Path.home raises where there is none)
    return Path(home) / "heygem" / "kernels"


def is_complete(folder: Path) -> bool:
    """Return whether `folder` holds the machine code of all kernels for this version, this Python and this CPU, undamaged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        has_files = all(_is_whole(folder / name, size) for name, size in manifest["files"].items())
        return has_files and bool(manifest["of"] == fingerprint())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def _is_whole(path: Path, size: int) -> bool:
    """Return whether a file has its size; an index (.nbi) grows when a kernel is called with further types."""
    found = path.stat().st_size
    return found >= size if path.suffix == ".nbi" else found == size


def write_manifest(folder: Path, in_use: Iterable[str]) -> None:
    """Note that `folder` is complete, on disk for good; remove the files of kernels that are no more. Raises OSError.

    in_use: how the names of files of today's kernels begin.
    """
    beginnings = tuple(f"{name}." for name in in_use)
    sizes = {}
    for path in sorted([*folder.glob("*.nbi"), *folder.glob("*.nbc")]):
        if not path.name.startswith(beginnings):
            path.unlink(missing_ok=True)
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sizes[path.name] = path.stat().st_size
    write_durably(folder / MANIFEST, json.dumps({"of": fingerprint(), "files": sizes}).encode(), mode=0o644)
    sync_folder(folder)


def fingerprint() -> str:
    """Return a digest of all that the machine code depends on."""
    digest = hashlib.sha256()
    for path in kernel_sources():
        digest.update(_digest(path))
    for word in (sys.version, version("numba"), version("llvmlite"), platform.machine(), *_cpu()):
        digest.update(word.encode())
    return digest.hexdigest()


def source_stamp(path: Path) -> str:
    """Return a digest of a source file with kernels and of those that it imports: what its functions call is compiled into them."""
    digest = hashlib.sha256()
    for each in sorted(_with_imports(path.resolve())):
        digest.update(_digest(each))
    return digest.hexdigest()


def _with_imports(path: Path) -> set[Path]:
    known, found = set(kernel_sources()), {path}
    fresh = [path]
    while fresh:
        for module in _imported(fresh.pop()):
            if module in known - found:
                found.add(module)
                fresh.append(module)
    return found


def _imported(path: Path) -> Iterator[Path]:
    for name in _IMPORTED.findall(path.read_text(encoding="utf-8")):
        place = _SOURCE.joinpath(*name.split("."))
        yield place.with_suffix(".py")
        yield place / "__init__.py"


@lru_cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _cpu() -> list[str]:
    """Return the model and the instructions of the CPU: machine code for one may crash on another."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return sorted(set(re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", text, flags=re.MULTILINE)))


def _may_write(folder: Path) -> bool:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(existing, os.W_OK | os.X_OK)
