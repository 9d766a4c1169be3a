import os
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.drop import DropLimits, Entry, Kind, Plan, is_drop_file, is_flat_part, items, plan, signature, too_long, total_bytes
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.file_types import RECORDING_SUFFIXES, STILL_SUFFIXES, VIDEO_SUFFIXES, FileType, type_of
from heygem_daemon.core.job import State
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.render_options import Fit
from tests.core.making import entry

LIMITS = DropLimits(items=500, file_bytes=64 * 2**30)
SPEECH, VIDEO = entry("speech.wav"), entry("videos/teacher-a.mp4")


def plan_of(*paths: str | Entry) -> Plan:
    return plan([entry(path) if isinstance(path, str) else path for path in paths], limits=LIMITS)


def code(problem: HeygemError | None) -> str | None:
    return problem.code if problem else None


def problem_codes(found: Plan) -> tuple[str | None, str | None]:
    return code(found.incomplete), code(found.rejected)


# -- shapes -----------------------------------------------------------------------------------------------------------


def test_a_recording_and_videos_make_a_drop() -> None:
    found = plan_of("speech.wav", "videos/b.mov", "videos/a.mp4", "videos/portrait.PNG")
    assert found.recordings == ("speech.wav",)
    assert found.videos == ("videos/a.mp4", "videos/b.mov", "videos/portrait.PNG")
    assert problem_codes(found) == (None, None)
    assert found.problems == {}


def test_recordings_in_audios_are_combined_with_every_video() -> None:
    found = plan_of("Audios/zh.mp3", "Audios/en.wav", "Videos/a.mp4", "VIDEOS/b.mp4", "Audios/take.mov")
    assert found.recordings == ("Audios/en.wav", "Audios/take.mov", "Audios/zh.mp3")
    assert problem_codes(found) == (None, None)
    assert [each.key for each in items(found, {})] == ["en/b", "en/a", "take/b", "take/a", "zh/b", "zh/a"]


def test_the_audio_of_a_video_is_the_recording_only_where_there_is_no_audio_file() -> None:
    assert plan_of("talk.mp4", "videos/a.mp4").recordings == ("talk.mp4",)
    assert plan_of("talk.mp4", "speech.wav", "videos/a.mp4").recordings == ("speech.wav",)
    assert plan_of("talk.mp4", "audios/speech.wav", "videos/a.mp4").recordings == ("audios/speech.wav",)


def test_two_recordings_are_ambiguous() -> None:
    assert problem_codes(plan_of("a.wav", "b.mp3", "videos/a.mp4")) == (None, "two_recordings")
    assert problem_codes(plan_of("a.mp4", "b.mov", "videos/a.mp4")) == (None, "two_recordings")
    assert problem_codes(plan_of("a.wav", "audios/b.wav", "videos/a.mp4")) == (None, "two_recordings")
    many = plan_of(*(f"{letter}.wav" for letter in "abcde"), "videos/a.mp4").rejected
    assert many is not None
    assert "5 recordings in this folder (a.wav, b.wav, c.wav, ...)" in many.message


def test_what_may_still_be_copied_is_incomplete() -> None:
    assert problem_codes(plan_of("videos/a.mp4")) == ("no_recording", None)
    assert problem_codes(plan_of("speech.wav")) == ("no_videos", None)
    assert problem_codes(plan_of()) == ("no_recording", None)
    assert problem_codes(plan_of("speech.wav", "videos/notes.txt")) == ("no_videos", None)
    assert problem_codes(plan_of("speech.wav", "videos/deeper/a.mp4")) == ("no_videos", None)
    assert problem_codes(plan_of("speech.wav", "clips/a.mp4")) == ("no_videos", None)


def test_temporary_and_foreign_files_do_not_count() -> None:
    found = plan_of("speech.wav", "._speech.wav", "other.wav.part", "videos/a.mp4", "videos/._a.mp4", "@eaDir/videos/b.mp4", ".x/c.wav")
    assert found.recordings == ("speech.wav",)
    assert found.videos == ("videos/a.mp4",)
    assert problem_codes(found) == (None, None)


# -- types ------------------------------------------------------------------------------------------------------------


