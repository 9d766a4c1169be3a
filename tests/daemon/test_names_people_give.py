"""What people mean by the names they give is understood, whatever system they sit at; what is not used is named."""

import os
from pathlib import Path

import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.names import escape_name
from tests.daemon.harness import INCOMPLETE, SETTLE, DaemonHarness

PAUSES = ["PAUSE", "pause", "Pause", "PAUSE.txt", "Pause.TXT", "pause.txt"]


@pytest.mark.parametrize("name", PAUSES)
def test_a_file_named_pause_pauses_the_inbox_however_it_is_spelt(harness: DaemonHarness, name: str) -> None:
    (harness.inbox / name).touch()
    harness.drop("lesson")
    for _ in range(6):
        harness.tick(1)
    assert harness.daemon_status().inboxes[0].paused
    assert harness.status("lesson").waiting_for == "Paused: PAUSE lies in the inbox"
    (harness.inbox / name).unlink()
    harness.until(lambda: harness.state("lesson") == "succeeded")


@pytest.mark.parametrize("suffix", ["hold", "HOLD", "Hold", "hold.txt", "HOLD.TXT", "Hold.Txt"])
def test_a_drop_is_held_however_the_file_is_spelt_and_released_when_it_goes(harness: DaemonHarness, suffix: str) -> None:
    file = harness.inbox / f"lesson.{suffix}"
    file.touch()
    harness.drop("lesson")
    for _ in range(6):
        harness.tick(1)
    assert harness.status("lesson").waiting_for == "held"
    file.unlink()
    harness.until(lambda: harness.state("lesson") == "succeeded")


@pytest.mark.parametrize("suffix", ["cancel", "Cancel.txt", "CANCEL"])
def test_a_drop_is_cancelled_however_the_file_is_spelt_and_that_very_file_is_deleted(harness: DaemonHarness, suffix: str) -> None:
    (harness.inbox / f"lesson.{suffix}").touch()
    harness.drop("lesson")
    harness.until(lambda: harness.state("lesson") == "cancelled")
    harness.tick(1)
    assert not (harness.inbox / f"lesson.{suffix}").exists()


def test_ready_priority_and_resume_are_understood_with_what_editors_append(harness: DaemonHarness) -> None:
    names = ["lesson.ready.txt", "lesson.priority.txt", "lesson.hold", "lesson.resume.txt"]
    for name in names:
        (harness.inbox / name).write_text("7" if "priority" in name else "", encoding="utf-8")
    harness.drop("lesson")
    harness.until(lambda: harness.state("lesson") == "succeeded")
    harness.tick(1)
    assert harness.status("lesson").priority == 7
    assert [name for name in names if (harness.inbox / name).exists()] == []


SPELLINGS = [("lesson", "LESSON"), ("Lektion-\u00fc", "lektion-u\u0308"), ("STRASSE", "stra\u00dfe")]


@pytest.mark.parametrize(("name", "spelt"), SPELLINGS)
def test_a_drop_is_held_released_and_cancelled_however_its_name_is_spelt(harness: DaemonHarness, name: str, spelt: str) -> None:
    """For Windows and macOS these are one name; the files did nothing, and nobody was told why."""
    (harness.inbox / f"{spelt}.hold").touch()
    harness.drop(name)
    for _ in range(6):
        harness.tick(1)
    assert harness.status(name).waiting_for == "held"
    (harness.inbox / f"{spelt}.resume").touch()
    harness.until(lambda: harness.state(name) == "succeeded")
    assert not list(harness.inbox.glob("[!._]*.*"))
    (harness.inbox / "PAUSE").touch()
    (harness.inbox / f"{spelt}.priority").write_bytes("7\r\n".encode("utf-16"))  # as PowerShell writes it
    harness.drop(name)
    harness.until(lambda: any(job.priority == 7 for job in harness.daemon.store.jobs.values()))
    (harness.inbox / f"{spelt}.cancel").touch()
    harness.until(lambda: not harness.daemon.store.jobs)
    assert not list(harness.inbox.glob("[!._]*.*"))


