"""Put a hostile file through what the file of a user goes through: the inspection of the intake, then the reading of a worker."""

import json
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heygem_daemon.core.error_catalog import CATALOG, ErrorKind
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.intake.inspection_process import InspectionProcess
from heygem_daemon.media.types import DEFAULT_LIMITS
from tests.prove.bait import MemoryWatch, WatchedBait
from tests.prove.hostile_files import Case

LONGEST_MESSAGE = 500


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case. code: "accepted", or that of the error of the intake or of the worker. seconds: of both; memory: most bytes
    of all processes at once. wrong: what must not be, in words; "" where all is well."""

    case: Case
    code: str
    message: str
    seconds: float
    memory: int
    wrong: str


class Trial:
    """The two processes that open files, and what watches them."""

    def __init__(self, folder: Path, bait: WatchedBait, memory: MemoryWatch) -> None:
        self._folder, self._bait, self._memory = folder, bait, memory
        self._inspection = InspectionProcess(folder)
        self._worker = subprocess.Popen(
            (sys.executable, "-m", "tests.prove.worker_reading", str(folder)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._inspection.close()
        self._worker.communicate(timeout=60)

    def outcome(self, case: Case) -> Outcome:
        """Try a case."""
        path = self._folder / case.name
        path.write_bytes(case.content)
        self._memory.restart()
        began = time.monotonic()
        try:
            answer = self._answer(path, case)
        finally:
            path.unlink()
        code, message = answer.get("code", "accepted"), answer.get("message", "")
        touched = self._bait.touched()
        return Outcome(
            case=case,
            code=code,
            message=message,
            seconds=time.monotonic() - began,
            memory=self._memory.highest,
            wrong="; ".join([*touched, *_faults(code, message)]),
        )

    def _answer(self, path: Path, case: Case) -> dict[str, Any]:
        try:
            self._inspection.checked_seconds("inbox", path, DEFAULT_LIMITS, is_video=case.is_video)
        except HeygemError as problem:
            return {"code": problem.code, "message": problem.message}
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps({"path": str(path), "is_video": case.is_video}) + "\n")
        self._worker.stdin.flush()
        line = self._worker.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"code": "worker_died", "message": ""}
        return answer


def _faults(code: str, message: str) -> Iterator[str]:
    """Yield what is wrong with a verdict: one that is not in the catalog, not about the file, or not fit to be shown."""
    if code == "accepted":
        return
    if code not in CATALOG or CATALOG[code].kind is not ErrorKind.INPUT:
        yield f"the verdict {code} is not one about the file"
    if len(message) >= LONGEST_MESSAGE:
        yield f"a message of {len(message)} characters"
    if any(unicodedata.category(sign) in {"Cc", "Cf", "Cs"} for sign in message):
        yield "control characters in the message"
    if "SECRET" in message:
        yield "the secret in the message"


@contextmanager
def trial(folder: Path) -> Iterator[tuple[Trial, WatchedBait]]:
    """Yield what tries cases in `folder`, and its bait."""
    drop, outside = folder / "drop", folder / "outside"
    drop.mkdir()
    outside.mkdir()
    with WatchedBait(outside) as bait, MemoryWatch() as memory:
        tried = Trial(drop, bait, memory)
        try:
            yield tried, bait
        finally:
            tried.close()


def outcomes(tried: Trial, cases: Iterable[Case]) -> list[Outcome]:
    """Return what became of the cases."""
    return [tried.outcome(case) for case in cases]
