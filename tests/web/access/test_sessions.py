"""Logging in and out, over real HTTP."""

import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from heygem_daemon.settings import Settings
from heygem_daemon.web.access import login_limiter, passwords
from heygem_daemon.web.access.accounts import Accounts
from heygem_daemon.web.access.identity import KEY_FILE, session_key
from heygem_daemon.web.access.login_limiter import FREE_FOR_ADDRESS, FREE_FOR_USER, LONGEST_WAIT, LoginLimiter, network_of
from heygem_daemon.web.app import create_app
from heygem_daemon.web.problems import WebProblem
from tests.web.serving import serving

ME = "/api/v1/me"
SESSION = "/api/v1/session"
PASSWORD = "correct horse"  # noqa: S105


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 2**4)
    monkeypatch.setattr(passwords, "NOBODY", replace(passwords.NOBODY, n=2**4))


@pytest.fixture
def accounts(settings: Settings) -> Accounts:
    """A site with two users."""
    accounts = Accounts(settings.web.state)
    accounts.add_user("anna", "correct horse", admin=True)
    accounts.add_user("bert", "battery staple", admin=False)
    return accounts


@pytest.fixture
def guarded(accounts: Accounts, client: httpx.Client) -> httpx.Client:
    """A client of that site that has not logged in."""
    return client


def log_in(client: httpx.Client, name: str = "anna", password: str = PASSWORD) -> httpx.Response:
    return client.post(SESSION, json={"name": name, "password": password})


def test_a_login_holds_until_the_logout(guarded: httpx.Client) -> None:
    assert guarded.get(ME).status_code == 401
    answer = log_in(guarded)
    assert answer.json() == {"name": "anna", "admin": True, "login": True, "language": "en"}
    assert guarded.get(ME).json()["name"] == "anna"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert "max-age=43200" in cookie
    copy = f"heygem_session={guarded.cookies['heygem_session']}"
    assert guarded.delete(SESSION).status_code == 204
    assert guarded.get(ME).status_code == 401
    assert guarded.get(ME, headers={"Cookie": copy}).status_code == 401


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", "correct horse"), ("", ""), ("anna", ""), ("../anna", "x"), ("anna", "\ud800")]
)
def test_a_wrong_name_and_a_wrong_password_look_the_same(guarded: httpx.Client, name: str, password: str) -> None:
    answer = log_in(guarded, name, password) if password.isascii() else guarded.post(
        SESSION, content='{"name": "anna", "password": "\\ud800"}', headers={"Content-Type": "application/json"}
    )  # fmt: skip
    assert answer.status_code in {401, 422}
    if password.isascii():
        assert answer.json()["code"] == "wrong_password"
    assert "set-cookie" not in answer.headers


def test_a_forged_cookie_is_no_session(guarded: httpx.Client) -> None:
    log_in(guarded)
    cookie = guarded.cookies["heygem_session"]
    guarded.cookies.clear()
    content, _, signature = cookie.rpartition(".")
    other = "A" if signature[0] != "A" else "B"  # not the last character: not all of its bits are of the signature
    for forged in (f"{content}.{other}{signature[1:]}", cookie.partition(".")[0], "null", "e30=.x.y", "x" * 5000):
        assert guarded.get(ME, headers={"Cookie": f"heygem_session={forged}"}).status_code == 401
    assert guarded.get(ME, headers={"Cookie": f"heygem_session={cookie}"}).status_code == 200


def test_a_new_password_ends_the_sessions_and_so_does_the_removal(guarded: httpx.Client, accounts: Accounts) -> None:
    log_in(guarded)
    accounts.add_user("anna", "another one", admin=True)
    assert guarded.get(ME).status_code == 401
    log_in(guarded, password="another one")
    assert guarded.get(ME).status_code == 200
    accounts.remove_user("anna")
    assert guarded.get(ME).status_code == 401
    accounts.add_user("anna", "another one", admin=True)
    assert guarded.get(ME).status_code == 401


def test_rights_that_change_count_at_once(guarded: httpx.Client, accounts: Accounts) -> None:
    log_in(guarded, "bert", "battery staple")
    assert guarded.get(ME).json()["admin"] is False
    accounts.add_user("bert", "battery staple", admin=True)
    log_in(guarded, "bert", "battery staple")
    assert guarded.get(ME).json()["admin"] is True


def test_a_session_survives_a_restart_of_the_page_and_ends_with_its_time(settings: Settings, accounts: Accounts) -> None:
    with serving(create_app(settings)) as address, httpx.Client(base_url=address) as client:
        log_in(client)
        cookie = {"Cookie": f"heygem_session={client.cookies['heygem_session']}"}
    with serving(create_app(settings)) as address:
        assert httpx.get(address + ME, headers=cookie).status_code == 200
    short = settings.model_copy(update={"web": settings.web.model_copy(update={"session_hours": 1 / 3600})})
    until = time.monotonic() + 10
    with serving(create_app(short)) as address:
        while httpx.get(address + ME, headers=cookie).status_code == 200:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_adding_the_first_user_closes_the_page_while_it_runs(client: httpx.Client, settings: Settings) -> None:
    assert client.get(ME).json() == {"name": "", "admin": True, "login": False, "language": "en"}
    assert log_in(client).status_code == 404
    Accounts(settings.web.state).add_user("anna", "correct horse", admin=True)
    assert client.get(ME).status_code == 401
    assert log_in(client).status_code == 200


