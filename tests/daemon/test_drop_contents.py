"""What people put into a drop beside the media that its job uses: warnings, errors that name it, and the longest names."""

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

from heygem_daemon.core.job import JobWarning
from tests.daemon.harness import INCOMPLETE, SETTLE, DaemonHarness


def test_what_a_drop_holds_and_its_job_does_not_use_is_a_warning_of_the_job(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    (folder / "portrait.heic").write_bytes(b"a portrait")
    (folder / "videos" / "day1").mkdir()
    (folder / "videos" / "day1" / "b.mp4").write_bytes(b"another film")
    (folder / "videos" / "a.srt").write_bytes(b"subtitles")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(1)
    status = harness.status("lesson")
    assert (status.state, [each.code for each in status.warnings]) == ("succeeded", ["file_ignored", "file_ignored"])
    assert [each.message.partition(" was not used")[0] for each in status.warnings] == ["portrait.heic", "videos/day1/ with b.mp4"]
    events = harness.events_named("drop_warning", job="lesson")
    assert [each["reason"] for each in events] == [each.message for each in status.warnings]
    harness.crash()
    assert harness.job("lesson").warnings == tuple(
        JobWarning(code=each.code, message=each.message, hint=each.hint) for each in status.warnings
    )


def test_media_that_cannot_be_opened_fails_alone_and_is_named(harness: DaemonHarness) -> None:
    folder = harness.drop("lesson")
    (folder / "videos" / "raw.cr2").write_bytes(b"a raw photo")
    (folder / "videos" / "clip.xyz").write_bytes(b"something")
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(1)
    status = harness.status("lesson")
    assert status.state == "partial"
    assert [(item.state, item.error and item.error.code) for item in status.items] == [("succeeded", None), ("failed", "unsupported_type")]
    reason = (harness.inbox / "_failed" / "lesson" / "reason.txt").read_text(encoding="utf-8")
    assert "raw.cr2 cannot be opened here: it is a raw photo." in reason
    assert "videos/clip.xyz was not used" in reason


def test_a_drop_without_anything_usable_names_what_it_holds_while_it_waits_and_in_the_end(harness: DaemonHarness) -> None:
    folder = harness.inbox / "lesson"
    (folder / "clips").mkdir(parents=True)
    shutil.copyfile(harness.speech, folder / "speech.wav")
    shutil.copyfile(harness.film, folder / "clips" / "a.mp4")
    harness.tick()
    harness.tick(SETTLE + 0.1)
    assert "clips/ with a.mp4 (only the folders videos/ and audios/ are read)" in harness.status("lesson").reason
    harness.tick(INCOMPLETE)
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick()
    status = harness.status("lesson")
    assert (status.state, status.warnings) == ("rejected", ())
    assert status.error is not None
    assert "clips/ with a.mp4" in status.error.message


def test_an_image_alone_in_the_inbox_itself_is_refused_by_name(harness: DaemonHarness) -> None:
    (harness.inbox / "portrait.heic").write_bytes(b"a portrait")
    (harness.inbox / "lesson.ts" / "videos").mkdir(parents=True)
    shutil.copyfile(harness.speech, harness.inbox / "lesson.ts" / "speech.wav")
    shutil.copyfile(harness.film, harness.inbox / "lesson.ts" / "videos" / "a.mp4")
    harness.until(lambda: harness.events_named("job_finished", job="lesson.ts"))
    harness.tick(INCOMPLETE)
    harness.until(lambda: harness.events_named("job_finished", job="portrait"))
    harness.tick(1)
    assert harness.state("lesson.ts") == "succeeded"
    status = harness.status("portrait")
    assert (status.state, status.error and status.error.code) == ("rejected", "no_recording")
    assert status.error is not None
    assert "portrait.heic (it lies beside videos/, not in it)" in status.error.message


def converted(source: Path, target: Path, *options: str) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(("ffmpeg", "-v", "error", "-i", source, *options, target), check=True, timeout=60)
    return target


def test_real_files_of_many_types_become_results(media_harness: DaemonHarness) -> None:
    folder, film = media_harness.inbox / "lesson", media_harness.film
    converted(film, folder / "speech.mts", "-f", "mpegts")
    videos = folder / "videos"
    converted(film, videos / "a.webm", "-c:v", "libvpx")
    converted(film, videos / "b.wmv")
    converted(film, videos / "c.gif")
    converted(film, videos / "Interview 12.05.2026", "-f", "mov")
    converted(film, videos / "portrait.jpg", "-frames:v", "1", "-f", "webp")
    media_harness.until(lambda: media_harness.events_named("job_finished"))
    media_harness.tick(1)
    status = media_harness.status("lesson")
    assert [(item.key, item.recording, item.error) for item in status.items] == [
        (stem, "speech.mts", None) for stem in ("Interview 12.05.2026", "a", "b", "c", "portrait")
    ]
    assert (status.state, status.warnings) == ("succeeded", ())


LONG_NAMES = ("x" * 251, "老" * 83 + "xx", "é" * 125 + "x")
"""Stems that make names of 255 bytes with a suffix of four."""


def test_names_of_255_bytes_go_all_the_way(media_harness: DaemonHarness) -> None:
    folder = media_harness.inbox / ("课" * 85)
    (folder / "videos").mkdir(parents=True)
    (folder / "audios").mkdir()
    for stem in LONG_NAMES:
        shutil.copyfile(media_harness.film, folder / "videos" / f"{stem}.mp4")
        assert len(os.fsencode(f"{stem}.mp4")) == 255
    for stem in LONG_NAMES[:2]:
        shutil.copyfile(media_harness.speech, folder / "audios" / f"{stem}.wav")
        (folder / "audios" / f"{stem}.txt").write_text("words", encoding="utf-8")
    (folder / "job.toml").write_text("zip = true\nexplain = true", encoding="utf-8")
    media_harness.until(lambda: media_harness.events_named("job_finished"))
    media_harness.tick(1)
    (output,) = [path.name for path in media_harness.outputs.iterdir() if path.is_dir() and not path.name.startswith(".")]
    status = media_harness.status(output)
    assert (status.state, status.error, len(status.items)) == ("succeeded", None, 6)
    for item in status.items:
        assert item.output is not None
        assert item.thumbnail is not None
        assert (media_harness.outputs / output / item.output).is_file()
        assert (media_harness.outputs / output / item.thumbnail).is_file()
    assert (media_harness.outputs / output / status.links["zip"]).is_file()
    assert (media_harness.inbox / "_done" / folder.name).is_dir()


def test_a_second_drop_of_a_name_of_255_bytes_is_archived_beside_the_first(harness: DaemonHarness) -> None:
    name = "课" * 85
    for count in (1, 2):
        harness.drop(name)
        harness.until(partial(harness.has_events, "job_finished", count))
        harness.tick(1)
    archived = sorted(path.name for path in (harness.inbox / "_done").iterdir())
    assert len(archived) == 2
    assert name in archived
    assert all(len(os.fsencode(each)) <= 255 for each in archived)
