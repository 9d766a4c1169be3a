"""The exit codes of `heygem`."""

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """The code that a command returns to the shell; MEANINGS describes each."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    SOME_FAILED = 3
    WARNINGS = 4
    UNREPORTED = 5


MEANINGS: Final = {
    ExitCode.OK: "all well",
    ExitCode.PROBLEM: "a problem was found",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.SOME_FAILED: "some results failed",
    ExitCode.WARNINGS: "warnings only",
    ExitCode.UNREPORTED: "the daemon runs, but what its status shows is old",
}
"""For `heygem --help` and the manual page."""
