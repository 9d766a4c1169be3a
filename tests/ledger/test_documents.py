"""The documents of ledgers that earlier versions wrote: they are read, and written again with the same keys and values."""

import json
from dataclasses import replace

from heygem_daemon.core.job import Failure, Item, Job, JobWarning, State
from heygem_daemon.core.job_options import JobOptions
from heygem_daemon.ledger.documents import item_document, job_document, read_item, read_job

JOB_OF_0_1 = (
    '{"id": "x", "name": "lesson", "inbox": "/in", "claimed": "/in/.heygem/claimed/x", "output": "lesson", "priority": 3, '
    '"options": {"engine": "rewrite", "fit": null, "face": null, "label": false, "quality": 0, "priority": null, "zip": null, '
    '"explain": null, "text": "\\u4f60\\u597d", "language": null}, "state": "waiting", "since": 1.5, "reason": "r", "failure": null, '
    '"held": true, "flat": true, "dropped_at": 1.0, "queued_at": 2.0, "started_at": 3.0, "finished_at": null}'
)
ITEM_OF_0_1 = (
    '{"key": "a", "recording": "audios/a\\udcff\\n.wav", "video": "videos/a.mp4", "output": "a.mp4", "thumbnail": "thumbnails/a.jpg", '
    '"explain": "explain/a.png", "script": "audios/a.txt", "state": "waiting", "attempt": 2, "delays": 1, "token": "t", '
    '"not_before": 5.5, "needs_bytes": 7, "reason": "r", "failure": {"code": "disk_full", "message": "Voll \\u2013 \\u6ee1", '
    '"hint": "x", "retryable": true}, "result": {"frames": 3, "fps": 25.0, "warnings": ["out_of_sync"]}}'
)
ITEM = Item(
    key="a",
    recording="audios/a\udcff\n.wav",
    video="videos/a.mp4",
    output="a.mp4",
    thumbnail="thumbnails/a.jpg",
    explain="explain/a.png",
    script="audios/a.txt",
    state=State.WAITING,
    attempt=2,
    backoff_count=1,
    token="t",
    not_before=5.5,
    needs_bytes=7,
    reason="r",
    failure=Failure(code="disk_full", message="Voll – 满", hint="x", retryable=True),
    result={"frames": 3, "fps": 25.0, "warnings": ["out_of_sync"]},
)
JOB = Job(
    id="x",
    name="lesson",
    inbox="/in",
    claimed="/in/.heygem/claimed/x",
    output="lesson",
    priority=3,
    options=JobOptions(engine="rewrite", label=False, quality=0, text="你好"),
    items=(ITEM,),
    state=State.WAITING,
    since=1.5,
    reason="r",
    on_hold=True,
    flat=True,
    dropped_at=1.0,
    queued_at=2.0,
    started_at=3.0,
)


def test_a_document_of_an_earlier_version_is_read() -> None:
    assert read_item(ITEM_OF_0_1) == ITEM
    assert read_job(JOB_OF_0_1, (ITEM,)) == JOB


def test_a_document_is_written_as_by_an_earlier_version_with_the_keys_added_since() -> None:
    before = json.loads(JOB_OF_0_1)
    options = {
        "track": None,
        "channel": None,
        "channels": None,
        "background": None,
        "undriven_limit": None,
        "owner": None,
        "reference": None,
        "consent": None,
        "faces": None,
        "first_seconds": None,
    }
    assert item_document(ITEM) == ITEM_OF_0_1
    added = {"warnings": [], "dropped_by": "", "size": 0}
    assert json.loads(job_document(JOB)) == before | {"options": before["options"] | options} | added


def test_the_warnings_of_a_job_are_kept() -> None:
    job = replace(JOB, warnings=(JobWarning(code="file_ignored", message="a\x0a老.heic was not used.", hint="Move it."),))
    assert read_job(job_document(job), (ITEM,)) == job


def test_keys_of_another_version_are_ignored_and_missing_ones_take_their_default() -> None:
    found = read_item('{"key": "a", "recording": "r", "video": "v", "output": "o", "thumbnail": "t", "state": "queued", "mood": "good"}')
    assert found == Item(key="a", recording="r", video="v", output="o", thumbnail="t")


def test_a_job_of_a_version_without_owners_is_read() -> None:
    document = json.loads(job_document(replace(JOB, dropped_by="uid 1001", size=7)))
    assert (document.pop("dropped_by"), document.pop("size")) == ("uid 1001", 7)
    found = read_job(json.dumps(document), ())
    assert (found.dropped_by, found.size) == ("", 0)
