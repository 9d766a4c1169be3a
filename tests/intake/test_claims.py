import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.core.drop import Entry, Kind
from heygem_daemon.core.errors import InputError, TransientError
from heygem_daemon.core.job import Job
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.scan import ScannedDrop
from heygem_daemon.core.users import FOREIGN_ROOT, ROOT
from heygem_daemon.intake import archive
from heygem_daemon.intake.archive import FIND_SECONDS, NAMESAKES_OPENED
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.intake.mounts import Mount
from heygem_daemon.intake.scanner import FolderScanner

CLAIMS = FolderClaims()


def fill(folder: Path, *paths: str, content: str = "x") -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def scan_of(inbox: Path, name: str) -> ScannedDrop:
    return next(scanned for scanned in FolderScanner().scan(str(inbox)).drops if scanned.name == name)


def claimed_job(inbox: Path, name: str, job_id: str = "job-1", shown: str = "") -> Job:
    """Claim the drop as the daemon does, and return its job."""
    claim_dir = CLAIMS.claim(scan_of(inbox, name), job_id)
    return Job(id=job_id, name=shown or name, inbox=str(inbox), claimed=str(claim_dir), output="out", flat=not name)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def content(entries: tuple[Entry, ...]) -> list[tuple[str, int, int]]:
    """What a rename of the file itself does not change."""
    return [(entry.path, entry.size, entry.mtime_ns) for entry in entries]


