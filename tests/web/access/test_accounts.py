"""Users and tokens in the state folder."""

import asyncio
import json
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heygem_daemon.web.access import passwords
from heygem_daemon.web.access.accounts import TOKENS, USERS, Accounts, AccountsError, is_user_name
from heygem_daemon.web.access.passwords import MAX_WAITING, NOBODY, PasswordChecker, PasswordHash
from heygem_daemon.web.problems import WebProblem


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that cost little, where the cost is not what is tested."""
    monkeypatch.setattr(passwords, "COST", 2**4)


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "state")


@pytest.mark.usefixtures("cheap")
def test_a_user_has_his_password_and_no_other(accounts: Accounts) -> None:
    assert not accounts.are_needed
    assert accounts.add_user("anna", "correct horse", admin=True)
    user = accounts.user("anna")
    assert user is not None
    assert user.admin
    assert user.password.matches("correct horse")
    assert not user.password.matches("correct horse ")
    assert not user.password.matches("\ud800")
    assert accounts.user("Anna") is None
    assert accounts.are_needed


def test_a_hash_is_made_as_owasp_asks_and_with_a_salt_of_its_own() -> None:
    one, two = PasswordHash.of("the same"), PasswordHash.of("the same")
    assert (one.n, one.r, one.p) == (2**17, 8, 1)
    assert one.salt != two.salt
    assert one.digest != two.digest
    assert PasswordHash.read(one.fields()).matches("the same")


@pytest.mark.usefixtures("cheap")
def test_files_are_readable_for_their_owner_alone(accounts: Accounts) -> None:
    accounts.add_user("anna", "correct horse", admin=False)
    accounts.add_token("dubbing")
    assert stat.S_IMODE(accounts.state.stat().st_mode) == 0o700
    for name in (USERS, TOKENS, ".lock"):
        assert stat.S_IMODE((accounts.state / name).stat().st_mode) == 0o600
    content = b"".join(path.read_bytes() for path in accounts.state.iterdir())
    assert b"correct horse" not in content


@pytest.mark.usefixtures("cheap")
def test_a_change_by_another_process_is_seen_at_once(accounts: Accounts) -> None:
    other = Accounts(accounts.state)
    assert accounts.user("anna") is None
    other.add_user("anna", "correct horse", admin=False)
    assert accounts.user("anna") is not None
    other.add_user("anna", "battery staple", admin=True)
    user = accounts.user("anna")
    assert user is not None
    assert user.password.matches("battery staple")
    other.remove_user("anna")
    assert accounts.user("anna") is None


@pytest.mark.usefixtures("cheap")
def test_the_last_user_leaving_does_not_open_the_page(accounts: Accounts) -> None:
    accounts.add_user("anna", "correct horse", admin=True)
    assert accounts.are_needed
    accounts.remove_user("anna")
    assert accounts.are_needed


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"anna": {}}', b'{"anna": {"password": {"salt": "zz"}}}', b'"text"', b"\xff"])
def test_a_damaged_file_lets_nobody_in(accounts: Accounts, content: bytes) -> None:
    accounts.state.mkdir()
    (accounts.state / USERS).write_bytes(content)
    for _ in range(2):
        with pytest.raises(AccountsError, match="damaged"):
            _ = accounts.are_needed


def test_a_link_is_no_users_file(accounts: Accounts, tmp_path: Path) -> None:
    accounts.state.mkdir()
    (tmp_path / "elsewhere").write_text("{}")
    (accounts.state / USERS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccountsError):
        accounts.users()


@pytest.mark.parametrize("name", ["a", "anna.k-2_x@example.com", "张伟", "Zoë", "a" * 64])
def test_names_that_people_have(name: str) -> None:
    assert is_user_name(name)


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "-x", ".x", "@x", "a b", "a/b", "a\n", "a\0", "<b>", "\u202eabc", "a\u200bb", "Zoe\u0308", "../x"]
)
def test_names_that_nobody_may_have(accounts: Accounts, name: str) -> None:
    assert not is_user_name(name)
    if name != "Zoe\u0308":
        with pytest.raises(AccountsError, match="cannot be a name"):
            accounts.add_user(name, "correct horse", admin=False)


@pytest.mark.usefixtures("cheap")
def test_a_name_is_the_same_in_every_unicode_form(accounts: Accounts) -> None:
    accounts.add_user("Zoe\u0308", "correct horse", admin=False)
    assert accounts.user("Zo\u00eb") is accounts.user("Zoe\u0308") is not None


@pytest.mark.usefixtures("cheap")
def test_a_token_is_known_by_its_secret_only(accounts: Accounts) -> None:
    secret = accounts.add_token("dubbing")
    token = accounts.token(secret)
    assert token is not None
    assert (token.name, token.user, token.admin, token.last4) == ("dubbing", "dubbing", False, secret[-4:])
    assert accounts.token(secret[:-1]) is None
    assert accounts.token("") is None
    assert accounts.token(token.sha256) is None
    assert secret.encode() not in (accounts.state / TOKENS).read_bytes()
    assert len(secret) > 43
    with pytest.raises(AccountsError, match="already"):
        accounts.add_token("dubbing")
    accounts.remove_token("dubbing")
    assert accounts.token(secret) is None


@pytest.mark.usefixtures("cheap")
def test_a_token_of_a_user_ends_with_him(accounts: Accounts) -> None:
    accounts.add_user("anna", "correct horse", admin=False)
    with pytest.raises(AccountsError, match="no user"):
        accounts.add_token("dubbing", user="bert")
    secret = accounts.add_token("dubbing", user="anna", admin=True)
    assert accounts.token(secret) is not None
    users = json.loads((accounts.state / USERS).read_text())
    del users["anna"]
    (accounts.state / USERS).write_text(json.dumps(users))
    assert accounts.token(secret) is None
    accounts.add_user("anna", "correct horse", admin=False)
    assert accounts.token(secret) is not None
    accounts.remove_user("anna")
    assert accounts.tokens() == {}


@pytest.mark.usefixtures("cheap")
def test_many_commands_at_once_lose_nothing(accounts: Accounts) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Accounts(accounts.state).add_token(f"token-{number}"), range(40)))
    assert len(accounts.tokens()) == 40
    assert sorted(os.listdir(accounts.state)) == [".lock", TOKENS]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.usefixtures("cheap")
def test_files_made_by_root_belong_to_the_owner_of_the_folder(accounts: Accounts) -> None:
    accounts.state.mkdir(mode=0o700)
    os.chown(accounts.state, 12345, 23456)
    accounts.add_user("anna", "correct horse", admin=False)
    for name in (USERS, ".lock"):
        found = (accounts.state / name).stat()
        assert (found.st_uid, found.st_gid) == (12345, 23456)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.usefixtures("cheap")
def test_root_gives_nothing_away_that_the_owner_of_the_folder_has_linked_there(accounts: Accounts, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    accounts.state.mkdir(mode=0o700)
    os.chown(accounts.state, 12345, 23456)
    (accounts.state / ".lock").hardlink_to(secret)
    accounts.add_user("anna", "correct horse", admin=False)
    assert secret.stat().st_uid == 0


# -- the cost of a comparison --------------------------------------------------------------------------------------------------


def test_a_user_that_does_not_exist_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[tuple[int, int, int]] = []
    real = passwords._scrypt

    def scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
        computed.append((n, r, p))
        return real(password, salt, 2, r, p)

    monkeypatch.setattr(passwords, "_scrypt", scrypt)
    checker, stored = PasswordChecker(), PasswordHash.of("correct horse")
    computed.clear()
    assert asyncio.run(checker.matches(stored, "correct horse"))
    assert not asyncio.run(checker.matches(None, "correct horse"))
    assert computed[0] == computed[1] == (NOBODY.n, NOBODY.r, NOBODY.p)


def test_one_password_is_computed_at_a_time_and_a_crowd_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def scrypt(*_: object) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return bytes(64)

    monkeypatch.setattr(passwords, "_scrypt", scrypt)
    checker = PasswordChecker()

    async def crowd() -> list[object]:
        calls = [checker.matches(None, "x") for _ in range(30)]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    results = asyncio.run(crowd())
    refused = [result for result in results if isinstance(result, WebProblem)]
    assert most == 1
    assert len(refused) == 30 - MAX_WAITING
    assert {problem.headers["Retry-After"] for problem in refused} == {"5"}
    assert asyncio.run(checker.matches(None, "x")) is False


def test_clients_that_hang_up_do_not_let_more_be_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(passwords, "_scrypt", lambda *_: gate.wait(5) and bytes(64))
    checker = PasswordChecker()

    async def hang_up() -> int:
        calls = [asyncio.create_task(checker.matches(None, "x")) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(WebProblem):
            await checker.matches(None, "x")
        gate.set()
        while checker._waiting:
            await asyncio.sleep(0.005)
        return checker._waiting

    assert asyncio.run(hang_up()) == 0