def test_of_two_drops_that_differ_in_case_each_has_its_own_control_files(harness: DaemonHarness) -> None:
    (harness.inbox / "lesson.hold").touch()
    (harness.inbox / "LESSON.hold").touch()
    harness.drop("lesson")
    harness.drop("LESSON")
    harness.tick()
    (harness.inbox / "Lesson.cancel").touch()  # of which of them is not known
    for _ in range(4):
        harness.tick(1)
    (harness.inbox / "Lesson.cancel").unlink()
    (harness.inbox / "lesson.resume").touch()
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(1)
    assert [(event["job"], event["state"]) for event in harness.events_named("job_finished")] == [("lesson", State.SUCCEEDED)]
    assert [path.name for path in harness.inbox.glob("[!._]*.*")] == ["LESSON.hold"]


def test_a_job_toml_in_utf_16_is_read(harness: DaemonHarness) -> None:
    (harness.drop("lesson") / "job.toml").write_bytes('owner = "Zo\u00eb"\r\npriority = 3\r\n'.encode("utf-16"))
    harness.tick()
    assert harness.status("lesson").owner == "Zo\u00eb"
    harness.until(lambda: harness.state("lesson") == "succeeded")
    assert harness.status("lesson").priority == 3


def test_a_file_in_a_drop_with_such_a_name_is_no_control_file(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    (folder / "speech.wav").rename(folder / "talk.ready.wav")
    (folder / "talk.ready.txt").write_text("Maybe we open the window.", encoding="utf-8")
    harness.until(lambda: harness.state("lesson") == "succeeded")
    assert harness.job("lesson").items[0].script == "talk.ready.txt"


@pytest.mark.parametrize("name", ["lesson.hold", "lesson.cancel", "lesson.ready", "cv.resume", "pause", "lesson.hold.txt"])
def test_a_folder_with_the_name_of_a_control_file_is_a_drop(harness: DaemonHarness, name: str) -> None:
    harness.drop(name)
    harness.until(lambda: harness.state(name) == "succeeded")


def test_what_is_used_for_nothing_is_named_once_it_has_lain_there_for_a_while(harness: DaemonHarness) -> None:
    harness.drop("copy.tmp")
    harness.drop("old~")
    for name in ("lesson.zip", "notes.docx", "clip.mp4.part", ".hidden", "Thumbs.db", "job.toml", "speech.txt", "x.cancel (1)"):
        (harness.inbox / name).write_text("x", encoding="utf-8")
    harness.tick()
    harness.tick(SETTLE + 0.1)
    assert harness.events_named("entry_ignored") == []
    for _ in range(4):
        harness.tick(INCOMPLETE)
    expected = ["clip.mp4.part", "copy.tmp", "lesson.zip", "notes.docx", "old~", "x.cancel (1)"]
    assert [event["name"] for event in harness.events_named("entry_ignored")] == expected
    (inbox,) = harness.daemon_status().inboxes
    assert [entry.name for entry in inbox.ignored] == expected
    assert inbox.ignored_count == len(expected)
    assert "not finished" in inbox.ignored[0].reason
    assert "it is an archive" in inbox.ignored[2].reason
    (harness.inbox / "copy.tmp").rename(harness.inbox / "copy")
    harness.until(lambda: harness.state("copy") == "succeeded")
    assert "copy.tmp" not in [entry.name for entry in harness.daemon_status().inboxes[0].ignored]


def test_a_hold_about_nothing_is_named_until_its_drop_is_there(harness: DaemonHarness) -> None:
    for name in ("lesson.hold", "leson.HOLD.txt", "other.ready"):
        (harness.inbox / name).touch()
    harness.drop("lesson")
    for _ in range(4):
        harness.tick(INCOMPLETE)
    (inbox,) = harness.daemon_status().inboxes
    assert [(entry.name, "no drop" in entry.reason) for entry in inbox.ignored] == [("leson.hold", True), ("other.ready", True)]
    assert inbox.ignored_count == 2
    assert [event["name"] for event in harness.events_named("entry_ignored")] == ["leson.hold", "other.ready"]
    assert (harness.inbox / "leson.HOLD.txt").exists()
    harness.drop("leson")
    harness.tick(SETTLE + 0.1)
    harness.tick(SETTLE + 0.1)
    assert [entry.name for entry in harness.daemon_status().inboxes[0].ignored] == ["other.ready"]


def test_what_still_grows_is_not_named(harness: DaemonHarness) -> None:
    for number in range(5):
        (harness.inbox / "clip.mp4.part").write_text("x" * number, encoding="utf-8")
        harness.tick(INCOMPLETE - 1)
    assert harness.events_named("entry_ignored") == []


def test_of_many_such_entries_a_hundred_are_named_and_all_are_counted(harness: DaemonHarness) -> None:
    for number in range(250):
        (harness.inbox / f"{number:03}.docx").touch()
    for _ in range(4):
        harness.tick(INCOMPLETE)
    (inbox,) = harness.daemon_status().inboxes
    assert (len(inbox.ignored), inbox.ignored_count) == (100, 250)
    assert len(harness.events_named("entry_ignored")) == 100


def test_an_inbox_that_is_no_longer_watched_has_no_such_entries(harness: DaemonHarness) -> None:
    (harness.inbox / "a.docx").touch()
    for _ in range(4):
        harness.tick(INCOMPLETE)
    tracker = harness.daemon.inboxes.ignored
    assert len(tracker.reported(str(harness.inbox))) == 1
    tracker.forget(str(harness.inbox))
    assert tracker.reported(str(harness.inbox)) == []


def test_unfinished_copies_in_a_drop_are_a_warning_of_its_job(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    (folder / "videos" / "b.mp4.part").write_bytes(b"x")
    (folder / "more.tmp").mkdir()
    (folder / ".DS_Store").write_bytes(b"x")
    harness.until(lambda: harness.state("lesson") == "succeeded")
    warnings = [each.message for each in harness.status("lesson").warnings]
    assert [message.partition(" was not used")[0] for message in warnings] == ["more.tmp", "videos/b.mp4.part"]


ODD = {
    "no text": b"caf\xe9 \xff\xfe",
    "surrogates as of Windows": b"a\xed\xa0\x80b",
    "a dash in front": b"-i",
    "a number pattern": b"frame%d %03d",
    "a protocol": b"file:concat:a|b",
    "backslashes": b"a\\b\\n",
    "quotes": b"a'b\"c`d$(e)",
    "a line break": b"a\nb\r\nc",
    "a tab and an escape": b"a\tb\x1b[31m",
    "blanks": b" a  b ",
    "brackets": b"a[0-9]{x}*?",
    "the direction of writing": "a\u202egpj.b".encode(),
    "many bytes": b"x" * 240,
    "many odd bytes": b"\xff" * 240,
}


def test_drops_work_whatever_the_name_of_their_folder_is(media_harness: DaemonHarness) -> None:
    harness = media_harness
    for name in ODD.values():
        harness.drop(os.fsdecode(name))
    harness.until(lambda: harness.has_events("job_finished", len(ODD)))
    states = {str(event["job"]): event["state"] for event in harness.events_named("job_finished")}
    assert states == {escape_name(os.fsdecode(name)): "succeeded" for name in ODD.values()}


@pytest.mark.family(2)
@pytest.mark.parametrize("role", ["recording", "script", "video", "second recording"])
def test_files_with_odd_names_are_used_or_refused_by_name(media_harness: DaemonHarness, role: str) -> None:
    harness = media_harness
    for number, name in enumerate(ODD.values()):
        folder = harness.drop(f"lesson-{number}")
        _rename(folder, os.fsdecode(name), role)
    harness.until(lambda: harness.has_events("job_finished", len(ODD)))
    jobs = [harness.job(f"lesson-{number}") for number in range(len(ODD))]
    failures = [each for job in jobs for each in (job.failure, *(item.failure for item in job.items)) if each is not None]
    assert {failure.code for failure in failures} <= {"bad_name", "name_too_long"}
    assert sum(job.state == "succeeded" for job in jobs) >= 9


def _rename(folder: Path, name: str, role: str) -> None:
    if role == "recording":
        (folder / "speech.wav").rename(folder / f"{name}.wav")
    elif role == "script":
        (folder / "speech.wav").rename(folder / f"{name[:200]}.wav")
        (folder / f"{name[:200]}.txt").write_text("Maybe.", encoding="utf-8")
    elif role == "video":
        (folder / "videos" / "a.mp4").rename(folder / "videos" / f"{name}.mp4")
    else:
        (folder / "audios").mkdir()
        (folder / "speech.wav").rename(folder / "audios" / f"{name}.wav")
