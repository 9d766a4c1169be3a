"""Every error a user can meet, as a tree; error_catalog.py has their codes, sentences and hints.

HeygemError
├── InputError       the dropped material is wrong: refused at once, never retried
├── TransientError   the surroundings are wrong (share gone, disk low, GPU lost): waits, costs no attempt
│   └── SetupError   the installation is wrong (ffmpeg or a model missing): waits until an administrator fixes it
└── EngineError      the engine or its worker broke: one more try in a fresh worker
    └── DeviceError  the accelerator ran out of memory or was lost: counts towards the breaker
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from heygem_daemon.core.error_catalog import CATALOG, ErrorKind


class HeygemError(Exception):
    """An error with a stable `code`, a sentence (`message`), a `hint`, its `kind` and whether trying again can help (`retryable`)."""

    kind: ClassVar[ErrorKind] = ErrorKind.ENGINE
    retryable: ClassVar[bool] = False

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.code, self.message, self.hint))


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
    """Return the error of the row `code` of the catalog, its sentence filled with `details`; raise it yourself."""
    spec = CATALOG[code]
    return _CLASSES[spec.kind](code, spec.message.format(**details), spec.hint.format(**details))


def restored_error(code: str, message: str, hint: str) -> HeygemError:
    """Return an error of the catalog whose sentences another process has filled; raise it yourself."""
    return _CLASSES[CATALOG[code].kind](code, message, hint)
