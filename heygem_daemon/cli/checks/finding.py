"""A finding and how bad it is."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """A note is as well as `ok`: worth knowing, nothing to mend."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`mend` is a command, or a sentence where no command can do it, that puts it right."""

    severity: Severity
    what: str
    mend: str = ""


def ok(what: str) -> Finding:
    return Finding(severity=Severity.OK, what=what)


def note(what: str, mend: str = "") -> Finding:
    return Finding(severity=Severity.NOTE, what=what, mend=mend)


def warning(what: str, mend: str) -> Finding:
    return Finding(severity=Severity.WARNING, what=what, mend=mend)


def fault(what: str, mend: str) -> Finding:
    return Finding(severity=Severity.ERROR, what=what, mend=mend)
