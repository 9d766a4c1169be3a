"""Make jobs, items, failures and entries for tests, with defaults for what a test does not name."""

from typing import Any

from heygem_daemon.core.drop import Entry, Kind
from heygem_daemon.core.job import Failure, Item, Job, State


def item(key: str = "teacher-a", state: State = State.QUEUED, **changes: Any) -> Item:
    fields = {"recording": "speech.wav", "video": f"videos/{key}.mp4", "output": f"{key}.mp4", "thumbnail": f"thumbnails/{key}.jpg"}
    return Item(key=key, state=state, **(fields | changes))


def job(*items: Item, **changes: Any) -> Job:
    fields: dict[str, Any] = {"id": "20261122-231500-lesson-01-k3f9", "name": "lesson-01", "inbox": "/inbox", "output": "lesson-01"}
    return Job(items=items, **(fields | {"claimed": "/inbox/.heygem/claimed/x"} | changes))


def failure(code: str = "internal") -> Failure:
    return Failure(code=code, message="It broke.", hint="Fix it.")


def entry(path: str, size: int = 1000, kind: Kind = Kind.FILE) -> Entry:
    return Entry(path=path, size=size, mtime_ns=1, ctime_ns=1, kind=kind)