def test_a_damaged_users_file_lets_nobody_in(guarded: httpx.Client, settings: Settings) -> None:
    log_in(guarded)
    (settings.web.state / "users.json").write_text("{")
    answer = guarded.get(ME)
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "users.json" not in answer.text


def test_the_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    key = session_key(tmp_path / "state")
    assert len(key) == 64
    assert session_key(tmp_path / "state") == key
    assert (tmp_path / "state" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / "state" / KEY_FILE).write_text("short")
    assert len(session_key(tmp_path / "state")) == 64


# -- guessing ----------------------------------------------------------------------------------------------------------------


def test_guessing_is_slowed_down_with_a_time_to_wait(guarded: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_limiter, "FIRST_WAIT", 60.0)
    answers = [log_in(guarded, password="wrong") for _ in range(FREE_FOR_USER + 1)]
    assert [answer.status_code for answer in answers] == [401] * FREE_FOR_USER + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].json()["code"] == "too_many_attempts"
    assert log_in(guarded).status_code == 429, "the right password must wait too, or the wait would be none"
    assert log_in(guarded, "bert", "battery staple").status_code == 200, "others from the same address may log in"


def test_logins_without_a_name_count_for_nobody(guarded: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_limiter, "FIRST_WAIT", 60.0)
    assert [log_in(guarded, "", "x").json()["code"] for _ in range(FREE_FOR_ADDRESS + 5)] == ["wrong_password"] * (FREE_FOR_ADDRESS + 5)
    assert log_in(guarded).status_code == 200


@pytest.fixture
def clock() -> list[float]:
    """The time, in its only element."""
    return [1000.0]


def attempt(limiter: LoginLimiter, user: str, address: str) -> int:
    """Return the seconds to wait, 0 where the attempt may be made."""
    try:
        limiter.begin(user, address)
    except WebProblem as problem:
        return int(problem.headers["Retry-After"])
    return 0


def test_waits_grow_and_end(clock: list[float]) -> None:
    limiter = LoginLimiter(lambda: clock[0])
    waits = []
    for _ in range(30):
        if wait := attempt(limiter, "anna", "10.0.0.1"):
            waits.append(wait)
            clock[0] += wait
    assert waits == sorted(waits)
    assert waits[:3] == [3, 5, 9]
    assert waits[-1] <= LONGEST_WAIT + 1
    clock[0] += login_limiter.FORGET_AFTER + LONGEST_WAIT
    assert [attempt(limiter, "anna", "10.0.0.1") for _ in range(FREE_FOR_USER)] == [0] * FREE_FOR_USER


def test_nobody_locks_a_user_out_from_another_address(clock: list[float]) -> None:
    limiter = LoginLimiter(lambda: clock[0])
    for _ in range(100):
        attempt(limiter, "anna", "10.0.0.66")
    assert attempt(limiter, "anna", "10.0.0.1") == 0


def test_one_address_that_tries_many_users_has_to_wait(clock: list[float]) -> None:
    limiter = LoginLimiter(lambda: clock[0])
    waits = [attempt(limiter, f"user-{number}", "10.0.0.66") for number in range(FREE_FOR_ADDRESS + 1)]
    assert waits[:-1] == [0] * FREE_FOR_ADDRESS
    assert waits[-1] > 0


def test_no_name_of_a_user_stands_for_the_whole_address(clock: list[float]) -> None:
    limiter = LoginLimiter(lambda: clock[0])
    for _ in range(FREE_FOR_USER + 1):
        attempt(limiter, "", "10.0.0.1")
    assert attempt(limiter, "", "10.0.0.1") > 0
    assert attempt(limiter, "anna", "10.0.0.1") == 0


def test_the_right_password_takes_the_attempt_back(clock: list[float]) -> None:
    limiter = LoginLimiter(lambda: clock[0])
    for _ in range(FREE_FOR_ADDRESS * 3):
        assert attempt(limiter, "anna", "10.0.0.1") == 0
        limiter.succeeded("anna", "10.0.0.1")


def test_the_memory_of_the_limiter_is_bounded(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_limiter, "MAX_ENTRIES", 50)
    limiter = LoginLimiter(lambda: clock[0])
    for number in range(500):
        attempt(limiter, "x" * 10_000, f"10.0.{number // 250}.{number % 250}")
    assert len(limiter._attempts) <= 50
    assert max(len(getattr(key, "user", "")) for key in limiter._attempts) <= 64


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_household_is_an_address_or_a_64(one: str, other: str, is_same: bool) -> None:
    assert (network_of(one) == network_of(other)) is is_same
