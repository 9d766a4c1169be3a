"""Whose a drop is, what its owner, others and administrators may do, and what waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.users import (
    FOREIGN_ROOT,
    NO_RULES,
    NOBODY,
    NOTHING_WAITS,
    UserRules,
    Waiting,
    Who,
    priority_lowered,
    request_refused,
    waiting_by_owner,
)
from tests.core.making import job

PAGE = 990
ADMIN = 1000
AMY, BEN = 1001, 1002
OWNERS = UserRules(cancel=Who.OWNER, hold=Who.OWNER, retry=Who.OWNER, prioritize=Who.OWNER, admins=frozenset({0, ADMIN}), page=PAGE)
KINDS = ("cancel", "hold", "resume", "ready", "retry", "priority")


@pytest.mark.parametrize(
    ("uid", "named", "owner"),
    [
        (AMY, None, "uid 1001"),
        (AMY, "ben", "uid 1001"),
        (PAGE, "ben", "page user ben"),
        (PAGE, None, "uid 990"),
        (None, "ben", NOBODY),
    ],
)
def test_the_owner_is_whose_the_folder_is_and_of_the_page_alone_a_name_is_believed(uid: int | None, named: str | None, owner: str) -> None:
    assert OWNERS.owner_of(uid, named) == owner


@pytest.mark.parametrize("kind", KINDS)
def test_without_rules_anybody_may_do_everything(kind: str) -> None:
    assert NO_RULES.may(kind, {AMY}, "uid 1002")
    assert NO_RULES.may(kind, (), NOBODY)


@pytest.mark.parametrize("kind", KINDS)
def test_an_owner_an_administrator_root_and_the_page_may_and_others_may_not(kind: str) -> None:
    for uid, allowed in [(AMY, True), (BEN, False), (ADMIN, True), (0, True), (PAGE, True)]:
        assert OWNERS.may(kind, {uid}, "uid 1001") is allowed
    assert OWNERS.may(kind, {AMY, BEN}, "uid 1001")
    assert not OWNERS.may(kind, (), "uid 1001")
    assert not OWNERS.may(kind, {AMY}, "page user amy")


@given(st.integers(0, 2000), st.sampled_from(KINDS))
def test_what_is_nobodys_is_up_to_administrators_and_the_page(uid: int, kind: str) -> None:
    assert OWNERS.may(kind, {uid}, NOBODY) is (uid in {0, ADMIN, PAGE})


def test_an_owner_may_not_what_only_administrators_may() -> None:
    rules = UserRules(cancel=Who.ADMIN, pause=Who.ADMIN)
    assert not rules.may("cancel", {AMY}, "uid 1001")
    assert rules.may("retry", {BEN}, "uid 1001")
    assert not rules.may("pause", {AMY}, NOBODY)
    assert rules.may("pause", {0}, NOBODY)


@pytest.mark.parametrize(
    ("wanted", "uids", "usual", "given"),
    [
        (90, {AMY}, 0, 10),
        (5, {AMY}, 0, 5),
        (-50, {AMY}, 0, -50),
        (90, {AMY}, 40, 40),
        (90, (), 0, 10),
        (90, {AMY, 0}, 0, 90),
        (90, {PAGE}, 0, 90),
    ],
)
def test_a_priority_is_lowered_to_the_highest_or_to_that_of_the_inbox(wanted: int, uids: set[int], usual: int, given: int) -> None:
    assert UserRules(highest_priority=10, page=PAGE).priority(wanted, uids, usual) == given


@given(st.integers(-100, 100), st.integers(-100, 100), st.integers(-100, 100))
def test_no_user_gets_more_than_is_allowed_and_nobody_more_than_asked(wanted: int, highest: int, usual: int) -> None:
    given_priority = UserRules(highest_priority=highest).priority(wanted, {AMY}, usual)
    assert given_priority <= wanted
    assert given_priority <= max(highest, usual)
    assert given_priority in {wanted, max(highest, usual)}


@pytest.mark.parametrize(
    ("waiting", "size", "reason"),
    [
        (NOTHING_WAITS, 10**12, None),
        (Waiting(drops=1, size=60), 40, None),
        (Waiting(drops=1, size=60), 41, "Your drops that wait may have 100 B together; this one is taken when some of them are done"),
        (Waiting(drops=2, size=2), 1, "You have 2 drops waiting; this one is taken when one of them is done"),
        (Waiting(drops=9, size=9), 1, "You have 2 drops waiting; this one is taken when one of them is done"),
    ],
)
def test_a_drop_beyond_the_limits_waits_with_a_reason_and_the_first_never_does(waiting: Waiting, size: int, reason: str | None) -> None:
    assert UserRules(waiting_drops=2, waiting_bytes=100).why_not_yet(waiting, size) == reason


def test_a_limit_of_one_is_named_as_one() -> None:
    reason = UserRules(waiting_drops=1).why_not_yet(Waiting(drops=1), 0)
    assert reason == "You have 1 drop waiting; this one is taken when one of them is done"


def test_without_limits_everything_comes_in() -> None:
    assert NO_RULES.why_not_yet(Waiting(drops=10**6, size=10**15), 10**12) is None
    assert not NO_RULES.is_limited(AMY, None)


@pytest.mark.parametrize(
    ("uid", "named", "limited"), [(AMY, None, True), (None, None, True), (ADMIN, None, False), (PAGE, "amy", True), (PAGE, None, False)]
)
def test_the_limits_hold_for_all_but_administrators(uid: int | None, named: str | None, limited: bool) -> None:
    rules = UserRules(waiting_drops=1, admins=frozenset({0, ADMIN}), page=PAGE)
    assert rules.is_limited(uid, named) is limited


def test_root_of_a_network_file_system_is_no_administrator() -> None:
    assert not OWNERS.may("cancel", {FOREIGN_ROOT}, "uid 1001")
    assert UserRules(waiting_drops=1).is_limited(FOREIGN_ROOT, None)


def test_what_waits_is_counted_by_owner() -> None:
    jobs = [job(dropped_by="uid 1", size=3), job(dropped_by="uid 1", size=4), job(size=9)]
    assert waiting_by_owner(jobs) == {"uid 1": Waiting(drops=2, size=7), NOBODY: Waiting(drops=1, size=9)}


def test_the_warnings_name_what_was_asked_and_what_was_given() -> None:
    assert priority_lowered(90, 10).message == "The priority 90 was lowered to 10, the highest one that the administrator allows."
    assert request_refused("a.cancel", Who.OWNER).message == "a.cancel was not applied: only who dropped the folder may do that here."
    assert request_refused("a.cancel", Who.ADMIN).message == "a.cancel was not applied: only an administrator may do that here."


def test_a_warning_takes_the_place_of_one_of_its_code() -> None:
    warned = (
        job().with_warning(priority_lowered(90, 10)).with_warning(request_refused("a", Who.ADMIN)).with_warning(priority_lowered(80, 10))
    )
    assert [each.code for each in warned.warnings] == ["request_refused", "priority_lowered"]
    assert "80" in warned.warnings[1].message