def test_every_type_that_people_bring_makes_a_result() -> None:
    names = [f"videos/{suffix[1:]}{suffix}" for suffix in sorted(VIDEO_SUFFIXES | STILL_SUFFIXES)]
    found = plan_of("speech.wav", "videos/no suffix", *names)
    assert set(found.videos) == {"videos/no suffix", *names}
    assert (found.problems, found.warnings) == ({}, ())


@pytest.mark.parametrize("suffix", sorted(RECORDING_SUFFIXES))
def test_every_file_with_audio_can_be_the_recording(suffix: str) -> None:
    assert plan_of(f"talk{suffix.upper()}", "videos/a.mp4").recordings == (f"talk{suffix.upper()}",)
    assert plan_of(f"audios/talk{suffix}", "videos/a.mp4").recordings == (f"audios/talk{suffix}",)


def test_a_recording_without_a_suffix_is_taken_where_there_is_no_other() -> None:
    assert plan_of("speech", "videos/a.mp4").recordings == ("speech",)
    assert plan_of("speech", "README", "talk.mp4", "videos/a.mp4").recordings == ("talk.mp4",)
    assert problem_codes(plan_of("Makefile", "Dockerfile", "videos/a.mp4")) == ("no_recording", None)
    assert problem_codes(plan_of("README", "logo.gif", "videos/a.mp4")) == ("no_recording", None)


@pytest.mark.parametrize(
    "name", ["raw.CR3", "a.psd", "b.svg", "c.rmvb", "d.mid", "e.m3u8", "f.prproj", "g.zip", "h.mp4.lnk", ".i.mov.icloud"]
)
def test_media_that_cannot_be_opened_fails_at_once_beside_what_can(name: str) -> None:
    found = plan_of("speech.wav", "videos/a.mp4", f"videos/{name}")
    assert problem_codes(found) == (None, None)
    problem = found.problems[f"videos/{name}"]
    assert problem.code == "unsupported_type"
    assert problem.message.startswith(f"{name} cannot be opened here: it is ")
    assert "mp4, mov" in problem.hint
    assert {each.video: each.state for each in items(found, {})} == {"videos/a.mp4": State.QUEUED, f"videos/{name}": State.FAILED}


def test_a_recording_in_audios_that_cannot_be_opened_fails_its_items() -> None:
    found = plan_of("audios/en.wav", "audios/zh.aax", "videos/a.mp4")
    assert {path: code(problem) for path, problem in found.problems.items()} == {"audios/zh.aax": "unsupported_type"}


def test_documents_beside_media_are_passed_over_in_silence() -> None:
    names = ("a.srt", "b.THM", "c.lrv", "d.xmp", "e.aae", "README", "f.pdf", "g.json", "h.txt", "a.mp4:Zone.Identifier")
    found = plan_of("speech.wav", "videos/a.mp4", *names, *(f"videos/{name}" for name in names))
    assert (found.videos, found.problems, found.warnings) == (("videos/a.mp4",), {}, ())


# -- what is not used -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("videos/clip.xyz", "videos/clip.xyz was not used: its type .xyz is unknown."),
        ("portrait.heic", "portrait.heic was not used: it lies beside videos/, not in it."),
        ("second.mp4", "second.mp4 was not used: it lies beside videos/, not in it."),
        ("raw.nef", "raw.nef was not used: it is a raw photo."),
        ("videos/day1/b.mp4", "videos/day1/ with b.mp4 was not used: folders inside videos/ and audios/ are not read."),
        ("videos/DCIM/100/MOV.MTS", "videos/DCIM/100/ with MOV.MTS was not used: folders inside videos/ and audios/ are not read."),
        ("clips/b.mp4", "clips/ with b.mp4 was not used: only the folders videos/ and audios/ are read."),
        ("audios/cover.jpg", "audios/cover.jpg was not used: it has no audio."),
        ("audios/x.xyz", "audios/x.xyz was not used: its type .xyz is unknown."),
        ("videos/a\n.xyz", "videos/a\\x0a.xyz was not used: its type .xyz is unknown."),
    ],
)
def test_what_looks_like_media_and_is_not_used_is_a_warning(path: str, message: str) -> None:
    recording = "audios/en.wav" if path.startswith("audios/") else "speech.wav"
    found = plan_of(recording, "videos/a.mp4", path)
    assert problem_codes(found) == (None, None)
    assert (found.recordings, found.videos) == ((recording,), ("videos/a.mp4",))
    (warning,) = found.warnings
    assert (warning.code, warning.message) == ("file_ignored", message)
    assert warning.hint.endswith(".")


