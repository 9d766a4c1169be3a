"""Every error a user can meet, as a tree; error_catalog.py has their codes, sentences and hints.

HeygemError
├── InputError       the dropped material is wrong: refused at once, never retried
├── TransientError   the surroundings are wrong (share gone, disk low, GPU lost): waits, costs no attempt
│   └── SetupError   the installation is wrong (ffmpeg or a model missing): waits until an administrator fixes it
└── EngineError      the engine or its worker broke: one more try in a fresh worker
    └── DeviceError  the accelerator ran out of memory or was lost: counts towards the breaker
"""

from collections.abc import Mapping
from traceback import format_exception
from typing import Any, ClassVar, Final

from heygem_daemon.core.error_catalog import CATALOG, ErrorKind
from heygem_daemon.core.shorten import shortened

MAX_DETAIL: Final = 400
"""Characters of a detail of an error: a file name of 255 bytes fits, a whole file that somebody put into a name does not."""
MAX_PATH: Final = 2000
"""The same of a path, and of a command that names one."""
MAX_SENTENCE: Final = 4000
"""Characters of a sentence or a hint."""
MAX_TRACE: Final = 16_000
"""Characters of a traceback."""
_PATHS: Final = frozenset({"path", "command"})


class HeygemError(Exception):
    """An error with a stable `code`, a sentence (`message`), a `hint`, its `kind` and whether trying again can help (`retryable`)."""

    kind: ClassVar[ErrorKind] = ErrorKind.ENGINE
    retryable: ClassVar[bool] = False

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(shortened(message, MAX_SENTENCE))
        self.code = code
        self.message = shortened(message, MAX_SENTENCE)
        self.hint = shortened(hint, MAX_SENTENCE)
        self.trace = ""
        """Of an error that nobody foresaw: where in the program it happened, for the log."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.code, self.message, self.hint), {"trace": self.trace})


class InputError(HeygemError):
    """The dropped material is wrong."""

    kind = ErrorKind.INPUT


class TransientError(HeygemError):
    """The surroundings are wrong for the moment."""

    kind = ErrorKind.TRANSIENT
    retryable = True


class SetupError(TransientError):
    """The installation is wrong; an administrator must act."""

    kind = ErrorKind.SETUP


class EngineError(HeygemError):
    """The engine or its worker broke."""

    kind = ErrorKind.ENGINE
    retryable = True


class DeviceError(EngineError):
    """The accelerator failed."""

    kind = ErrorKind.DEVICE


_CLASSES: Final[Mapping[ErrorKind, type[HeygemError]]] = {
    each.kind: each for each in (InputError, TransientError, SetupError, EngineError, DeviceError)
}


def error(code: str, **details: object) -> HeygemError:
    """Return the error of the row `code` of the catalog, its sentence filled with `details`, long ones shortened; raise it yourself."""
    spec = CATALOG[code]
    shown = {key: _shown(key, value) for key, value in details.items()}
    return _CLASSES[spec.kind](code, spec.message.format(**shown), spec.hint.format(**shown))


def _shown(key: str, value: object) -> object:
    return shortened(value, MAX_PATH if key in _PATHS else MAX_DETAIL) if isinstance(value, str) else value


def restored_error(code: str, message: str, hint: str) -> HeygemError:
    """Return an error of the catalog whose sentences another process has filled; raise it yourself."""
    return _CLASSES[CATALOG[code].kind](code, message, hint)


def unforeseen(problem: BaseException, known: HeygemError | None = None) -> HeygemError:
    """Return `internal` (or `known`) for an exception that nobody foresaw, with its traceback; raise it yourself."""
    found = known or error("internal", problem=f"{type(problem).__name__}: {problem}")
    found.trace = trace_of(problem)
    return found


def trace_of(problem: BaseException) -> str:
    """Return the traceback of an exception as text of limited length: the beginning, and the end, which names what was raised."""
    text = "".join(format_exception(problem))
    return text if len(text) <= MAX_TRACE else f"{text[: MAX_TRACE // 2]}\n[...]\n{text[-MAX_TRACE // 2 :]}"
