"""Users of one share, told apart by whose their folders and files are: real folders of several users, and the daemon's rules for them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.users import Who
from heygem_daemon.intake.mounts import Mount
from heygem_daemon.settings import Users
from tests.daemon.doubles import FILM, SPEECH
from tests.daemon.harness import SETTLE, DaemonHarness

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of several users")

AMY, BEN, CHIEF, PAGE = 61001, 61002, 61003, 61004
DROP_BYTES = len(FILM) + len(SPEECH)


def give(path: Path, uid: int) -> Path:
    """Make a file, or a folder with all in it, a user's."""
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, uid, follow_symlinks=False)
    return path


def drop(harness: DaemonHarness, name: str, uid: int, job_toml: str = "", videos: tuple[str, ...] = ("a.mp4",)) -> Path:
    """Drop as a user: the folder has its owner before the daemon can see it."""
    made = harness.drop(f".{name}", job_toml, videos)
    return give(made, uid).rename(harness.inbox / name)


def put(harness: DaemonHarness, name: str, uid: int, text: str = "") -> Path:
    temporary = harness.inbox / ".control.tmp"
    temporary.write_text(text, encoding="utf-8")
    return give(temporary, uid).rename(harness.inbox / name)


def with_users(harness: DaemonHarness, **settings: Any) -> None:
    """Start the daemon again with these rules."""
    harness.close()
    harness.users = Users(admins=(str(CHIEF),), page_user=str(PAGE), **settings)
    harness.open()


def paused(harness: DaemonHarness) -> None:
    (harness.inbox / "PAUSE").touch()


def queued(harness: DaemonHarness, *names: str) -> None:
    harness.until(lambda: {job.name for job in harness.daemon.store.jobs.values()} >= set(names))
    harness.tick(1)


def refusals(harness: DaemonHarness) -> list[tuple[object, object]]:
    return [(found.get("job"), found["control"]) for found in harness.events_named("control_refused")]


def codes(harness: DaemonHarness, output: str) -> list[str]:
    return [each.code for each in harness.status(output).warnings]


OWNER_RULES = {"cancel": Who.OWNER, "hold": Who.OWNER, "retry": Who.OWNER, "prioritize": Who.OWNER}

# -- priority ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("uid", "given"), [(AMY, 20), (CHIEF, 90), (0, 90), (PAGE, 90)])
def test_a_priority_in_job_toml_is_lowered_with_a_warning_but_not_an_administrators(harness: DaemonHarness, uid: int, given: int) -> None:
    with_users(harness, highest_priority=20)
    paused(harness)
    drop(harness, "urgent", uid, "priority = 90\n")
    drop(harness, "usual", uid)
    queued(harness, "urgent", "usual")
    assert harness.status("urgent").priority == given
    assert codes(harness, "urgent") == (["priority_lowered"] if given == 20 else [])
    assert len(harness.events_named("drop_warning", error_code="priority_lowered")) == (given == 20)
    assert (harness.status("usual").priority, codes(harness, "usual")) == (5, [])  # that of the inbox


def test_the_priority_of_an_inbox_is_never_too_high(harness: DaemonHarness) -> None:
    with_users(harness, highest_priority=-10)
    paused(harness)
    for name, wanted in (("usual", ""), ("same", "priority = 5"), ("more", "priority = 6"), ("less", "priority = -7")):
        drop(harness, name, AMY, wanted)
    queued(harness, "usual", "same", "more", "less")
    assert [harness.status(name).priority for name in ("usual", "same", "more", "less")] == [5, 5, 5, -7]
    assert [codes(harness, name) for name in ("usual", "same", "more", "less")] == [[], [], ["priority_lowered"], []]


@pytest.mark.parametrize(("uid", "given"), [(AMY, 20), (CHIEF, 99)])
def test_a_priority_file_is_lowered_too_before_and_after_the_claim(harness: DaemonHarness, uid: int, given: int) -> None:
    with_users(harness, highest_priority=20)
    paused(harness)
    drop(harness, "lesson", AMY)
    put(harness, "lesson.priority", uid, "99")
    harness.tick(0.1)
    assert harness.status("lesson").priority == given
    queued(harness, "lesson")
    harness.tick(1)
    assert harness.status("lesson").priority == given
    assert codes(harness, "lesson") == (["priority_lowered"] if given == 20 else [])
    assert not (harness.inbox / "lesson.priority").exists()


