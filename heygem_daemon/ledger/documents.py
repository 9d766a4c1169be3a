"""Write jobs and items as JSON text and read them back: every name that a file system can give survives, unknown keys are ignored."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final, TypeVar

from heygem_daemon.core.job import Failure, Item, Job, JobWarning, State
from heygem_daemon.core.job_options import JobOptions

Record = TypeVar("Record")

_STORED_NAMES: Final[Mapping[str, str]] = {"on_hold": "held", "backoff_count": "delays"}
"""Fields that have another name in the documents, whose keys never change."""


def job_document(job: Job) -> str:
    """Return the document of a job, without its items."""
    document = _fields_to_store(job)
    del document["items"]
    document["options"] = asdict(job.options)
    document["failure"] = asdict(job.failure) if job.failure else None
    document["warnings"] = [asdict(each) for each in job.warnings]
    return _dump(document)


def item_document(item: Item) -> str:
    document = _fields_to_store(item)
    document["failure"] = asdict(item.failure) if item.failure else None
    return _dump(document)


def read_job(document: str, items: tuple[Item, ...]) -> Job:
    table = _read_failure(json.loads(document))
    warnings = tuple(_record(JobWarning, each) for each in table.get("warnings", ()))
    options = _record(JobOptions, table["options"])
    return _record(Job, table | {"state": State(table["state"]), "options": options, "items": items, "warnings": warnings})


def read_item(document: str) -> Item:
    table = _read_failure(json.loads(document))
    return _record(Item, table | {"state": State(table["state"])})


def read_readable_job(job_id: str, document: str, items: Sequence[str]) -> Job | None:
    """Return the job of a row, None where its documents are damaged: bits flip, and JSON has no checksum."""
    try:
        job = read_job(document, tuple(read_item(each) for each in items))
        is_whole = isinstance(job.name, str) and isinstance(job.output, str) and column(job.id) == job_id
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return job if is_whole else None


def column(text: str) -> str:
    """Return text that SQLite can store; the documents have the original."""
    return text.encode(errors="backslashreplace").decode()


def _fields_to_store(record: Job | Item) -> dict[str, Any]:
    """Return the fields of a record under their names in the documents."""
    return {_STORED_NAMES.get(field.name, field.name): getattr(record, field.name) for field in fields(record)}


def _dump(document: Mapping[str, Any]) -> str:
    """Return JSON text in ASCII: a lone surrogate becomes an escape and comes back as it was."""
    return json.dumps(_json_value(document), allow_nan=False)


def _json_value(value: Any) -> Any:
    """Return the value as JSON can hold it; a float that is not finite (a correlation over silence) becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_failure(table: dict[str, Any]) -> dict[str, Any]:
    failure = table.get("failure")
    return table | {"failure": _record(Failure, failure) if failure else None}


def _record(cls: type[Record], table: Mapping[str, Any]) -> Record:
    """Return the record of a table, without the keys that this version does not know."""
    stored = {field.name: _STORED_NAMES.get(field.name, field.name) for field in fields(cls)}  # type: ignore[arg-type]  # every Record is a dataclass
    return cls(**{name: table[key] for name, key in stored.items() if key in table})
