"""The messages between the daemon and a worker: one JSON object per line, UTF-8, ended by a newline.

To the worker go the fields of a WorkOrder. From it come reports, each with its `type`:

    {"type": "beat"}                                      alive, and the work progresses
    {"type": "ready", "worker", "device", "models"}
    {"type": "progress", "token", "stage", "done", "total"}
    {"type": "succeeded", "token", "result"}
    {"type": "failed", "token", "kind", "failure": {"code", "message", "hint", "retryable"}, "trace"}
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.job import Failure
from heygem_daemon.core.work import WorkerMessage, WorkerReady, WorkFailed, WorkOrder, WorkProgress, WorkSucceeded


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The worker is alive, and its work progresses or it waits for an order."""


Message = WorkerMessage | Heartbeat

_TYPES: Final[Mapping[str, type[Message]]] = {
    "beat": Heartbeat,
    "ready": WorkerReady,
    "progress": WorkProgress,
    "succeeded": WorkSucceeded,
    "failed": WorkFailed,
}
_NAMES: Final = {kind: name for name, kind in _TYPES.items()}


class ProtocolError(ValueError):
    """A line that is no message of this protocol."""


def encode_order(order: WorkOrder) -> bytes:
    return _line(order.to_json())


def decode_order(line: bytes) -> WorkOrder:
    """Raises ProtocolError."""
    try:
        return WorkOrder.from_json(json.loads(line))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise ProtocolError(f"not an order: {problem}") from problem


def encode(message: Message) -> bytes:
    return _line({"type": _NAMES[type(message)], **asdict(message)})


def decode(line: bytes) -> Message:
    """Raises ProtocolError."""
    try:
        fields: dict[str, Any] = json.loads(line)
        kind = _TYPES[fields.pop("type")]
        if kind is WorkFailed:
            fields |= {"kind": ErrorKind(fields["kind"]), "failure": Failure(**fields["failure"])}
        return kind(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise ProtocolError(f"not a report: {line[:200]!r}") from problem


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