def test_an_empty_recording_beside_the_one_that_is_used_is_named() -> None:
    (warning,) = plan_of(SPEECH, entry("talk.wav", 0), VIDEO).warnings
    assert warning.message == "talk.wav was not used: it is empty."


def test_documents_anywhere_and_other_files_beside_videos_are_no_warning() -> None:
    quiet = ("notes.docx", "project.aup3", "data.xyz", "old/notes.txt", "videos/day1/a.srt", "._portrait.heic", "portrait.heic.part")
    assert plan_of("speech.wav", "videos/a.mp4", *quiet).warnings == ()


def test_a_folder_of_many_files_is_one_warning_and_many_files_are_counted() -> None:
    (warning,) = plan_of("speech.wav", "videos/a.mp4", *(f"videos/day1/{number}.mp4" for number in range(9))).warnings
    assert warning.message.startswith("videos/day1/ with 0.mp4, 1.mp4, 2.mp4 and 6 more was not used")
    many = plan_of("speech.wav", "videos/a.mp4", *(f"videos/{number:03}.xyz" for number in range(100))).warnings
    assert len(many) == 21
    assert many[0].message.startswith("videos/000.xyz was not used")
    assert many[-1].message == "80 more files or folders were not used."


@pytest.mark.parametrize(
    ("paths", "expected", "named"),
    [
        (("speech.wav", "portrait.heic"), "no_videos", "portrait.heic (it lies beside videos/, not in it)"),
        (("speech.wav", "videos/x.cr2"), "no_videos", "videos/x.cr2 (it is a raw photo)"),
        (("speech.wav", "videos/x.xyz"), "no_videos", "videos/x.xyz (its type .xyz is unknown)"),
        (("speech.wav", "videos/day1/a.mp4"), "no_videos", "videos/day1/ with a.mp4 (folders inside videos/ and audios/ are not read)"),
        (("speech.wav", "Video/a.mp4"), "no_videos", "Video/ with a.mp4 (only the folders videos/ and audios/ are read)"),
        (("speech.wav", "videos.zip"), "no_videos", "videos.zip (it is an archive)"),
        ((SPEECH, entry("videos/a.mp4", 0)), "no_videos", "videos/a.mp4 (it is empty)"),
        (("videos/a.mp4", "speech.aax"), "no_recording", "speech.aax (it is protected audio)"),
        (("videos/a.mp4", "videos/speech.mp3"), "no_recording", "videos/speech.mp3 (it lies in videos/)"),
        (("videos/a.mp4", "sprache/rede.wav"), "no_recording", "sprache/ with rede.wav (only the folders videos/ and audios/ are read)"),
        (("videos/a.mp4", "audios/list.m3u"), "no_recording", "audios/list.m3u (it is a playlist)"),
        ((VIDEO, entry("speech.wav", 0)), "no_recording", "speech.wav (it is empty)"),
    ],
)
def test_an_incomplete_drop_names_what_was_found_in_place_of_media(paths: tuple[str | Entry, ...], expected: str, named: str) -> None:
    found = plan_of(*paths)
    assert problem_codes(found) == (expected, None)
    assert found.incomplete is not None
    assert found.incomplete.message.endswith(f" Found, but not usable: {named}.")


def test_an_incomplete_drop_of_documents_names_none() -> None:
    found = plan_of("speech.wav", "notes.txt").incomplete
    assert found is not None
    assert found.message == "The videos/ folder is missing or has no video in it."


# -- empty files ------------------------------------------------------------------------------------------------------


