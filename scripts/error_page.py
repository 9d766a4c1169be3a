"""Write docs/errors.md from the tables of errors and warnings: `make docs`."""

from pathlib import Path
from typing import Final

from heygem_daemon.core.error_catalog import CATALOG, ErrorKind
from heygem_daemon.core.warning_codes import WARNINGS

PAGE: Final = Path(__file__).parents[1] / "docs" / "errors.md"

HEAD: Final = """# Errors and warnings

Generated from `heygem_daemon/core/error_catalog.py` and `warning_codes.py` by `make docs`; a test keeps it current.

Wherever something fails, `status.json` (and `reason.txt` beside inputs moved to `_failed/`) carries an error with a `code`, a
sentence (`message`), a `hint` and `retryable`. Codes are stable: scripts may match on them. Words in braces are filled in.
"""

KINDS: Final[tuple[tuple[ErrorKind, str, str], ...]] = (
    (
        ErrorKind.INPUT,
        "The dropped material is wrong",
        "Refused at once and never retried; the inputs go to `_failed/`, the other results go on.",
    ),
    (
        ErrorKind.TRANSIENT,
        "The surroundings are wrong",
        "The job waits (30 s, 2 min, then every 10 min) and goes on by itself. This costs no attempt.",
    ),
    (ErrorKind.SETUP, "The installation is wrong", "The job waits as above until an administrator has fixed it."),
    (
        ErrorKind.ENGINE,
        "The engine or its worker broke",
        "One more try in a fresh worker; a worker that dies counts up to `retry.attempts`.",
    ),
    (ErrorKind.DEVICE, "The accelerator failed", "As above; several in a row pause the queue for `retry.breaker_seconds`."),
)


def error_page() -> str:
    """Return the text of the page."""
    return "\n".join([HEAD, *(_section(*each) for each in KINDS), _warnings()])


def _section(kind: ErrorKind, title: str, policy: str) -> str:
    rows = [f"| `{code}` | {_cell(spec.message)} | {_cell(spec.hint)} |" for code, spec in CATALOG.items() if spec.kind is kind]
    return "\n".join([f"## {title}", "", policy, "", "| code | sentence | hint |", "|---|---|---|", *rows, ""])


def _warnings() -> str:
    rows = [f"| `{code}` | {_cell(spec.message)} | {_cell(spec.hint)} |" for code, spec in WARNINGS.items()]
    policy = (
        "The result was made and published; `warnings` of its item in `status.json` has the code. `file_ignored` stands in `warnings` of "
        "the job, with a sentence and a hint of its own. Somebody should look at it."
    )
    return "\n".join(["## Warnings", "", policy, "", "| code | sentence | hint |", "|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(error_page(), encoding="utf-8")
