"""The lines between the daemon and the process that opens the files of drops: JSON in ASCII, so that every name survives."""

import json
from dataclasses import asdict, dataclass
from typing import Self

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
        fields = json.loads(line)
        return cls(**{**fields, "limits": MediaLimits(**fields["limits"])})


@dataclass(frozen=True, kw_only=True)
class FileAnswer:
    """The length of the file in s, or the error that it has; `code` is "" without one."""

    number: int
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    hint: str = ""

    @classmethod
    def failed(cls, number: int, problem: HeygemError) -> Self:
        return cls(number=number, code=problem.code, message=problem.message, hint=problem.hint)

    def result(self) -> float:
        """Return the length. Raises the error."""
        if self.code:
            raise restored_error(self.code, self.message, self.hint)
        return self.seconds

    def encode(self) -> bytes:
        return _encode(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """Raises ValueError or TypeError for a line that is none."""
        return cls(**json.loads(line))


def _encode(fields: object) -> bytes:
    return json.dumps(fields).encode("ascii") + b"\n"