# -- control files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "address"), [("cancel", "lesson"), ("cancel", "id"), ("hold", "id"), ("resume", "lesson"), ("priority", "id")]
)
def test_what_another_asks_of_a_job_is_refused_removed_logged_and_shown(harness: DaemonHarness, kind: str, address: str) -> None:
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    before = harness.job("lesson")
    name = before.id if address == "id" else "lesson"
    file = put(harness, f"{name}.{kind}", BEN, "50")
    harness.tick(1)
    harness.tick(1)
    assert not file.exists()
    assert refusals(harness) == [("lesson", f"{name}.{kind}")]
    after = harness.job("lesson")
    assert (after.state, after.on_hold, after.priority) == (before.state, before.on_hold, before.priority)
    (warning,) = harness.status("lesson").warnings
    assert warning.message == f"{name}.{kind} was not applied: only who dropped the folder may do that here."


@pytest.mark.parametrize("uid", [AMY, CHIEF, PAGE, 0])
def test_the_owner_an_administrator_and_the_page_are_not_refused(harness: DaemonHarness, uid: int) -> None:
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    hold = put(harness, "lesson.hold", uid)
    harness.tick(1)
    assert harness.job("lesson").on_hold
    assert hold.exists()
    put(harness, "lesson.resume", uid)
    harness.tick(1)
    assert not harness.job("lesson").on_hold
    put(harness, "lesson.priority", uid, "50")
    harness.tick(1)
    assert harness.job("lesson").priority == 50
    put(harness, "lesson.cancel", uid)
    harness.until(lambda: harness.state("lesson") == "cancelled")
    put(harness, "lesson.retry", uid)
    harness.until(lambda: harness.events_named("job_retried"))
    assert not refusals(harness)


def test_where_only_administrators_may_the_owner_may_not(harness: DaemonHarness) -> None:
    with_users(harness, cancel=Who.ADMIN)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    put(harness, "lesson.cancel", AMY)
    harness.tick(1)
    assert refusals(harness) == [("lesson", "lesson.cancel")]
    put(harness, "lesson.hold", BEN)
    harness.tick(1)
    assert harness.job("lesson").on_hold  # for that there is no rule
    put(harness, "lesson.cancel", CHIEF)
    harness.until(lambda: harness.state("lesson") == "cancelled")


def test_a_file_with_a_second_name_proves_nobody(harness: DaemonHarness) -> None:
    """Whoever may write a file of another may give it a second name: it is the other's, what it asks is not."""
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    os.link(give(_written(harness.folder / "notes.txt", b""), AMY), harness.inbox / "lesson.cancel")
    harness.tick(1)
    assert refusals(harness) == [("lesson", "lesson.cancel")]
    assert not harness.job("lesson").is_final


def test_a_link_is_whose_the_link_is(harness: DaemonHarness) -> None:
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    link = harness.inbox / "lesson.cancel"
    link.symlink_to(give(_written(harness.folder / "notes.txt", b""), AMY))
    os.chown(link, BEN, BEN, follow_symlinks=False)
    harness.tick(1)
    assert refusals(harness) == [("lesson", "lesson.cancel")]


def test_a_name_that_two_have_used_reaches_the_drop_of_its_owner_alone(harness: DaemonHarness) -> None:
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    drop(harness, "lesson", BEN)
    harness.until(lambda: len(harness.daemon.store.jobs) == 2)
    put(harness, "lesson.cancel", BEN)
    harness.tick(1)
    harness.tick(1)
    assert [job.dropped_by for job in harness.daemon.store.jobs.values()] == [f"uid {AMY}"]
    assert not refusals(harness)
    assert not (harness.inbox / "lesson.cancel").exists()


def test_two_spellings_of_one_file_count_if_one_of_them_does(harness: DaemonHarness) -> None:
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    put(harness, "lesson.CANCEL", BEN)
    put(harness, "lesson.cancel", AMY)
    harness.until(lambda: harness.state("lesson") == "cancelled")
    assert not refusals(harness)


@pytest.mark.parametrize("kind", ["cancel", "hold", "ready", "priority"])
def test_what_another_asks_of_a_drop_that_is_being_copied_is_refused(harness: DaemonHarness, kind: str) -> None:
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    harness.tick(0.1)
    put(harness, f"lesson.{kind}", BEN, "50")
    harness.tick(0.6)
    assert refusals(harness) == [("lesson", f"lesson.{kind}")]
    status = harness.status("lesson")
    assert (str(status.state), status.waiting_for, status.priority) == ("settling", "settling", 5)
    assert not (harness.inbox / f"lesson.{kind}").exists()
    queued(harness, "lesson")
    assert not harness.job("lesson").on_hold


