import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.cli.checks.identity import Identity, IdentityError, become, current, members
from heygem_daemon.cli.checks.timed_call import call_all
from tests.shares.people import ALICE, HEYGEM, as_person, needs_root

NOBODY = "nobody"


def becoming(wanted: str | None, owner: tuple[int, int] | None) -> tuple[Identity, list[int], tuple[int, ...]]:
    """Become somebody in a process of its own; return who, the groups, and all six ids."""

    def act() -> tuple[Identity, list[int], tuple[int, ...]]:
        os.setgroups([0, 4, 24])
        return become(wanted, owner), os.getgroups(), (*os.getresuid(), *os.getresgid())

    (answer,) = call_all([act], 10)
    assert answer is not None
    return answer


@needs_root
def test_root_becomes_the_user_that_is_named_for_good() -> None:
    account = pwd.getpwnam(NOBODY)
    me, groups, ids = becoming(NOBODY, (HEYGEM.uid, HEYGEM.groups[0]))
    assert ids == (account.pw_uid,) * 3 + (account.pw_gid,) * 3
    assert groups == [account.pw_gid]
    assert (me.name, me.is_run_by_root, me.is_service) == (NOBODY, True, True)


@needs_root
def test_root_becomes_the_owner_of_the_state_folder_with_or_without_an_account() -> None:
    account = pwd.getpwnam(NOBODY)
    assert becoming(None, (account.pw_uid, 0))[2][3:] == (account.pw_gid,) * 3
    me, groups, ids = becoming(None, (HEYGEM.uid, HEYGEM.groups[0]))
    assert ids == (HEYGEM.uid,) * 3 + (HEYGEM.groups[0],) * 3
    assert groups == []
    assert me.name == str(HEYGEM.uid)


@needs_root
@pytest.mark.parametrize("owner", [None, (0, 0)])
def test_root_stays_root_where_nobody_else_owns_the_state(owner: tuple[int, int] | None) -> None:
    me, _, ids = becoming(None, owner)
    assert ids == (0,) * 6
    assert not me.is_service


@needs_root
def test_only_root_can_check_as_somebody_else() -> None:
    with pytest.raises(IdentityError, match="sudo heygem check --user nobody"):
        as_person(ALICE, lambda: become(NOBODY, None))
    with pytest.raises(IdentityError, match="no user named"):
        becoming("no-such-user", None)
    assert as_person(ALICE, lambda: become(None, (0, 0))).uid == ALICE.uid


def test_commands_are_quoted_and_take_sudo_only_where_it_is_needed() -> None:
    me = replace(current(), uid=1000, is_run_by_root=False)
    path = str(Path("/in box"))
    assert me.command(("chmod", "g+s", path), ("ls",)) == "sudo chmod g+s '/in box' && sudo ls"
    assert me.command(("chmod", "g+s", path), owner=1000) == "chmod g+s '/in box'"
    assert replace(me, is_run_by_root=True).command(("ls",)) == "ls"


def test_members_of_a_group_are_those_listed_and_those_whose_own_group_it_is() -> None:
    assert "root" in members(0)
    assert members(2**31) == []
