"""Put finished jobs into outputs and their inputs into an inbox, as the daemon leaves them."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx

from heygem_daemon.core.job import State
from heygem_daemon.core.names import RECORD, escape_name
from heygem_daemon.core.status import ItemStatus, JobStatus

NOW = datetime(2026, 11, 22, 23, 15, tzinfo=UTC)


def put_job(
    outputs: Path,
    job_id: str = "20261122-231500-lesson-01-k3f9",
    *,
    output: str = "lesson-01",
    files: Mapping[str, bytes],
    video: str = "teacher.mov",
    owner: str = "",
    inbox: str = "",
    extra: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> JobStatus:
    """Write the results `files` (name in the job's folder -> content) and the status that names them, one item for each."""
    folder = outputs / output
    folder.mkdir()
    items = []
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        key = name.removesuffix(".mp4")
        items.append(
            ItemStatus(key=key, recording="speech.wav", video=escape_name(video), state=State.SUCCEEDED, output=name, **dict(extra or {}))
        )
    status = JobStatus(
        job=job_id, name=output, output=output, state=State.SUCCEEDED, since=NOW, items=tuple(items), owner=owner or None, inbox=inbox,
        links=dict(links or {}),
    )  # fmt: skip
    (folder / "status.json").write_text(status.to_json())
    return status


def archive_inputs(inbox: Path, job_id: str, *, name: str = "lesson-01", files: Mapping[str | bytes, bytes], to: str = "_done") -> Path:
    """Write the inputs of a job as they lie in `_done` or `_failed`."""
    folder = inbox / to / name
    folder.mkdir(parents=True)
    for path, content in files.items():
        target = folder / (path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / RECORD).write_text(json.dumps({"job": job_id, "name": name, "flat": False, "wrapped": False}))
    return folder


def await_job(client: httpx.Client, job_id: str, *, headers: Mapping[str, str] | None = None) -> None:
    """Wait until the page has seen a job."""
    until = time.monotonic() + 15
    while client.get(f"/api/v1/jobs/{job_id}", headers=dict(headers or {})).status_code == 404:
        assert time.monotonic() < until, "the page does not see the job"
        time.sleep(0.05)