def test_the_owner_may_hold_a_drop_that_is_being_copied_and_start_it_early(harness: DaemonHarness) -> None:
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    put(harness, "lesson.hold", AMY)
    harness.tick(0.1)
    harness.tick(2 * SETTLE)
    assert harness.status("lesson").waiting_for == "held"
    put(harness, "lesson.resume", BEN)
    harness.tick(0.6)
    assert refusals(harness) == [("lesson", "lesson.resume")]
    put(harness, "lesson.resume", AMY)
    put(harness, "lesson.ready", AMY)
    queued(harness, "lesson")
    assert sorted(path.name for path in harness.inbox.iterdir() if not path.name.startswith(".")) == ["PAUSE"]


def test_a_failed_job_is_tried_again_for_its_owner_only(harness: DaemonHarness) -> None:
    with_users(harness, **OWNER_RULES)
    harness.session.spoilt = {"a"}
    drop(harness, "lesson", AMY)
    harness.until(lambda: harness.events_named("job_finished"))
    harness.session.spoilt.clear()
    put(harness, "lesson.retry", BEN)
    harness.tick(1)
    harness.tick(1)
    assert refusals(harness) == [("lesson", "lesson.retry")]
    assert harness.state("lesson") == "failed"
    put(harness, "lesson.retry", AMY)
    harness.until(lambda: harness.state("lesson") == "succeeded")


@pytest.mark.parametrize(("uid", "is_paused"), [(AMY, False), (CHIEF, True)])
def test_only_an_administrator_may_pause(harness: DaemonHarness, uid: int, is_paused: bool) -> None:
    with_users(harness, pause=Who.ADMIN)
    put(harness, "PAUSE", uid)
    drop(harness, "lesson", AMY)
    if is_paused:
        queued(harness, "lesson")
        harness.tick(10)
        assert not harness.session.orders
        return
    harness.until(lambda: harness.events_named("job_finished"))
    harness.tick(5)
    assert len(harness.events_named("pause_refused")) == 1
    (inbox,) = harness.daemon_status().inboxes
    assert (inbox.paused, inbox.reason) == (False, "PAUSE is left aside: only an administrator may do that here")


def test_by_default_anybody_may_do_everything_as_ever(harness: DaemonHarness) -> None:
    paused(harness)
    drop(harness, "lesson", AMY, "priority = 100")
    queued(harness, "lesson")
    assert harness.job("lesson").priority == 100
    put(harness, "lesson.cancel", BEN)
    harness.until(lambda: harness.state("lesson") == "cancelled")
    assert harness.job("lesson").dropped_by == f"uid {AMY}"


# -- whose a drop is --------------------------------------------------------------------------------------------------


def test_an_owner_in_job_toml_is_believed_of_the_page_alone(harness: DaemonHarness) -> None:
    with_users(harness)
    paused(harness)
    drop(harness, "pages", PAGE, 'owner = "amy"')
    drop(harness, "claimed-to-be-amys", BEN, 'owner = "amy"')
    queued(harness, "pages", "claimed-to-be-amys")
    assert harness.job("pages").dropped_by == "page user amy"
    assert harness.job("claimed-to-be-amys").dropped_by == f"uid {BEN}"