def test_a_drop_of_empty_files_only_is_still_being_copied() -> None:
    assert problem_codes(plan_of(entry("speech.wav", 0), VIDEO)) == ("no_recording", None)
    assert problem_codes(plan_of(SPEECH, entry("videos/a.mp4", 0))) == ("no_videos", None)
    assert problem_codes(plan_of(entry("audios/a.wav", 0), VIDEO)) == ("no_recording", None)
    assert plan_of(entry("a.wav", 0), "b.wav", VIDEO).recordings == ("b.wav",)


def test_an_empty_file_beside_good_ones_fails_alone() -> None:
    found = plan_of("audios/a.wav", entry("audios/b.wav", 0), "videos/a.mp4", entry("videos/b.mp4", 0))
    assert problem_codes(found) == (None, None)
    assert {path: problem.code for path, problem in found.problems.items()} == {
        "audios/b.wav": "audio_empty",
        "videos/b.mp4": "video_truncated",
    }


# -- hostile files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (entry("videos/b.mp4", 10, Kind.SYMLINK), "symlink"),
        (entry("videos/b.mp4", 0, Kind.OTHER), "not_a_file"),
        (entry("videos/a\nb.mp4"), "bad_name"),
        (entry(os.fsdecode(b"videos/\xff.mp4")), "bad_name"),
        (entry("videos/b.mp4", 65 * 2**30), "file_too_large"),
        (entry(f"videos/{'老' * 84}.mp4"), "name_too_long"),
    ],
)
def test_a_bad_video_fails_alone(bad: Entry, expected: str) -> None:
    found = plan_of(SPEECH, VIDEO, bad)
    assert problem_codes(found) == (None, None)
    assert {path: problem.code for path, problem in found.problems.items()} == {bad.path: expected}
    assert found.problems[bad.path].message.isprintable()


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (entry("speech.wav", 10, Kind.SYMLINK), "symlink"),
        (entry("speech.wav", 10, Kind.OTHER), "not_a_file"),
        (entry("spe\nech.wav"), "bad_name"),
        (entry("speech.wav", 65 * 2**30), "file_too_large"),
    ],
)
def test_a_bad_recording_rejects_the_drop(bad: Entry, expected: str) -> None:
    assert problem_codes(plan_of(bad, VIDEO)) == (None, expected)


def test_a_bad_recording_among_several_fails_its_items_only() -> None:
    found = plan_of("audios/a.wav", entry("audios/b.wav", 5, Kind.SYMLINK), "videos/x.mp4", "videos/y.mp4")
    assert problem_codes(found) == (None, None)
    states = {each.key: each.state for each in items(found, {})}
    assert states == {"a/x": State.QUEUED, "a/y": State.QUEUED, "b/x": State.FAILED, "b/y": State.FAILED}


def test_a_name_of_255_bytes_is_not_too_long() -> None:
    longest = [f"videos/{'x' * 251}.mp4", f"videos/{'老' * 83}xx.mp4"]
    assert [len(path.encode()) for path in longest] == [7 + 255, 7 + 255]
    found = plan_of(f"{'s' * 251}.wav", *longest)
    assert (found.problems, problem_codes(found)) == ({}, (None, None))
    rejected = plan_of(f"{'s' * 252}.wav", "videos/a.mp4").rejected
    assert rejected is not None
    assert (rejected.code, "256 bytes, more than the limit of 255" in rejected.message) == ("name_too_long", True)


@pytest.mark.parametrize("path", ["videos", "Audios", "job.toml"])
def test_a_link_in_place_of_a_folder_or_of_job_toml_is_refused(path: str) -> None:
    assert problem_codes(plan_of(SPEECH, VIDEO, entry(path, 5, Kind.SYMLINK)))[1] == "symlink"
    assert problem_codes(plan_of(SPEECH, VIDEO, entry(path, 5, Kind.OTHER)))[1] == "not_a_file"


