"""The lines between the daemon and the process that opens the files of drops: JSON in ASCII, so that every name survives."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Self

from heygem_daemon.core.error_catalog import CATALOG
from heygem_daemon.core.errors import HeygemError, restored_error
from heygem_daemon.media.types import MediaLimits


@dataclass(frozen=True, kw_only=True)
class FileRequest:
    """Check the video or the recording `path` of an inbox within `limits`."""

    number: int
    inbox: str
    path: str
    is_video: bool
    limits: MediaLimits

    def encode(self) -> bytes:
        return _encode(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """Raises ValueError or TypeError for a line that is none."""
        fields = _decode(line)
        if not isinstance(fields.get("limits"), dict):
            raise ValueError("a request without limits")
        return cls(**{**fields, "limits": MediaLimits(**fields["limits"])})


@dataclass(frozen=True, kw_only=True)
class FileAnswer:
    """The length of the file in s, or the error that it has; `code` is "" without one, `trace` but for one that nobody foresaw."""

    number: int
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    hint: str = ""
    trace: str = ""

    @classmethod
    def failed(cls, number: int, problem: HeygemError) -> Self:
        return cls(number=number, code=problem.code, message=problem.message, hint=problem.hint, trace=problem.trace)

    def result(self) -> float:
        """Return the length. Raises the error."""
        if self.code:
            problem = restored_error(self.code, self.message, self.hint)
            problem.trace = self.trace
            raise problem
        return self.seconds

    def encode(self) -> bytes:
        return _encode(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """Raises ValueError or TypeError for a line that is none."""
        answer = cls(**_decode(line))
        texts = (answer.code, answer.message, answer.hint)
        if type(answer.number) is not int or type(answer.seconds) not in {int, float} or not all(isinstance(text, str) for text in texts):
            raise ValueError("an answer with values of other types")
        if not 0 <= answer.seconds < math.inf or answer.code not in {"", *CATALOG}:
            raise ValueError("a length or a code that is none")
        return answer


def _decode(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except RecursionError as problem:
        raise ValueError("too deep") from problem
    if not isinstance(fields, dict):
        raise ValueError("no object")
    return fields


def _encode(fields: object) -> bytes:
    return json.dumps(fields).encode("ascii") + b"\n"
