import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.drop import DropLimits, Entry, Kind, Plan, is_drop_file, items, plan, signature, total_bytes
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.job import State
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


@pytest.mark.parametrize("path", ["videos", "Audios", "job.toml"])
def test_a_link_in_place_of_a_folder_or_of_job_toml_is_refused(path: str) -> None:
    assert problem_codes(plan_of(SPEECH, VIDEO, entry(path, 5, Kind.SYMLINK)))[1] == "symlink"
    assert problem_codes(plan_of(SPEECH, VIDEO, entry(path, 5, Kind.OTHER)))[1] == "not_a_file"


# -- limits and options -----------------------------------------------------------------------------------------------


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


# -- the flat form ----------------------------------------------------------------------------------------------------


def test_in_the_flat_form_only_media_and_job_toml_are_part_of_the_drop() -> None:
    for path in ("speech.wav", "talk.mov", "job.toml", "videos/a.mp4", "AUDIOS/b.wav", "videos"):
        assert is_drop_file(path, flat=True)
    for path in ("README.txt", "lesson-02/speech.wav", "lesson-02/videos/a.mp4", ".heygem/claimed/x/speech.wav", "_done/speech.wav"):
        assert not is_drop_file(path, flat=True)
    assert is_drop_file("notes/README.txt")
    assert not is_drop_file("notes/README.txt.part")


def test_the_flat_form_is_planned_like_a_folder() -> None:
    found = plan([SPEECH, VIDEO, entry("lesson-02/speech.wav"), entry("lesson-02/videos/b.mp4")], flat=True, limits=LIMITS)
    assert (found.recordings, found.videos) == (("speech.wav",), ("videos/teacher-a.mp4",))
    assert problem_codes(found) == (None, None)


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


PATHS = st.sampled_from(["speech.wav", "b.mp3", "talk.mp4", "job.toml", "videos/a.mp4", "videos/A.MOV", "videos/a\n.mp4", "audios/x.wav"])
ENTRIES = st.builds(entry, PATHS, st.sampled_from([0, 1, 2**40]), st.sampled_from(Kind))


@given(st.lists(ENTRIES, max_size=8, unique_by=lambda each: each.path), st.booleans())
def test_the_plan_of_any_listing_is_consistent(entries: list[Entry], flat: bool) -> None:
    found = plan(entries, flat=flat, limits=LIMITS)
    assert (found.incomplete is None) == bool(found.recordings and found.videos)
    assert set(found.problems) <= {*found.recordings, *found.videos}
    made = items(found, {})
    assert len(made) == len(found.recordings) * len(found.videos)
    assert len({each.output.casefold() for each in made}) == len(made)
    assert all((each.state is State.FAILED) == (each.recording in found.problems or each.video in found.problems) for each in made)


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