# -- limits and options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "server", "seconds"),
    [
        ("", "audio", 2 * 60 + 2 * 30),
        ("", "video", 2 * 5 + 2 * 3600),
        ('fit = "video"', "audio", 2 * 5 + 2 * 3600),
        ('fit = "audio"', "video", 2 * 60 + 2 * 30),
        ("first_seconds = 40", "audio", 2 * 40 + 2 * 30),
    ],
)
def test_the_results_of_a_drop_have_a_limit_together(toml: str, server: Fit, seconds: float) -> None:
    entries = [entry("audios/a.wav"), entry("audios/b.wav"), entry("videos/a.mp4"), entry("videos/b.mp4")]
    lengths = {"audios/a.wav": 60.0, "audios/b.wav": 30.0, "videos/a.mp4": 5.0, "videos/b.mp4": 3600.0}
    drop = plan(entries, job_toml=toml, limits=LIMITS)
    made = items(drop, {})
    limits = replace(LIMITS, result_seconds=seconds, fit=server)
    assert too_long(made, lengths, drop.options, limits) is None
    refused = too_long(made, lengths, drop.options, replace(limits, result_seconds=seconds - 1))
    assert refused is not None
    assert refused.code == "drop_too_long"
    assert f"{seconds / 3600:.1f} h" in refused.message
    if not toml and server == "audio":
        left = items(drop, {"videos/b.mp4": error("no_face", name="b.mp4")})
        assert too_long(left, lengths, drop.options, replace(limits, result_seconds=90)) is None


def test_the_limits_hold() -> None:
    entries = [SPEECH, entry("videos/a.mp4"), entry("videos/b.mp4")]
    assert plan(entries, limits=replace(LIMITS, items=2)).rejected is None
    assert code(plan(entries, limits=replace(LIMITS, items=1)).rejected) == "too_many_items"
    large = plan(entries, limits=replace(LIMITS, file_bytes=999)).rejected
    assert large is not None
    assert (large.code, large.message) == ("file_too_large", "speech.wav is larger than the limit of 999 B.")


def test_job_toml_is_applied_or_refused() -> None:
    assert plan([SPEECH, VIDEO], job_toml="priority = 7", limits=LIMITS).options.priority == 7
    assert code(plan([SPEECH, VIDEO], job_toml="prio = 7", limits=LIMITS).rejected) == "unknown_option"
    assert code(plan([SPEECH, VIDEO], job_toml="priority =", limits=LIMITS).rejected) == "bad_job_toml"


def test_a_face_chosen_in_a_video_that_is_not_there_is_refused_by_name() -> None:
    right = plan([SPEECH, VIDEO], job_toml='faces = { "teacher-a.mp4" = "left" }', limits=LIMITS)
    assert (right.rejected, right.options.faces) == (None, {"teacher-a.mp4": "left"})
    wrong = plan([SPEECH, VIDEO], job_toml='faces = { "teacher.mp4" = "left" }', limits=LIMITS).rejected
    assert wrong is not None
    assert (wrong.code, "teacher.mp4, which is no video of this drop (teacher-a.mp4)." in wrong.message) == ("bad_job_toml", True)


def test_a_face_chosen_in_a_video_that_may_still_come_is_no_mistake_yet() -> None:
    found = plan([SPEECH], job_toml='faces = { "teacher-a.mp4" = "left" }', limits=LIMITS)
    assert problem_codes(found) == ("no_videos", None)


@pytest.mark.parametrize("pattern", ["videos/{}.xyz", "videos/day/{}.mp4", "{}.heic", "audios/{}.wav", "audios/{}.en.srt"])
def test_a_listing_of_thousands_of_files_does_not_hold_up_the_tick(pattern: str) -> None:
    many = [*(entry(pattern.format(number)) for number in range(2500)), *(entry(f"audios/a{number}.wav") for number in range(2500))]
    began = time.process_time()
    plan(many, limits=LIMITS)
    assert time.process_time() - began < 2, "0.2 s on one core of an AMD EPYC server"


# -- the flat form ----------------------------------------------------------------------------------------------------


def test_in_the_flat_form_only_media_and_job_toml_are_part_of_the_drop() -> None:
    for path in ("speech.wav", "talk.mov", "job.toml", "videos/a.mp4", "AUDIOS/b.wav", "videos"):
        assert is_drop_file(path, flat=True)
    for path in ("portrait.HEIC", "clip.mts", "raw.cr2", "speech.srt", "Speech.docx"):
        assert is_drop_file(path, flat=True)
    for path in ("lesson.zip", "project.aup3", "speech", "talk.srt", "data.xyz", "lesson.ts/speech.wav"):
        assert not is_drop_file(path, flat=True)
    for path in ("README.txt", "lesson-02/speech.wav", "lesson-02/videos/a.mp4", ".heygem/claimed/x/speech.wav", "_done/speech.wav"):
        assert not is_drop_file(path, flat=True)
    assert is_drop_file("notes/README.txt")
    assert not is_drop_file("notes/README.txt.part")


