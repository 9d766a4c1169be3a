"""Turn a log line into a journal entry: a sentence for people, and fields for `journalctl FIELD=value`.

journald silently drops fields with invalid names, and shows values with control characters as lists of numbers. So names are
converted, and values become printable text. docs/journal.md has the table of the fields.
"""

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

from heygem_daemon.core.names import escape_name
from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.message_template import truncated
from heygem_daemon.service.systemd import send_to_journal

IDENTIFIER: Final = "heygem"
PRIORITIES: Final[Mapping[str, int]] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""syslog(3)."""
MAX_VALUE_LENGTH: Final = 48 * 1024
"""Characters; from 64 KiB on journald compresses and journalctl needs --all."""
MAX_NAME_LENGTH: Final = 64

_KEYS_WITH_OTHER_NAMES: Final = frozenset({"event", "level", "message", "exception"})
"""Keys of the line that are stored in fields of another name."""
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9_]")
_NEWLINE_OR_TAB: Final = re.compile(r"([\n\t])")


def journal_entry(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Return the journal fields of one line; the last processor of structlog."""
    event = EVENTS[line["event"]]
    entry = {
        "MESSAGE": line["message"],
        "MESSAGE_ID": event.message_id,
        "PRIORITY": str(PRIORITIES[line["level"]]),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "HEYGEM_EVENT": event.name,
    }
    entry |= {field_name(key): field_value(value) for key, value in line.items() if key not in _KEYS_WITH_OTHER_NAMES}
    if "exception" in line:
        entry["HEYGEM_TRACEBACK"] = field_value(line["exception"])
    return entry


def field_name(key: str) -> str:
    """Return the name of the field: capitals, digits and underscores only, or journald drops it."""
    return f"HEYGEM_{_NOT_IN_NAMES.sub('_', key.upper())}"[:MAX_NAME_LENGTH]


def field_value(value: object) -> str:
    """Return any value as printable text: collections as JSON, undecodable bytes and control characters escaped."""
    text = truncated(_text(value), MAX_VALUE_LENGTH)
    if text.isprintable():
        return text
    return "".join(part if part in {"\n", "\t"} else escape_name(part) for part in _NEWLINE_OR_TAB.split(text))


def _text(value: object) -> str:
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        try:
            return json.dumps(dict(value) if isinstance(value, Mapping) else list(value), default=str, ensure_ascii=False)
        except (TypeError, ValueError):  # keys that are not text, a list that contains itself
            return repr(value)
    if isinstance(value, Enum):
        return str(value.value)
    return str(value)


class JournalLogger:
    """The logger that structlog writes through: every method sends the fields of one entry and returns whether it arrived."""

    def msg(self, **fields: Any) -> bool:
        return send_to_journal(fields)

    debug = info = warning = error = msg
