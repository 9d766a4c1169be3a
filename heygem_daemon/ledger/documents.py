"""Jobs and items as JSON text: lossless for every name a file system can give, tolerant of fields of other versions."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from heygem_daemon.core.job import Failure, Item, Job, Options, State

Record = TypeVar("Record")


def job_document(job: Job) -> str:
    """Return the job without its items."""
    document = {field.name: getattr(job, field.name) for field in fields(job) if field.name != "items"}
    document["options"] = asdict(job.options)
    document["failure"] = asdict(job.failure) if job.failure else None
    return _dump(document)


def item_document(item: Item) -> str:
    document = {field.name: getattr(item, field.name) for field in fields(item)}
    document["failure"] = asdict(item.failure) if item.failure else None
    return _dump(document)


def read_job(document: str, items: tuple[Item, ...]) -> Job:
    table = _with_failure(json.loads(document))
    return _record(Job, table | {"state": State(table["state"]), "options": _record(Options, table["options"]), "items": items})


def read_item(document: str) -> Item:
    table = _with_failure(json.loads(document))
    return _record(Item, table | {"state": State(table["state"])})


def _dump(document: Mapping[str, Any]) -> str:
    """ASCII only: a lone surrogate becomes an escape and comes back as it was."""
    return json.dumps(_plain(document), allow_nan=False)


def _plain(value: Any) -> Any:
    """Return the value as JSON has it; a figure that is no number (a correlation over silence) is unknown."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_failure(table: dict[str, Any]) -> dict[str, Any]:
    failure = table.get("failure")
    return table | {"failure": _record(Failure, failure) if failure else None}


def _record(cls: type[Record], table: Mapping[str, Any]) -> Record:
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]  # every Record is a dataclass
    return cls(**{name: value for name, value in table.items() if name in known})