def test_the_flat_form_is_planned_like_a_folder() -> None:
    found = plan([SPEECH, VIDEO, entry("lesson-02/speech.wav"), entry("lesson-02/videos/b.mp4")], flat=True, limits=LIMITS)
    assert (found.recordings, found.videos) == (("speech.wav",), ("videos/teacher-a.mp4",))
    assert problem_codes(found) == (None, None)


def test_in_the_flat_form_other_folders_and_files_are_no_warning_and_a_portrait_beside_videos_is_one() -> None:
    others = ["lesson-02/videos/b.mp4", "lesson-03.zip", "notes.xyz", "clips/a.mp4"]
    (warning,) = plan([*map(entry, others), SPEECH, VIDEO, entry("portrait.heic")], flat=True, limits=LIMITS).warnings
    assert warning.message.startswith("portrait.heic was not used")


@pytest.mark.parametrize(("name", "is_folder"), [("lesson.ts", True), ("clip.mp4", True), ("portrait.jpg", True), ("notes.txt", False)])
def test_a_folder_with_the_name_of_a_video_is_no_part_of_the_flat_form(name: str, is_folder: bool) -> None:
    assert not is_flat_part(name, is_folder=is_folder)


# -- items ------------------------------------------------------------------------------------------------------------


def test_a_single_recording_needs_no_folder() -> None:
    (made,) = items(plan_of("audios/en.wav", "videos/teacher-a.mp4"), {})
    assert (made.key, made.output, made.thumbnail) == ("teacher-a", "teacher-a.mp4", "thumbnails/teacher-a.jpg")
    assert (made.recording, made.video, made.state) == ("audios/en.wav", "videos/teacher-a.mp4", State.QUEUED)


def test_several_recordings_get_a_folder_each() -> None:
    made = items(plan_of("audios/en.wav", "audios/zh.wav", "videos/a.mp4"), {})
    assert [each.output for each in made] == ["en/a.mp4", "zh/a.mp4"]
    assert [each.thumbnail for each in made] == ["thumbnails/en/a.jpg", "thumbnails/zh/a.jpg"]
    assert [each.explain for each in made] == ["explain/en/a.png", "explain/zh/a.png"]


def test_a_problem_found_later_fails_its_items_only() -> None:
    problem = error("no_face", name="b.mp4")
    good, bad = items(plan_of("speech.wav", "videos/a.mp4", "videos/b.mp4"), {"videos/b.mp4": problem})
    assert good.state is State.QUEUED
    assert (bad.state, bad.reason) == (State.FAILED, "No face was found in b.mp4.")
    assert bad.failure is not None
    assert bad.failure.code == "no_face"


# -- signature --------------------------------------------------------------------------------------------------------


def test_the_signature_does_not_depend_on_the_order_of_the_listing() -> None:
    assert signature([SPEECH, VIDEO]) == signature([VIDEO, SPEECH])
    assert total_bytes([SPEECH, VIDEO]) == 2000


@given(st.sampled_from(["path", "size", "mtime_ns", "ctime_ns", "kind"]), st.binary(min_size=1, max_size=8))
def test_any_change_changes_the_signature(field: str, raw: bytes) -> None:
    before = entry(os.fsdecode(raw.replace(b"\0", b"x")))
    changes = {"path": before.path + "x", "size": 1001, "mtime_ns": 2, "ctime_ns": 2, "kind": Kind.SYMLINK}
    fields = {name: getattr(before, name) for name in changes} | {field: changes[field]}
    assert signature([before]) != signature([Entry(**fields)])