def test_a_drop_without_a_folder_is_whose_all_its_files_are(harness: DaemonHarness) -> None:
    with_users(harness)
    paused(harness)
    for name, video in ((AMY, AMY), (AMY, BEN)):
        (harness.inbox / "videos").mkdir()
        give(_written(harness.inbox / "videos" / "a.mp4", FILM), video)
        give(_written(harness.inbox / "welcome.wav", SPEECH), name)
        harness.until(lambda: not (harness.inbox / "welcome.wav").exists())
    assert [job.dropped_by for job in harness.daemon.store.jobs.values()] == [f"uid {AMY}", ""]


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_folder_that_is_exchanged_at_the_moment_of_the_claim_is_put_back(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    with_users(harness)
    paused(harness)
    claims = harness.daemon.inboxes.claims
    real = claims.claim

    def exchanged(*arguments: Any) -> Path:
        give(harness.inbox / "lesson", BEN)
        return real(*arguments)

    drop(harness, "lesson", AMY)
    with monkeypatch.context() as patched:
        patched.setattr(claims, "claim", exchanged)
        harness.until(lambda: harness.events_named("drop_restored"))
    queued(harness, "lesson")
    assert harness.job("lesson").dropped_by == f"uid {BEN}"


def test_the_owner_survives_a_crash(harness: DaemonHarness) -> None:
    with_users(harness, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    harness.crash()
    put(harness, "lesson.cancel", BEN)
    harness.tick(1)
    assert refusals(harness) == [("lesson", "lesson.cancel")]
    assert harness.job("lesson").size == DROP_BYTES


@pytest.mark.parametrize(("kind", "priority"), [("nfs4", 10), ("ext4", 90)])
def test_root_of_a_network_file_system_is_no_administrator(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, kind: str, priority: int
) -> None:
    """Some show root for everything, and of NFS any client's root is root."""
    for module in ("scanner", "claims"):
        monkeypatch.setattr(f"heygem_daemon.intake.{module}.mount_of", lambda _: Mount(point="/", fs_type=kind))
    with_users(harness, cancel=Who.ADMIN, highest_priority=10)
    paused(harness)
    drop(harness, "lesson", 0, "priority = 90")
    queued(harness, "lesson")
    assert harness.job("lesson").priority == priority
    put(harness, "lesson.cancel", 0)
    harness.tick(6)
    harness.tick(1)
    assert bool(refusals(harness)) is (kind == "nfs4")
    assert harness.job("lesson").is_final is (kind == "ext4")


# -- what waits -------------------------------------------------------------------------------------------------------


def test_drops_beyond_the_limit_wait_in_the_inbox_and_cost_nothing(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    with_users(harness, waiting_drops=2)
    paused(harness)
    inspected: list[str] = []
    inspect = harness.daemon.inspector.inspect

    def counted(*arguments: Any, **named: Any) -> object:
        inspected.append(named["root"].name)
        return inspect(*arguments, **named)

    monkeypatch.setattr(harness.daemon.inspector, "inspect", counted)
    for number in range(4):
        drop(harness, f"amy-{number}", AMY)
    drop(harness, "ben", BEN)
    queued(harness, "amy-0", "amy-1", "ben")
    harness.tick(2 * SETTLE)
    assert sorted(path.name for path in harness.inbox.iterdir() if path.name[0] != ".") == ["PAUSE", "amy-2", "amy-3"]
    status = harness.status("amy-2")
    assert status.reason == "You have 2 drops waiting; this one is taken when one of them is done"
    assert (str(status.state), status.waiting_for, status.error) == ("settling", "limit", None)
    before = len(inspected)
    written = (harness.outputs / "amy-2" / "status.json").stat().st_mtime_ns
    for _ in range(20):
        harness.tick(1)
    assert len(inspected) == before
    assert (harness.outputs / "amy-2" / "status.json").stat().st_mtime_ns == written
    (harness.inbox / "PAUSE").unlink()
    harness.until(lambda: harness.has_events("job_finished", 5))
    assert all(harness.state(name) == "succeeded" for name in ("amy-0", "amy-1", "amy-2", "amy-3", "ben"))


def test_the_one_seen_first_comes_in_first(harness: DaemonHarness) -> None:
    with_users(harness, waiting_drops=1)
    paused(harness)
    for name in ("c", "b", "a"):
        drop(harness, name, AMY)
        harness.tick(SETTLE + 1)
        harness.tick(1)
    (harness.inbox / "PAUSE").unlink()
    harness.until(lambda: harness.has_events("job_finished", 3))
    assert [found["job"] for found in harness.events_named("drop_claimed")] == ["c", "b", "a"]


def test_bytes_are_limited_too_but_a_single_large_drop_comes_in(harness: DaemonHarness) -> None:
    with_users(harness, waiting_bytes=2 * DROP_BYTES)
    paused(harness)
    for name in ("a", "b", "c"):
        drop(harness, name, AMY)
    drop(harness, "large", BEN, videos=("a.mp4", "b.mp4", "c.mp4", "d.mp4"))
    queued(harness, "a", "b", "large")
    harness.tick(2 * SETTLE)
    assert harness.status("c").reason == "Your drops that wait may have 34 B together; this one is taken when some of them are done"
    (harness.inbox / "PAUSE").unlink()
    harness.until(lambda: harness.has_events("job_finished", 4))


@pytest.mark.parametrize("kind", ["cancel", "hold"])
def test_a_drop_that_waits_for_its_turn_can_be_cancelled_and_held(harness: DaemonHarness, kind: str) -> None:
    with_users(harness, waiting_drops=1, **OWNER_RULES)
    paused(harness)
    drop(harness, "first", AMY)
    queued(harness, "first")
    drop(harness, "second", AMY)
    harness.tick(1)
    harness.tick(SETTLE + 1)
    assert harness.status("second").waiting_for == "limit"
    put(harness, f"second.{kind}", AMY)
    harness.until(lambda: harness.state("second") == "cancelled" if kind == "cancel" else harness.status("second").waiting_for == "held")


def test_a_drop_that_is_refused_does_not_wait_for_ever_and_takes_no_place(harness: DaemonHarness) -> None:
    with_users(harness, waiting_drops=1)
    paused(harness)
    for name in ("bad-1", "bad-2", "good"):
        drop(harness, name, AMY, "no_such_key = 1\n" if name.startswith("bad") else "")
    queued(harness, "good")
    assert [harness.state(name) for name in ("bad-1", "bad-2")] == ["rejected", "rejected"]


def test_administrators_and_a_run_until_idle_have_no_limit(harness: DaemonHarness) -> None:
    with_users(harness, waiting_drops=1)
    paused(harness)
    for number in range(3):
        drop(harness, f"chief-{number}", CHIEF)
    queued(harness, "chief-0", "chief-1", "chief-2")
    harness.until_idle = True
    harness.crash()
    drop(harness, "amy-0", AMY)
    drop(harness, "amy-1", AMY)
    queued(harness, "amy-0", "amy-1")


# -- turns ------------------------------------------------------------------------------------------------------------


def test_one_owners_flood_delays_anothers_drop_by_one_and_the_places_say_so(harness: DaemonHarness) -> None:
    with_users(harness)
    paused(harness)
    for number in range(12):
        drop(harness, f"amy-{number:02}", AMY)
    queued(harness, *(f"amy-{number:02}" for number in range(12)))
    drop(harness, "ben", BEN)
    queued(harness, "ben")
    harness.tick(6)
    assert [(job.name, job.position) for job in harness.daemon_status().jobs[:3]] == [("amy-00", 1), ("ben", 2), ("amy-01", 3)]
    assert (harness.status("ben").position, harness.status("amy-11").position) == (2, 13)
    (harness.inbox / "PAUSE").unlink()
    harness.until(lambda: harness.has_events("job_finished", 13))
    started = [str(found["job"]) for found in harness.events_named("item_started")]
    assert started == ["amy-00", "ben", *(f"amy-{number:02}" for number in range(1, 12))]


def test_jobs_of_a_ledger_without_owners_go_on(harness: DaemonHarness) -> None:
    with_users(harness, waiting_drops=1, **OWNER_RULES)
    paused(harness)
    drop(harness, "lesson", AMY)
    queued(harness, "lesson")
    harness.ledger.put(replace(harness.job("lesson"), dropped_by="", size=0))
    harness.crash()
    put(harness, "lesson.cancel", AMY)
    harness.tick(1)
    assert refusals(harness) == [("lesson", "lesson.cancel")]  # nobody knows that it is hers
    put(harness, "lesson.cancel", 0)
    harness.until(lambda: harness.job("lesson").state is State.CANCELLED)


def test_a_job_that_is_taken_up_again_without_a_ledger_keeps_its_priority_and_the_warning(harness: DaemonHarness) -> None:
    with_users(harness, highest_priority=20)
    paused(harness)
    drop(harness, "urgent", AMY, "priority = 90\n")
    drop(harness, "usual", AMY)
    queued(harness, "urgent", "usual")
    harness.close()
    for path in (harness.folder / "state").glob("ledger.sqlite3*"):
        path.unlink()
    harness.open()
    harness.until(lambda: len(harness.events_named("job_adopted")) == 2)
    adopted = {job.name: job for job in harness.daemon.store.jobs.values()}
    assert {name: job.priority for name, job in adopted.items()} == {"urgent": 20, "usual": 5}
    assert {name: [found.code for found in job.warnings] for name, job in adopted.items()} == {"urgent": ["priority_lowered"], "usual": []}
