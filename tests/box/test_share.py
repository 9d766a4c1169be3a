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


@pytest.fixture(scope="module")
def lesson(box: Box, opened: Share, material: Material, measurement: Callable[[str], None]) -> str:
    """The name of a drop that was copied to the share and has succeeded."""
    box.start()
    opened.start()
    began = time.monotonic()
    opened.put(material.drop("lesson-01"))
    box.wait_for_state("lesson-01", "succeeded", timeout=240)
    measurement(f"a drop of 2 s through the share, to the end of the job {time.monotonic() - began:.1f} s")
    return "lesson-01"


def test_a_folder_copied_to_the_share_comes_back_as_a_speaking_presenter(lesson: str, share: Share, tmp_path: Path) -> None:
    status = json.loads(share.get(share.outputs, f"{lesson}/status.json", tmp_path).read_text(encoding="utf-8"))
    assert [(item["key"], item["state"]) for item in status["items"]] == [("teacher", "succeeded")]
    result = share.get(share.outputs, f"{lesson}/{status['items'][0]['output']}", tmp_path)
    assert read_frames(result) == status["items"][0]["frames"] > 0
    assert lesson in share.do(share.inbox, "ls _done/*")


def test_the_entries_of_a_job_are_found_by_its_fields(lesson: str, box: Box) -> None:
    entries = box.journal(f"HEYGEM_JOB_ID={box.status(lesson)['job']}")
    events = [entry["HEYGEM_EVENT"] for entry in entries]
    for event in ("drop_seen", "drop_claimed", "job_queued", "item_started", "item_published", "job_finished"):
        assert events.count(event) == 1, f"{event}: {events}"
    assert {entry["_SYSTEMD_UNIT"] for entry in entries} == {UNIT}
    assert {entry["SYSLOG_IDENTIFIER"] for entry in entries} == {"heygem"}
    published = next(entry for entry in entries if entry["HEYGEM_EVENT"] == "item_published")
    assert (published["HEYGEM_ITEM"], published["PRIORITY"]) == ("teacher", "6")
    explained = box.run("journalctl", "--catalog", "--no-pager", f"MESSAGE_ID={published['MESSAGE_ID']}").stdout
    assert "Subject: One result is in outputs" in explained


def test_people_can_delete_what_they_fetched(lesson: str, box: Box, share: Share) -> None:
    share.do(share.outputs, f"deltree {lesson}")
    assert not (box.outputs / lesson).exists()


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
