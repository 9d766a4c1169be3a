"""A finding and its severity."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is. A note is no problem: worth knowing, nothing to fix."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`fix` is the command that corrects it, or a sentence where no command can."""

    severity: Severity
    what: str
    fix: str = ""


def ok(what: str) -> Finding:
    return Finding(severity=Severity.OK, what=what)


def note(what: str, fix: str = "") -> Finding:
    return Finding(severity=Severity.NOTE, what=what, fix=fix)


def warning(what: str, fix: str) -> Finding:
    return Finding(severity=Severity.WARNING, what=what, fix=fix)


def fault(what: str, fix: str) -> Finding:
    return Finding(severity=Severity.ERROR, what=what, fix=fix)
