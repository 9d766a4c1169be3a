import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from heygem_daemon.core.job import State
from heygem_daemon.core.status import DaemonStatus, DeviceStatus, JobStatus, moment, schema, unix_time
from heygem_daemon.core.status_builder import job_status
from tests.core.making import failure, item, job

DONE = item("a", State.SUCCEEDED, attempt=1, result={"frames": 250, "fps": 25.0, "frame_rate": "25/1", "speed": 0.8, "warnings": ["hdr"]})


def test_a_status_file_reads_back_as_it_was_written() -> None:
    status = job_status(job(DONE, item("b", State.FAILED, failure=failure("no_face")), since=1_795_389_300.25).rollup(9), now=10)
    assert JobStatus.read(status.to_json()) == status
    assert json.loads(status.to_json())["schema"] == 1


def test_a_reader_skips_what_a_newer_version_added_and_a_writer_may_not() -> None:
    fields = json.loads(job_status(job(item()), now=1).to_json()) | {"mood": "good"}
    assert JobStatus.read(json.dumps(fields)).job == fields["job"]
    with pytest.raises(ValidationError):
        JobStatus.model_validate(fields)


def test_a_damaged_status_file_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="JobStatus"):
        JobStatus.read('{"schema": 1, "job"')


def test_times_carry_an_offset() -> None:
    stamp = json.loads(job_status(job(item(), since=1_795_389_300.0, dropped_at=1_795_389_200.5), now=1).to_json())
    assert stamp["since"].endswith("Z") or stamp["since"][-6] in "+-"
    assert moment(1_795_389_300.25).utcoffset() is not None
    assert moment(1_795_389_300.25) - moment(1_795_389_300.0) == timedelta(seconds=0.25)
    assert stamp["times"]["queued"] is None


def test_a_name_of_invalid_bytes_can_be_written() -> None:
    status = job_status(job(item("a", recording="audios/a\udcff\n.wav")), now=1)
    assert status.items[0].recording == r"audios/a\xff\x0a.wav"
    assert status.to_json().encode()


def test_the_daemon_status_reads_back() -> None:
    device = DeviceStatus.model_validate({"name": "cpu", "state": "idle", "memory": 5})
    status = DaemonStatus(version="1", state="running", pid=1, started=moment(1), heartbeat=moment(2), devices=(device,))
    assert DaemonStatus.read(status.to_json()).pid == 1
    assert json.loads(status.to_json())["devices"][0]["memory"] == 5


@pytest.mark.parametrize(
    ("state", "age", "is_alive"),
    [
        ("running", 29, True),
        ("paused", 31, False),
        ("stopped", 1, False),
        ("stopping", 1, True),
        ("running", -29, True),
        ("running", -31, False),
    ],
)
def test_a_daemon_is_alive_while_its_heartbeat_is_fresh(state: str, age: float, is_alive: bool) -> None:
    status = DaemonStatus(version="1", state=state, pid=1, started=moment(1), heartbeat=moment(1_000_000))
    assert status.is_alive(moment(1_000_000 + age)) is is_alive


def test_the_published_schema_describes_both_files_and_allows_what_is_to_come() -> None:
    published = json.dumps(schema())
    assert {"JobStatus", "DaemonStatus", "ItemStatus"} <= set(schema()["$defs"])
    assert '"additionalProperties": false' not in published
    assert "schema_" not in schema()["$defs"]["JobStatus"]["properties"]
    assert "schema" in schema()["$defs"]["JobStatus"]["properties"]


def test_a_date_becomes_unix_time_and_none_what_stands_for_it() -> None:
    assert unix_time(moment(12.5), 1.0) == 12.5
    assert unix_time(None, 1.0) == 1.0
