"""Structured logs: journal entries as a service, JSON lines on a pipe, colours on a terminal; one stable event name per line."""

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from traceback import format_exception_only
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.journal import JournalLogger, field_value, journal_entry
from heygem_daemon.service.message_template import one_line, truncated
from heygem_daemon.service.systemd import is_journal_stream, journal_is_there

MAX_FIELD: Final = 2000
"""Characters of a text in a line."""
_NOT_IN_LINES: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
MAX_TRACE: Final = 32_000
"""Characters of a traceback."""
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class UnknownEventError(ValueError):
    """A line was logged under a name that service.events does not list."""


def _require_known_event(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    if line["event"] not in EVENTS:
        raise UnknownEventError(str(line["event"]))
    return line


def message_of(line: Mapping[str, Any]) -> str:
    """Return the sentence for people, with the name and message of an exception but not its traceback."""
    message = EVENTS[line["event"]].sentence(line)
    problem = _exception(line.get("exc_info"))
    if problem:
        message = f"{message}: {one_line(''.join(format_exception_only(problem)).strip())}"
    left_out = line.get("left_out")
    return f"{message} ({left_out} more lines like this one were left out)" if left_out else message


def _add_message(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    line["message"] = message_of(line)
    return line


def _exception(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    if isinstance(exc_info, BaseException):
        return exc_info
    return sys.exception() if exc_info else None


def json_line(text: str) -> str:
    """Return JSON as one line that every reader and every stream takes: lone surrogates (names that are not UTF-8), and what some take for
    the end of a line or a command to a terminal, become JSON escapes."""
    return _NOT_IN_LINES.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _as_line(_logger: WrappedLogger, _method: str, text: str) -> str:
    return json_line(text)


def _bound_trace(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Shorten a traceback in its middle: its end names the error."""
    if "exception" in line:
        line["exception"] = truncated(str(line["exception"]), MAX_TRACE)
    return line


def _printable_fields(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Escape what a terminal would take for a command; a traceback keeps its lines."""
    return {key: field_value(value) if isinstance(value, str) else value for key, value in line.items()}


_COMMON_PROCESSORS: Final[tuple[Processor, ...]] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=False),
)
_JSON_PROCESSORS: Final[tuple[Any, ...]] = (
    *_COMMON_PROCESSORS,
    _add_message,
    structlog.processors.format_exc_info,
    _bound_trace,
    structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
    _as_line,
)
_JOURNAL_PROCESSORS: Final[tuple[Processor, ...]] = (
    structlog.processors.add_log_level,
    _add_message,
    structlog.processors.format_exc_info,
    journal_entry,
)


class StructLog:
    """The `Log` port: `log("drop_claimed", job_id=..., level="info")`. May be called from any thread; a broken stream raises nothing.

    `style` is auto, journal, json or text. In the style "journal", a line that the journal does not accept is written to the stream as
    JSON: nothing is lost where journald does not run.
    """

    def __init__(self, *, style: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
        out = stream or sys.stderr
        self.style = _resolve_style(style, out)
        self.set_level(level)
        lines = structlog.PrintLogger(out)
        text = (*_COMMON_PROCESSORS, _printable_fields, structlog.dev.ConsoleRenderer(colors=out.isatty()))
        self._stream = _logger(lines, text if self.style == "text" else _JSON_PROCESSORS)
        self._journal = _logger(JournalLogger(), _JOURNAL_PROCESSORS) if self.style == "journal" else None

    def set_level(self, level: str) -> None:
        """Drop lines below this level from now on."""
        self._threshold = LEVELS[level]

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        if LEVELS[level] < self._threshold:
            return
        line_fields = {key: value if key == "exception" else _bounded(value) for key, value in fields.items() if value is not None}
        if self._journal is None or not getattr(self._journal, level)(event, **line_fields):
            with suppress(OSError):  # a closed pipe or a full disk is no reason to stop making results
                getattr(self._stream, level)(event, **line_fields)


def _bounded(value: object) -> object:
    """Return a field as it is logged: what users and foreign programs write may have any length."""
    return truncated(value, MAX_FIELD) if isinstance(value, str) else value


def _logger(writer: object, processors: Iterable[Any]) -> Any:
    return structlog.wrap_logger(
        writer,
        processors=[_require_known_event, *processors],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=True,
    )


def _resolve_style(style: str, out: TextIO) -> str:
    if style != "auto":
        return style
    if _is_the_journal(out) and journal_is_there():
        return "journal"
    return "text" if out.isatty() else "json"


def _is_the_journal(out: TextIO) -> bool:
    try:
        return is_journal_stream(out.fileno(), os.environ.get("JOURNAL_STREAM", ""))
    except (OSError, ValueError):  # not a file, or closed
        return False