SUFFIXES = ["", ".mp4", ".WAV", ".heic", ".cr2", ".txt", ".xyz", ".zip", " .mov "]
PATHS = st.sampled_from(
    [
        "speech.wav",
        "b.mp3",
        "talk.mp4",
        "x.heic",
        "speech",
        "videos/a.cr2",
        "videos/a.xyz",
        "videos/b",
        "videos/d/c.mov",
        "audios/c.jpg",
        "job.toml",
        "videos/a.mp4",
        "videos/A.MOV",
        "videos/a\n.mp4",
        "audios/x.wav",
    ]
)
ENTRIES = st.builds(entry, PATHS, st.sampled_from([0, 1, 2**40]), st.sampled_from(Kind))


@given(st.lists(ENTRIES, max_size=8, unique_by=lambda each: each.path), st.booleans())
def test_the_plan_of_any_listing_is_consistent(entries: list[Entry], flat: bool) -> None:
    found = plan(entries, flat=flat, limits=LIMITS)
    assert (found.incomplete is None) == bool(found.recordings and found.videos)
    assert set(found.problems) <= {*found.recordings, *found.videos}
    assert all(each.message.isprintable() for each in found.warnings)
    used = [*found.recordings, *found.videos]
    assert not [each for each in found.warnings if any(each.message.startswith(f"{path} ") for path in used)]
    made = items(found, {})
    assert len(made) == len(found.recordings) * len(found.videos)
    assert len({each.output.casefold() for each in made}) == len(made)
    assert all((each.state is State.FAILED) == (each.recording in found.problems or each.video in found.problems) for each in made)


ANY_NAME = st.binary(min_size=1, max_size=20).map(lambda raw: os.fsdecode(raw.translate(bytes.maketrans(b"/\0", b"__"))))
ANY_PATH = st.builds("{}{}{}".format, st.sampled_from(["", "videos/", "audios/", "videos/x/", "y/"]), ANY_NAME, st.sampled_from(SUFFIXES))


@given(st.lists(st.builds(entry, ANY_PATH, st.sampled_from([0, 1])), max_size=8, unique_by=lambda each: each.path), st.booleans())
def test_any_names_are_planned_and_every_media_file_is_used_or_named(entries: list[Entry], flat: bool) -> None:
    found = plan(entries, flat=flat, limits=LIMITS)
    items(found, {})
    used = {*found.recordings, *found.videos, *found.scripts.values()}
    shown = "".join(each.message for each in found.warnings)
    refused = "".join(problem.message for problem in (found.incomplete, found.rejected) if problem)
    assert escape_name(shown + refused) == shown + refused
    for each in entries:
        if is_drop_file(each.path, flat=flat) and type_of(each.path) in {FileType.VIDEO, FileType.STILL, FileType.UNSUPPORTED}:
            folder, _, name = each.path.rpartition("/")
            assert each.path in used or escape_name(name) in shown or f"{escape_name(folder)}/ with" in shown


def test_a_drop_that_is_itself_a_link_is_refused_as_one() -> None:
    found = plan([Entry(path="", size=0, mtime_ns=0, ctime_ns=0, kind=Kind.SYMLINK)], limits=LIMITS).rejected
    assert found is not None
    assert found.code == "symlink"


# -- scripts ----------------------------------------------------------------------------------------------------------


def test_a_text_beside_the_recording_is_its_script() -> None:
    assert plan_of("speech.wav", "Speech.TXT", "videos/a.mp4").scripts == {"speech.wav": "Speech.TXT"}
    assert plan_of("talk.wav", "speech.txt", "videos/a.mp4").scripts == {"talk.wav": "speech.txt"}
    assert plan_of("talk.wav", "speech.txt", "talk.txt", "videos/a.mp4").scripts == {"talk.wav": "talk.txt"}
    assert plan_of("talk.wav", "notes.txt", "videos/a.mp4", "videos/talk.txt").scripts == {}
    assert plan_of("talk.wav", "speech.txt.part", "videos/a.mp4").scripts == {}


def test_each_of_several_recordings_has_its_own_script() -> None:
    found = plan_of("audios/en.wav", "audios/en.txt", "audios/zh.mp3", "audios/unspoken.txt", "speech.txt", "videos/a.mp4")
    assert found.scripts == {"audios/en.wav": "audios/en.txt"}
    assert [(each.recording, each.script) for each in items(found, {})] == [("audios/en.wav", "audios/en.txt"), ("audios/zh.mp3", "")]
    assert plan_of("audios/en.wav", "speech.txt", "videos/a.mp4").scripts == {"audios/en.wav": "speech.txt"}


