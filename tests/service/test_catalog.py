"""What `journalctl -x` explains: current, understood by the real journalctl, and the same ids for ever."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.message_template import names_in
from scripts.catalog import CATALOG, catalog


@pytest.mark.parametrize(
    ("name", "message_id"),
    [
        ("daemon_started", "dbde2972a005585db914acb21c241d37"),
        ("job_finished", "08c55f2b3f1d50919656dce5222fc41e"),
        ("item_failed", "5d73e9d3eeff524ead32dff3b8709fa6"),
        ("item_published", "35af716b57805622a5cc606550a5f1cb"),
        ("worker_output", "802b48cf588753a18b04343e6baa1b30"),
    ],
)
def test_the_id_of_an_event_never_changes(name: str, message_id: str) -> None:
    assert EVENTS[name].message_id == message_id


def test_no_two_events_share_an_id() -> None:
    assert len({event.message_id for event in EVENTS.values()}) == len(EVENTS)


def test_the_catalog_is_current() -> None:
    assert CATALOG.read_text(encoding="utf-8") == catalog(), "run `make docs`"


def test_journalctl_takes_the_catalog_and_explains_every_event(tmp_path: Path) -> None:
    if shutil.which("journalctl") is None:
        pytest.skip("systemd is not installed: there is no journalctl")
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    (tmp_path / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    journalctl = ("journalctl", f"--root={tmp_path}")
    updated = subprocess.run((*journalctl, "--update-catalog"), capture_output=True, text=True, check=True, timeout=60)
    assert updated.stderr == ""
    ids = [event.message_id for event in EVENTS.values()]
    shown = subprocess.run((*journalctl, "--dump-catalog", *ids), capture_output=True, text=True, check=True, timeout=60).stdout
    assert re.findall(r"^-- (\w{32})$", shown, re.MULTILINE) == ids
    assert re.findall(r"^Subject: (.+)$", shown, re.MULTILINE) == [event.summary for event in EVENTS.values()]
    assert "`heygem retry @HEYGEM_JOB_ID@`" in shown


def test_a_command_in_the_catalog_stands_on_one_line() -> None:
    assert [line for line in catalog().splitlines() if line.count("`") % 2] == []


def test_an_explanation_speaks_only_of_fields_that_the_sentence_may_have_too() -> None:
    always = {"job_id", "error_code"}
    assert {
        name: strange for name, event in EVENTS.items() if (strange := names_in(event.explanation) - names_in(event.message) - always)
    } == {}