def test_a_claim_moves_the_whole_drop_into_the_jobs_folder(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav", "videos/a.mp4", ".hidden", "videos/x.part")
    before = tree(inbox / "lesson-01")
    claim_dir = CLAIMS.claim(scan_of(inbox, "lesson-01"), "job-1")
    assert claim_dir == inbox / ".heygem/claimed/job-1"
    assert tree(claim_dir / "lesson-01") == before
    assert not (inbox / "lesson-01").exists()
    assert CLAIMS.claimed(str(inbox)) == ["job-1"]


def test_a_listing_of_a_claim_equals_the_scan_it_was_made_of(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav", "videos/a.mp4", "notes.txt")
    scanned = scan_of(inbox, "lesson-01")
    claim_dir = CLAIMS.claim(scanned, "job-1")
    found = CLAIMS.listing(claim_dir)
    assert (found.root, found.entries, found.uid) == (claim_dir / "lesson-01", scanned.entries, os.getuid())


def test_the_root_of_a_claimed_job_is_its_drop_and_what_is_gone_is_told_from_what_is_offline(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    job = claimed_job(inbox, "lesson-01")
    assert CLAIMS.root(job) == Path(job.claimed) / "lesson-01"
    CLAIMS.unclaim(str(inbox), job.id)
    with pytest.raises(InputError) as gone:
        CLAIMS.root(job)
    assert gone.value.code == "inputs_gone"
    (inbox / MARKER).unlink()
    with pytest.raises(TransientError) as raised:
        CLAIMS.root(job)
    assert raised.value.code == "share_offline"


def test_a_share_that_fails_under_a_claimed_job_is_a_transient_error(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(inbox / "lesson-01", "speech.wav", "videos/a.mp4")
    job = claimed_job(inbox, "lesson-01")
    is_dir = Path.is_dir

    def stale(path: Path) -> bool:
        if path.name == "a.mp4":
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", stale)
    with pytest.raises(TransientError) as raised:
        CLAIMS.root(job, ("speech.wav", "videos/a.mp4"))
    assert raised.value.code == "io_error"


def test_the_ready_file_goes_with_the_claim(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    fill(inbox, "lesson-01.READY", "other.ready")
    CLAIMS.claim(scan_of(inbox, "lesson-01"), "job-1")
    assert not (inbox / "lesson-01.READY").exists()
    assert (inbox / "other.ready").exists()


def test_a_drop_that_another_process_took_is_not_found_and_leaves_no_trace(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    scanned = scan_of(inbox, "lesson-01")
    CLAIMS.claim(scanned, "winner")
    with pytest.raises(FileNotFoundError):
        CLAIMS.claim(scanned, "loser")
    assert CLAIMS.claimed(str(inbox)) == ["winner"]


def test_a_claim_in_an_inbox_that_went_away_waits_and_never_creates_it(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    scanned = scan_of(inbox, "lesson-01")
    inbox.rename(inbox.with_name("unmounted"))
    with pytest.raises(TransientError) as raised:
        CLAIMS.claim(scanned, "job-1")
    assert raised.value.code == "share_offline"
    assert not inbox.exists()


def race(inbox: str, racer: int, drops: int, start: "multiprocessing.synchronize.Barrier") -> None:
    start.wait()
    for number in range(drops):
        scanned = ScannedDrop(inbox=inbox, name=f"drop-{number:03}", entries=())
        try:
            CLAIMS.claim(scanned, f"{racer}-{number:03}")
        except FileNotFoundError:
            continue


def test_of_four_racing_processes_exactly_one_gets_each_drop(inbox: Path) -> None:
    drops = 100
    for number in range(drops):
        fill(inbox / f"drop-{number:03}", "speech.wav", "videos/a.mp4")
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    racers = [context.Process(target=race, args=(str(inbox), racer, drops, start)) for racer in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0, 0, 0, 0]
    claim_dirs = sorted((inbox / ".heygem/claimed").iterdir())
    assert sorted(claim_dir.name.split("-")[1] for claim_dir in claim_dirs) == [f"{number:03}" for number in range(drops)]
    assert all(tree(claim_dir / f"drop-{claim_dir.name.split('-')[1]}") == ["speech.wav", "videos/a.mp4"] for claim_dir in claim_dirs)


def test_unclaiming_puts_the_drop_back_as_it_was(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav", "videos/a.mp4")
    CLAIMS.claim(scan_of(inbox, "lesson-01"), "job-1")
    assert CLAIMS.unclaim(str(inbox), "job-1")
    assert tree(inbox / "lesson-01") == ["speech.wav", "videos/a.mp4"]
    assert CLAIMS.claimed(str(inbox)) == []
    assert not CLAIMS.unclaim(str(inbox), "job-1")


def test_unclaiming_overwrites_nothing_that_took_the_name_meanwhile(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav", content="old")
    CLAIMS.claim(scan_of(inbox, "lesson-01"), "job-1")
    fill(inbox / "lesson-01", "speech.wav", content="new")
    assert CLAIMS.unclaim(str(inbox), "job-1")
    assert (inbox / "lesson-01/speech.wav").read_text() == "new"
    assert (inbox / "lesson-01-2/speech.wav").read_text() == "old"


def test_a_claim_that_got_no_further_than_its_empty_folder_is_cleared_away(inbox: Path) -> None:
    (inbox / ".heygem/claimed/job-1").mkdir(parents=True)
    assert not CLAIMS.unclaim(str(inbox), "job-1")
    assert CLAIMS.claimed(str(inbox)) == []


def test_nothing_is_concluded_about_the_claims_of_an_inbox_that_is_offline(inbox: Path) -> None:
    (inbox / ".heygem-inbox").unlink()
    for question in (
        lambda: CLAIMS.claimed(str(inbox)),
        lambda: CLAIMS.unclaim(str(inbox), "job-1"),
        lambda: CLAIMS.listing(inbox / ".heygem/claimed/job-1"),
    ):
        with pytest.raises(TransientError) as raised:
            question()
        assert raised.value.code == "share_offline"


def test_the_flat_form_is_claimed_and_everything_else_in_the_inbox_stays(inbox: Path) -> None:
    fill(inbox, "speech.wav", "videos/a.mp4", "job.toml", "readme.txt", "speech.ready", "lesson-01/speech.wav")
    scanned = scan_of(inbox, "")
    claim_dir = CLAIMS.claim(scanned, "job-1")
    found = CLAIMS.listing(claim_dir)
    root, entries = found.root, found.entries
    assert (root, content(entries)) == (claim_dir / "flat", content(scanned.entries))
    assert tree(root) == ["job.toml", "speech.wav", "videos/a.mp4"]
    assert tree(inbox) == sorted([".heygem-inbox", "lesson-01/speech.wav", "readme.txt", ".heygem/claimed/job-1/.flat", *(
        f".heygem/claimed/job-1/flat/{path}" for path in tree(root)
    )])  # fmt: skip


def test_an_unclaimed_flat_form_goes_back_beside_what_came_meanwhile(inbox: Path) -> None:
    fill(inbox, "speech.wav", "videos/a.mp4", "videos/b.mp4", content="old")
    CLAIMS.claim(scan_of(inbox, ""), "job-1")
    fill(inbox, "speech.wav", "videos/a.mp4", content="new")
    assert CLAIMS.unclaim(str(inbox), "job-1")
    assert tree(inbox) == [".heygem-inbox", "speech-2.wav", "speech.wav", "videos/a-2.mp4", "videos/a.mp4", "videos/b.mp4"]
    assert (inbox / "speech.wav").read_text() == "new"
    assert (inbox / "videos/a-2.mp4").read_text() == "old"


CRASH = """
import os, sys
from heygem_daemon.intake import claims, scanner
moves = int(sys.argv[2])
rename = claims.rename_exclusive
def rename_then_die(source, target):
    global moves
    if moves == 0:
        os._exit(9)
    moves -= 1
    rename(source, target)
claims.rename_exclusive = rename_then_die
claims.FolderClaims().claim(scanner.FolderScanner().scan(sys.argv[1]).drops[0], "job-1")
"""


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_process_killed_in_the_middle_of_a_flat_claim_loses_nothing(inbox: Path, moves: int) -> None:
    fill(inbox, "speech.wav", "videos/a.mp4", "job.toml")
    before = tree(inbox)
    assert subprocess.run([sys.executable, "-c", CRASH, str(inbox), str(moves)], check=False).returncode == 9
    assert CLAIMS.claimed(str(inbox)) == ["job-1"]
    CLAIMS.unclaim(str(inbox), "job-1")
    assert tree(inbox) == before


def test_the_second_of_two_claims_of_a_flat_form_backs_out(inbox: Path) -> None:
    fill(inbox, "speech.wav", "videos/a.mp4")
    scanned = scan_of(inbox, "")
    CLAIMS.claim(scanned, "winner")
    with pytest.raises(FileNotFoundError):
        CLAIMS.claim(scanned, "loser")
    assert CLAIMS.claimed(str(inbox)) == ["winner"]
    assert content(CLAIMS.listing(inbox / ".heygem/claimed/winner").entries) == content(scanned.entries)


def test_the_inputs_of_a_succeeded_job_end_in_done(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav", "videos/a.mp4")
    job = claimed_job(inbox, "lesson-01")
    assert CLAIMS.finish(job, "_done", None) == inbox / "_done/lesson-01"
    assert tree(inbox / "_done/lesson-01") == [".heygem-job.json", "speech.wav", "videos/a.mp4"]
    assert CLAIMS.claimed(str(inbox)) == []


def test_a_failed_job_leaves_its_reason_beside_its_inputs(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    CLAIMS.finish(claimed_job(inbox, "lesson-01"), "_failed", "There is no video. (no_videos)")
    assert (inbox / "_failed/lesson-01/reason.txt").read_text() == "There is no video. (no_videos)"


def test_inputs_never_overwrite_those_of_an_earlier_job(inbox: Path) -> None:
    for number in range(3):
        fill(inbox / "lesson-01", "speech.wav", content=str(number))
        CLAIMS.finish(claimed_job(inbox, "lesson-01", f"job-{number}"), "_done", None)
    assert [(inbox / f"_done/lesson-01{end}/speech.wav").read_text() for end in ("", "-2", "-3")] == ["0", "1", "2"]


def test_a_reason_txt_that_was_dropped_is_kept_beside_ours(inbox: Path, tmp_path: Path) -> None:
    fill(inbox / "lesson-01", "reason.txt", content="mine")
    CLAIMS.finish(claimed_job(inbox, "lesson-01"), "_failed", "ours")
    assert (inbox / "_failed/lesson-01/reason.txt").read_text() == "ours"
    assert (inbox / "_failed/lesson-01/reason-2.txt").read_text() == "mine"


def test_a_reason_txt_that_is_a_link_is_not_followed(inbox: Path, tmp_path: Path) -> None:
    fill(tmp_path, "precious", content="precious")
    fill(inbox / "lesson-01", "speech.wav")
    (inbox / "lesson-01/reason.txt").symlink_to(tmp_path / "precious")
    CLAIMS.finish(claimed_job(inbox, "lesson-01"), "_failed", "ours")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (inbox / "_failed/lesson-01/reason.txt").read_text() == "ours"


def test_finishing_again_after_a_crash_finds_the_inputs_gone(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    job = claimed_job(inbox, "lesson-01")
    CLAIMS.finish(job, "_failed", "why")
    assert CLAIMS.finish(job, "_failed", "why") is None
    assert tree(inbox / "_failed") == ["lesson-01/.heygem-job.json", "lesson-01/reason.txt", "lesson-01/speech.wav"]


def test_finishing_while_the_inbox_is_offline_waits(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    job = claimed_job(inbox, "lesson-01")
    inbox.rename(inbox.with_name("unmounted"))
    with pytest.raises(TransientError) as raised:
        CLAIMS.finish(job, "_done", None)
    assert raised.value.code == "share_offline"


def test_a_drop_that_is_a_link_fails_without_touching_where_it_points(inbox: Path, tmp_path: Path) -> None:
    outside = fill(tmp_path / "outside", "speech.wav")
    (inbox / "lesson").symlink_to(outside)
    job = claimed_job(inbox, "lesson")
    assert CLAIMS.listing(Path(job.claimed)).entries[0].kind is Kind.SYMLINK
    assert CLAIMS.finish(job, "_failed", "It is a link.") == inbox / "_failed/lesson"
    assert (inbox / "_failed/lesson/lesson").readlink() == outside
    assert (inbox / "_failed/lesson/reason.txt").read_text() == "It is a link."
    assert tree(outside) == ["speech.wav"]


@pytest.mark.parametrize("raw", [b"les\xffson", b"two\nlines", b"-rf", b"a" * 255, "讲座".encode()])
def test_drops_with_odd_names_can_be_claimed_failed_and_restored(inbox: Path, raw: bytes) -> None:
    name = os.fsdecode(raw)
    fill(inbox / name, "speech.wav")
    job = claimed_job(inbox, name, shown="shown")
    assert CLAIMS.finish(job, "_failed", "bad name \udcff") == inbox / "_failed" / name
    assert CLAIMS.restore(job) == Path(job.claimed)
    assert CLAIMS.listing(Path(job.claimed)).root == CLAIMS.root(job) == Path(job.claimed) / name


def test_a_retry_finds_its_own_inputs_among_namesakes(inbox: Path) -> None:
    jobs = []
    for number in range(3):
        fill(inbox / "lesson-01", "speech.wav", content=str(number))
        jobs.append(claimed_job(inbox, "lesson-01", f"job-{number}"))
        CLAIMS.finish(jobs[-1], "_failed", "why")
    claim_dir = CLAIMS.restore(jobs[1])
    assert claim_dir == inbox / ".heygem/claimed/job-1"
    assert tree(claim_dir) == ["lesson-01/speech.wav"]
    assert (claim_dir / "lesson-01/speech.wav").read_text() == "1"
    assert sorted(path.name for path in (inbox / "_failed").iterdir()) == ["lesson-01", "lesson-01-3"]


def test_a_retried_flat_form_is_flat_again(inbox: Path) -> None:
    fill(inbox, "speech.wav", "videos/a.mp4")
    job = claimed_job(inbox, "", shown="speech")
    assert CLAIMS.finish(job, "_failed", "why") == inbox / "_failed/speech"
    claim_dir = CLAIMS.restore(job)
    assert claim_dir
    assert CLAIMS.listing(claim_dir).root == CLAIMS.root(job) == claim_dir / "flat"
    CLAIMS.unclaim(str(inbox), job.id)
    assert tree(inbox) == [".heygem-inbox", "speech.wav", "videos/a.mp4"]


def test_a_link_that_failed_can_be_restored(inbox: Path, tmp_path: Path) -> None:
    (inbox / "lesson").symlink_to(tmp_path)
    job = claimed_job(inbox, "lesson")
    CLAIMS.finish(job, "_failed", "It is a link.")
    CLAIMS.restore(job)
    assert (Path(job.claimed) / "lesson").is_symlink()
    assert tree(inbox / "_failed") == []


def test_restoring_what_is_gone_or_was_never_away_is_harmless(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    job = claimed_job(inbox, "lesson-01")
    assert CLAIMS.restore(job) == Path(job.claimed)
    assert CLAIMS.restore(replace(job, id="other", claimed=str(inbox / ".heygem/claimed/other"))) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"job": "job-1"}', '{"job": "job-1", "name": "../../etc", "flat": false}', "\xff"])
def test_a_record_that_was_tampered_with_is_ignored(inbox: Path, text: str) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    job = claimed_job(inbox, "lesson-01")
    CLAIMS.finish(job, "_failed", "why")
    (inbox / "_failed/lesson-01/.heygem-job.json").write_bytes(text.encode("latin-1"))
    assert CLAIMS.restore(job) is None
    assert (inbox / "_failed/lesson-01/speech.wav").exists()


def test_the_record_names_the_job(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    CLAIMS.finish(claimed_job(inbox, "lesson-01"), "_done", None)
    assert json.loads((inbox / "_done/lesson-01/.heygem-job.json").read_text())["job"] == "job-1"


def job_toml(inbox: Path) -> str | None:
    """Return what the daemon reads of the drop "lesson", going by its scan."""
    return CLAIMS.job_toml(inbox / "lesson", scan_of(inbox, "lesson").entries)


def test_the_text_of_job_toml_is_read_whatever_its_case_and_encoding(inbox: Path) -> None:
    drop = fill(inbox / "lesson", "speech.wav")
    assert job_toml(inbox) is None
    (drop / "Job.TOML").write_bytes(b'engine = "\xff"')
    assert job_toml(inbox) == 'engine = "�"'


def test_a_job_toml_that_is_a_pipe_does_not_block(inbox: Path) -> None:
    (inbox / "lesson").mkdir()
    os.mkfifo(inbox / "lesson/job.toml")
    assert job_toml(inbox) is None


def test_a_job_toml_that_is_a_link_is_not_read(inbox: Path, tmp_path: Path) -> None:
    fill(tmp_path, "secret", content="secret")
    (inbox / "lesson").mkdir()
    (inbox / "lesson/job.toml").symlink_to(tmp_path / "secret")
    assert job_toml(inbox) is None


def test_a_job_toml_that_becomes_a_link_after_the_listing_is_not_read(inbox: Path, tmp_path: Path) -> None:
    fill(tmp_path, "secret", content="secret")
    fill(inbox / "lesson", "job.toml")
    entries = scan_of(inbox, "lesson").entries
    (inbox / "lesson/job.toml").unlink()
    (inbox / "lesson/job.toml").symlink_to(tmp_path / "secret")
    with pytest.raises(TransientError):
        CLAIMS.job_toml(inbox / "lesson", entries)


def test_a_control_file_that_was_applied_is_deleted(inbox: Path) -> None:
    fill(inbox, "a.cancel", "a.hold", "b.cancel")
    CLAIMS.clear_control(str(inbox), "a", "cancel")
    CLAIMS.clear_control(str(inbox), "a", "cancel")
    assert tree(inbox) == [".heygem-inbox", "a.hold", "b.cancel"]


@pytest.mark.parametrize("job_id", ["", "../x", ".hidden", "a/b"])
def test_a_job_id_that_is_a_path_is_refused(inbox: Path, job_id: str) -> None:
    with pytest.raises(ValueError, match="not a job id"):
        CLAIMS.unclaim(str(inbox), job_id)


def test_a_drop_that_is_taken_while_its_permissions_are_checked_is_gone_and_not_forbidden(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    scanned = scan_of(inbox, "lesson-01")

    def taken_meanwhile(path: Path, *_: object, **__: object) -> bool:
        shutil.rmtree(path)
        return False

    monkeypatch.setattr("heygem_daemon.intake.permissions.os.access", taken_meanwhile)
    with pytest.raises(FileNotFoundError):
        CLAIMS.claim(scanned, "job-1")


def test_a_folder_named_like_a_control_file_is_never_deleted(inbox: Path) -> None:
    (inbox / "a.cancel").mkdir()
    CLAIMS.clear_control(str(inbox), "a", "cancel")
    assert (inbox / "a.cancel").is_dir()


def test_claims_become_durable_together_and_the_inbox_once(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = []
    for name in ("a", "b"):
        fill(inbox / name, "speech.wav")
        claimed.append(CLAIMS.claim(scan_of(inbox, name), f"job-{name}"))
    synced: list[Path] = []
    monkeypatch.setattr("heygem_daemon.intake.claims.sync_folder", synced.append)
    CLAIMS.persist(str(inbox), claimed)
    assert synced == [*claimed, inbox / ".heygem" / "claimed", inbox], "the drop is in its new place before it is gone from the old one"


def test_a_share_that_is_gone_makes_no_claim_durable(inbox: Path) -> None:
    fill(inbox / "a", "speech.wav")
    claimed = CLAIMS.claim(scan_of(inbox, "a"), "job-a")
    shutil.rmtree(inbox)
    with pytest.raises(TransientError) as problem:
        CLAIMS.persist(str(inbox), [claimed])
    assert problem.value.code == "share_offline"


# -- years of inputs --------------------------------------------------------------------------------------------------


def archived(folder: Path, job_id: str, ended: float) -> None:
    fill(folder, "speech.wav")
    (folder / ".heygem-job.json").write_text(json.dumps({"job": job_id, "name": folder.name, "flat": False}))
    os.utime(folder / ".heygem-job.json", (ended, ended))


def records_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []
    original = archive.read_record

    def noted(folder: Path) -> archive.Record | None:
        read.append(folder)
        return original(folder)

    monkeypatch.setattr(archive, "read_record", noted)
    return read


def test_a_retry_opens_few_of_the_inputs_of_years(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(inbox / "lesson", "speech.wav")
    job = claimed_job(inbox, "lesson")
    CLAIMS.finish(job, "_failed", "why")
    for number in range(1000):
        (inbox / f"_failed/old-{number}").mkdir()
        (inbox / f"_done/old-{number}").mkdir(parents=True)
    read = records_read(monkeypatch)
    assert CLAIMS.restore(job) is not None
    assert len(read) == 1
    read.clear()
    assert CLAIMS.restore(replace(job, id="gone", claimed=str(inbox / ".heygem/claimed/gone"))) is None
    assert len(read) <= 2 * archive.OTHERS_OPENED


def test_of_many_namesakes_those_are_opened_that_ended_with_the_job(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, day = 1_800_000_000.0, 86400.0
    for number in range(1, 601):
        archived(inbox / "_failed" / ("lesson" if number == 1 else f"lesson-{number}"), f"job-{number}", now + number * day)
    read = records_read(monkeypatch)
    claimed = inbox / ".heygem/claimed/job-77"
    job = Job(id="job-77", name="lesson", inbox=str(inbox), claimed=str(claimed), output="out", finished_at=now + 77 * day - 60)
    assert CLAIMS.restore(job) == claimed
    assert len(read) < 10


def test_of_many_namesakes_that_were_archived_late_it_is_found_too(inbox: Path) -> None:
    """A share was away for days, and a thousand inputs were archived when it came back."""
    now = 1_800_000_000.0
    for number in range(1, 601):
        archived(inbox / "_failed" / f"lesson-{number}", f"job-{number}", now + 5 * 86400 + number)
    job = Job(id="job-477", name="lesson", inbox=str(inbox), claimed=str(inbox / ".heygem/claimed/job-477"), output="out", finished_at=now)
    assert CLAIMS.restore(job) is not None


@pytest.mark.parametrize("slow", ["lstat", "read_record"])
def test_a_search_among_the_folders_that_anybody_put_down_ends_in_time(inbox: Path, monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
    """Thirty thousand folders, each with a large record, held up the tick for 14 s."""
    for number in range(NAMESAKES_OPENED + 50):
        archived(inbox / "_failed" / f"lesson-{number}", "another", 1e9)
    job = Job(id="job", name="lesson", inbox=str(inbox), claimed=str(inbox / ".heygem/claimed/job"), output="out", finished_at=1e9)
    clock, calls = [0.0], [0]

    def taking_time(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            clock[0] += FIND_SECONDS / 10
            calls[0] += 1
            return original(*arguments)

        return call

    monkeypatch.setattr("heygem_daemon.intake.archive.time.monotonic", lambda: clock[0])
    target = (archive, "read_record") if slow == "read_record" else (archive, "_seconds_from")
    monkeypatch.setattr(*target, taking_time(getattr(*target)))
    assert archive.find(inbox, job) is None
    assert calls[0] <= 12


@pytest.mark.parametrize(
    "forged",
    [
        {"name": "\ud800x"},
        {"name": "\ud800x", "wrapped": True},
        {"name": "x" * 256, "wrapped": True},
        {"name": "\u00e4" * 128, "wrapped": True},
        {"name": "", "flat": True, "wrapped": True},
        {"wrapped": [1]},
        {"flat": 0},
        {"name": 7},
        {"name": "a/b"},
        {"name": "a\0b"},
        {"name": "..", "wrapped": True},
    ],
)
def test_a_forged_record_is_no_record(inbox: Path, forged: dict[str, object]) -> None:
    """A name that no file system can hold made every round of the daemon fail for as long as a .retry file lay there."""
    fill(inbox / "lesson", "speech.wav")
    job = claimed_job(inbox, "lesson")
    archived_at = CLAIMS.finish(job, "_failed", "why")
    assert archived_at is not None
    record = {"job": job.id, "name": "lesson", "flat": False, "wrapped": False}
    (archived_at / ".heygem-job.json").write_text(json.dumps(record | forged))
    assert CLAIMS.restore(job) is None
    (archived_at / ".heygem-job.json").write_text(json.dumps(record | {"name": "\udcff"}))  # a byte that is no text
    assert CLAIMS.restore(job) is not None


def test_what_is_being_deleted_is_not_restored(inbox: Path) -> None:
    fill(inbox / "lesson", "speech.wav")
    job = claimed_job(inbox, "lesson")
    archived_at = CLAIMS.finish(job, "_failed", "why")
    assert archived_at
    archived_at.rename(archived_at.with_name(".deleting-lesson"))
    assert CLAIMS.restore(job) is None


@pytest.mark.parametrize("link", ["", "claimed", "claimed/job-1"])
def test_what_lies_behind_a_link_in_the_place_of_our_folders_is_never_touched(inbox: Path, tmp_path: Path, link: str) -> None:
    """Whoever may write to the share could have the daemon move its own ledger to where they can read it."""
    precious = tmp_path / "precious"
    for folder in (precious, precious / "job-1", precious / "claimed/job-1"):
        (folder / "secret").mkdir(parents=True)
        (folder / ".flat").touch()
    before = sorted(precious.rglob("*"))
    path = inbox / ".heygem" / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(precious)
    fill(inbox / "lesson", "speech.wav")
    over = Job(id="job-1", name="lesson", inbox=str(inbox), claimed=str(inbox / ".heygem/claimed/job-1"), output="out")
    with pytest.raises(TransientError, match="link"):
        CLAIMS.claim(scan_of(inbox, "lesson"), "job-1")
    assert CLAIMS.claimed(str(inbox)) == ([] if link != "claimed/job-1" else ["job-1"])
    assert not CLAIMS.unclaim(str(inbox), "job-1")
    assert CLAIMS.finish(over, "_failed", "why") is None
    with pytest.raises(InputError):
        CLAIMS.root(over)
    with pytest.raises(TransientError):
        CLAIMS.listing(Path(over.claimed))
    assert sorted(precious.rglob("*")) == before
    assert (inbox / "lesson").is_dir()


def test_inputs_are_archived_behind_no_link(inbox: Path, tmp_path: Path) -> None:
    (inbox / "_done").symlink_to(tmp_path)
    fill(inbox / "lesson", "speech.wav")
    job = claimed_job(inbox, "lesson")
    with pytest.raises(TransientError, match="link"):
        CLAIMS.finish(job, "_done", None)
    assert (Path(job.claimed) / "lesson").is_dir()


def test_in_an_inbox_that_takes_long_to_list_control_files_are_deleted_without_that(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heygem_daemon.intake.claims.SLOW_LISTING", -1.0)
    for name in ("a.hold", "A.HOLD", "b.hold"):
        (inbox / name).touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", lambda _: pytest.fail("it was listed"))
        for name in ("a", "b"):
            CLAIMS.clear_control(str(inbox), name, "hold")
    assert sorted(path.name for path in inbox.glob("[abAB].*")) == ["A.HOLD"]
    FolderClaims().clear_control(str(inbox), "a", "hold")
    assert not (inbox / "A.HOLD").exists()


@pytest.mark.parametrize(
    ("name", "spelt"), [("lesson", "LESSON"), ("\u00dcben", "u\u0308ben"), ("u\u0308ben", "\u00dcBEN"), ("Lesson", "Lesson")]
)
def test_a_control_file_is_deleted_however_the_name_of_the_drop_is_spelt(inbox: Path, name: str, spelt: str) -> None:
    (inbox / f"{spelt}.Hold.txt").touch()
    FolderClaims().clear_control(str(inbox), name, "hold")
    assert not list(inbox.glob("*old*"))


def test_the_control_file_of_another_drop_whose_name_differs_in_case_stays(inbox: Path) -> None:
    (inbox / "LESSON").mkdir()
    for name in ("LESSON.hold", "lesson.hold", "Lesson.hold"):
        (inbox / name).touch()
    FolderClaims().clear_control(str(inbox), "lesson", "hold")
    assert [path.name for path in inbox.glob("*.hold")] == ["LESSON.hold"]


def test_control_files_that_are_gone_do_not_have_the_inbox_listed_for_each(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3000):
        (inbox / f"lesson-{number}.hold").touch()
    listed: list[Path] = []
    listdir = os.listdir

    def counted(path: Path) -> list[str]:
        listed.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", counted)
    claims = FolderClaims()
    claims.clear_control(str(inbox), "lesson-0", "hold")
    for number in range(1, 50):
        (inbox / f"lesson-{number}.hold").unlink()
        claims.clear_control(str(inbox), f"gone-{number}", "cancel")
    assert len(listed) < 10
    assert not (inbox / "lesson-0.hold").exists()


def test_a_file_in_the_place_of_a_claimed_folder_is_nobodys_drop(inbox: Path) -> None:
    fill(inbox / ".heygem/claimed", "job-1")
    assert CLAIMS.claimed(str(inbox)) == ["job-1"]
    assert not CLAIMS.unclaim(str(inbox), "job-1")
    shutil.rmtree(inbox / ".heygem/claimed")
    fill(inbox / ".heygem", "claimed")
    assert CLAIMS.claimed(str(inbox)) == []


# -- what is asked of a claimed folder --------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(errno.EACCES, None), (errno.EIO, "disk_failing"), (errno.ESTALE, "share_offline")])
def test_a_folder_that_may_not_be_looked_into_is_not_flat_and_a_share_that_fails_says_nothing(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str | None
) -> None:
    claimed = fill(inbox / ".heygem/claimed/job-1", ".flat")
    assert CLAIMS.is_flat(claimed)
    assert not CLAIMS.is_flat(inbox / ".heygem/claimed/gone")
    if code == "share_offline":
        (inbox / MARKER).unlink()

    def refuse(path: Path) -> os.stat_result:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "lstat", refuse)
    if code is None:
        assert not CLAIMS.is_flat(claimed)
        return
    with pytest.raises(TransientError) as found:
        CLAIMS.is_flat(claimed)
    assert found.value.code == code


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of root")
@pytest.mark.parametrize(("kind", "uid"), [("nfs4", FOREIGN_ROOT), ("ext4", ROOT)])
def test_a_claimed_drop_is_of_the_same_user_as_at_the_scan(inbox: Path, monkeypatch: pytest.MonkeyPatch, kind: str, uid: int) -> None:
    for module in ("scanner", "claims"):
        monkeypatch.setattr(f"heygem_daemon.intake.{module}.mount_of", lambda _: Mount(point="/", fs_type=kind))
    fill(inbox / "lesson", "speech.wav")
    scanned = scan_of(inbox, "lesson")
    assert scanned.uid == CLAIMS.listing(CLAIMS.claim(scanned, "job-1")).uid == uid


def test_each_name_among_the_inputs_of_years_is_looked_at_once(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*(f"other-{number}" for number in range(50)), "lesson", "lesson-2", "lesson-10", ".deleting-lesson"]
    for name in names:
        (inbox / "_failed" / name).mkdir(parents=True)
    looked_at: list[str] = []
    is_named_after = archive._is_named_after

    def noted(name: str, job: str) -> bool:
        looked_at.append(name)
        return is_named_after(name, job)

    monkeypatch.setattr(archive, "_is_named_after", noted)
    likely = archive._likely(inbox / "_failed", Job(id="x", name="lesson", inbox=str(inbox), claimed="", output=""))
    assert likely[:3] == ["lesson-10", "lesson-2", "lesson"]
    assert sorted(looked_at) == sorted(likely) == sorted(names[:-1])