SCRIPTS = ("txt", "md", "docx", "odt", "rtf", "srt", "vtt", "ass", "ssa", "sbv", "lrc", "doc", "pages", "pdf")


@pytest.mark.parametrize("suffix", SCRIPTS)
def test_a_document_or_subtitles_beside_the_recording_are_its_script(suffix: str) -> None:
    assert plan_of("speech.wav", f"speech.{suffix}", "videos/a.mp4").scripts == {"speech.wav": f"speech.{suffix}"}
    assert plan_of("talk.wav", f"Talk.{suffix.upper()}", "videos/a.mp4").scripts == {"talk.wav": f"Talk.{suffix.upper()}"}
    assert plan_of("talk.wav", f"talk.wav.{suffix}", "videos/a.mp4").scripts == {"talk.wav": f"talk.wav.{suffix}"}
    assert plan_of("audios/talk.wav", f"audios/talk.{suffix}", "videos/a.mp4").scripts == {"audios/talk.wav": f"audios/talk.{suffix}"}


@pytest.mark.parametrize(("better", "worse"), list(pairwise(SCRIPTS)))
def test_of_two_scripts_the_plainer_one_wins(better: str, worse: str) -> None:
    found = plan_of("talk.wav", f"talk.{worse}", f"talk.{better}", "videos/a.mp4")
    assert found.scripts == {"talk.wav": f"talk.{better}"}
    assert found.warnings == ()


def test_a_script_of_the_recordings_own_name_wins_over_the_common_one() -> None:
    assert plan_of("talk.wav", "speech.txt", "talk.srt", "videos/a.mp4").scripts == {"talk.wav": "talk.srt"}


def test_an_empty_script_is_none() -> None:
    assert plan_of("talk.wav", entry("talk.txt", 0), "talk.srt", "videos/a.mp4").scripts == {"talk.wav": "talk.srt"}


def test_subtitles_named_with_a_language_are_taken_where_there_is_one_language() -> None:
    assert plan_of("talk.wav", "talk.en.srt", "videos/a.mp4").scripts == {"talk.wav": "talk.en.srt"}
    assert plan_of("talk.wav", "talk.zh-Hans.vtt", "videos/a.mp4").scripts == {"talk.wav": "talk.zh-Hans.vtt"}
    assert plan_of("talk.wav", "talk.en.srt", "talk.de.srt", "videos/a.mp4").scripts == {}
    assert plan_of("talk.wav", "talk.final.srt", "talking.en.srt", "videos/a.mp4").scripts == {}


def test_unicode_forms_of_one_name_are_the_same_name() -> None:
    assert plan_of("caf\u00e9.wav", "cafe\u0301.txt", "videos/a.mp4").scripts == {"caf\u00e9.wav": "cafe\u0301.txt"}


def test_a_script_is_no_recording_and_completes_nothing_and_a_change_of_it_is_a_change_of_the_drop() -> None:
    assert problem_codes(plan_of("speech.txt", "videos/a.mp4")) == ("no_recording", None)
    assert problem_codes(plan_of("speech.wav", entry("speech.txt", 0), "videos/a.mp4")) == (None, None)
    assert problem_codes(plan_of("speech.wav", entry("speech.txt", kind=Kind.SYMLINK), "videos/a.mp4")) == (None, None)
    drop = [SPEECH, VIDEO, entry("speech.txt", 10)]
    assert signature(drop) != signature([SPEECH, VIDEO, entry("speech.txt", 11)])
    assert signature(drop) != signature([SPEECH, VIDEO])


def test_of_the_flat_form_only_speech_txt_is_a_script() -> None:
    assert is_drop_file("speech.txt", flat=True)
    assert not is_drop_file("readme.txt", flat=True)
    found = plan([SPEECH, VIDEO, entry("speech.txt"), entry("readme.txt")], flat=True, limits=LIMITS)
    assert found.scripts == {"speech.wav": "speech.txt"}
