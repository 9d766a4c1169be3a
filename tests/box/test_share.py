"""A person at a Windows, macOS or Linux computer: copies a folder to the share, and fetches the result from it."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.box.box import UNIT, Box
from tests.box.material import Material
from tests.box.share import Share

pytestmark = pytest.mark.box


def test_a_folder_copied_to_the_share_comes_back_as_a_speaking_presenter(
    service: Box, share: Share, material: Material, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    began = time.monotonic()
    share.put(material.drop("lesson-01"))
    service.wait_for_state("lesson-01", "succeeded", timeout=240)
    figure(f"a drop of 2 s through the share, to the end of the job {time.monotonic() - began:.1f} s")

    status = json.loads(share.get(share.outputs, "lesson-01/status.json", tmp_path).read_text(encoding="utf-8"))
    assert [(item["key"], item["state"]) for item in status["items"]] == [("teacher", "succeeded")]
    result = share.get(share.outputs, f"lesson-01/{status['items'][0]['output']}", tmp_path)
    assert read_frames(result) == status["items"][0]["frames"] > 0
    assert "_done" in share.do(share.inbox, "ls")


def test_the_entries_of_a_job_are_found_by_its_fields(service: Box, share: Share, material: Material) -> None:
    if service.state("lesson-01") != "succeeded":
        share.put(material.drop("lesson-01"))
        service.wait_for_state("lesson-01", "succeeded", timeout=240)
    job = service.status("lesson-01")["job"]
    entries = service.journal(f"HEYGEM_JOB_ID={job}")
    told = [entry["HEYGEM_EVENT"] for entry in entries]
    for event in ("drop_seen", "drop_claimed", "job_queued", "item_started", "item_published", "job_finished"):
        assert told.count(event) == 1, f"{event}: {told}"
    assert {entry["_SYSTEMD_UNIT"] for entry in entries} == {UNIT}
    assert {entry["SYSLOG_IDENTIFIER"] for entry in entries} == {"heygem"}
    published = next(entry for entry in entries if entry["HEYGEM_EVENT"] == "item_published")
    assert (published["HEYGEM_ITEM"], published["PRIORITY"]) == ("teacher", "6")
    assert "MESSAGE_ID" in published


def test_people_can_delete_what_they_fetched(service: Box, share: Share, material: Material) -> None:
    if not (service.outputs / "lesson-01").exists():
        share.put(material.drop("lesson-01"))
        service.wait_for_state("lesson-01", "succeeded", timeout=240)
    share.do(share.outputs, "deltree lesson-01")
    assert not (service.outputs / "lesson-01").exists()


def read_frames(video: Path) -> int:
    command = (
        "ffprobe",
        "-v",
        "error",
        "-count_frames",
        "-select_streams",
        "v",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
    )
    return int(subprocess.run((*command, str(video)), check=True, capture_output=True, text=True, timeout=60).stdout)
