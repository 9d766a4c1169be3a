"""Structured logs: JSON lines on a pipe, colours on a terminal; one stable event name per line (service.events)."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from heygem_daemon.service.events import EVENTS

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class UnknownEventError(ValueError):
    """A line was logged under a name that service.events does not list."""


def _known(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if event["event"] not in EVENTS:
        raise UnknownEventError(str(event["event"]))
    return event


class StructLog:
    """The `Log` port: `log("drop_claimed", job_id=..., level="info")`."""

    def __init__(self, *, style: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
        out = stream or sys.stderr
        as_json = style == "json" or (style == "auto" and not out.isatty())
        shape: list[structlog.typing.Processor] = (
            [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]
            if as_json
            else [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        )
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(out),
            processors=[
                _known,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=False),
                *shape,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            cache_logger_on_first_use=True,
        )

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        getattr(self._logger, level)(event, **{key: value for key, value in fields.items() if value is not None})
