import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.core.drop import Entry, Kind
from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.job import Job
from heygem_daemon.core.scan import ScannedDrop
from heygem_daemon.intake.claims import FolderClaims
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
    assert CLAIMS.listing(claim_dir) == (claim_dir / "lesson-01", scanned.entries)


def test_the_root_of_a_claimed_job_is_its_drop_and_offline_when_it_is_gone(inbox: Path) -> None:
    fill(inbox / "lesson-01", "speech.wav")
    job = claimed_job(inbox, "lesson-01")
    assert CLAIMS.root(job) == Path(job.claimed) / "lesson-01"
    CLAIMS.unclaim(str(inbox), job.id)
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
    root, entries = CLAIMS.listing(claim_dir)
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
    assert content(CLAIMS.listing(inbox / ".heygem/claimed/winner")[1]) == content(scanned.entries)


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
    assert CLAIMS.listing(Path(job.claimed))[1][0].kind is Kind.SYMLINK
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
    assert CLAIMS.listing(Path(job.claimed))[0] == CLAIMS.root(job) == Path(job.claimed) / name


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
    assert CLAIMS.listing(claim_dir)[0] == CLAIMS.root(job) == claim_dir / "flat"
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
    with pytest.raises(TransientError):
        job_toml(inbox)


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
