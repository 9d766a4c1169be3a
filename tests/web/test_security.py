"""What stands before every request: hosts, origins, callers, limits, headers, and the answers to errors."""

import ast
import json
import re
import socket
import string
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from heygem_daemon.settings import Settings
from heygem_daemon.web import security
from heygem_daemon.web.access import origins, passwords
from heygem_daemon.web.access.accounts import Accounts
from heygem_daemon.web.app import create_app
from heygem_daemon.web.problems import PROBLEMS, WebProblem
from heygem_daemon.web.security import BODY_LIMIT, CONTENT_SECURITY_POLICY, LOGIN_BYTES
from heygem_daemon.web.words import LANGUAGES, LOCALES, catalog
from tests.web.finished_job import await_job, put_job
from tests.web.serving import serving
from tests.web.uploading import Uploading

ME = "/api/v1/me"
SESSION = "/api/v1/session"
JOBS = "/api/v1/jobs"
PASSWORD = "correct horse"  # noqa: S105
Serve = Callable[..., httpx.Client]


@cache
def fields_of_problems() -> dict[str, set[str]]:
    """Return the fields that the code gives to each problem, at any place where it is raised."""
    found: dict[str, set[str]] = {code: set() for code in PROBLEMS}
    for path in LOCALES.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "WebProblem" and node.args:
                codes = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant) and each.value in found]
                for code in codes:
                    found[code] |= {each.arg for each in node.keywords if each.arg}
    return found


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 2**4)


@pytest.fixture
def accounts(settings: Settings) -> Accounts:
    """A site with an administrator and two users."""
    accounts = Accounts(settings.web.state)
    for name in ("root", "anna", "bert"):
        accounts.add_user(name, PASSWORD, admin=name == "root")
    return accounts


@pytest.fixture
def serve(settings: Settings) -> Iterator[Serve]:
    """Start the page with other settings of [web]."""
    with ExitStack() as stack:

        def started(**web: Any) -> httpx.Client:
            changed = settings.model_copy(update={"web": settings.web.model_copy(update=web)})
            address = stack.enter_context(serving(create_app(changed)))
            return stack.enter_context(httpx.Client(base_url=address, timeout=20))

        yield started


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


# -- by which name ------------------------------------------------------------------------------------------------------------


@pytest.mark.family(3)
@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:7860", "192.168.0.7:80", socket.gethostname(), "localhost."]
)
def test_the_server_answers_to_its_own_names_and_addresses(client: httpx.Client, host: str) -> None:
    assert client.get(ME, headers={"Host": host}).status_code == 200


@pytest.mark.family(3)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:7860",
        "a@localhost",
        "localhost/x",
        "",
        "[::1",
        "x:y",
        "127.1",
    ],
)
def test_a_foreign_name_is_refused_as_dns_rebinding_needs_one(client: httpx.Client, host: str) -> None:
    assert code_of(client.get(ME, headers={"Host": host})) == (421, "unknown_host")
    assert client.get("/", headers={"Host": host}).status_code == 421
    assert client.get("/static/app.css", headers={"Host": host}).status_code == 421


def test_a_name_of_the_configuration_is_known(serve: Serve) -> None:
    client = serve(hosts=("Lipsync.Example",))
    assert client.get(ME, headers={"Host": "lipsync.example:8080"}).status_code == 200
    assert client.get(ME, headers={"Host": "other.example"}).status_code == 421


def test_two_host_headers_are_refused() -> None:
    with pytest.raises(WebProblem):
        origins.check_host({"host": ["localhost", "evil.example"]}, frozenset({"localhost"}))
    with pytest.raises(WebProblem):
        origins.check_host({}, frozenset({"localhost"}))


# -- from where --------------------------------------------------------------------------------------------------------------


@pytest.mark.family(5)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://localhost@evil.example"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_a_foreign_page_can_change_nothing(client: httpx.Client, method: str, headers: dict[str, str]) -> None:
    if headers == {"Origin": ""}:
        headers = {"Origin": "", "Sec-Fetch-Site": "cross-site"}
    assert code_of(client.request(method, SESSION, headers=headers, json={})) == (403, "foreign_origin")


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_the_own_page_and_scripts_can(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.delete(SESSION, headers=headers).status_code == 204
    own = f"http://127.0.0.1:{client.base_url.port}"
    assert client.delete(SESSION, headers={**headers, "Origin": own}).status_code == 204
    assert client.delete(SESSION, headers={"Origin": "https://lipsync.example", "Host": "127.0.0.1"}).status_code == 403


def test_an_origin_of_the_configuration_may_make_changes(serve: Serve) -> None:
    client = serve(origins=("https://portal.example/",))
    assert client.delete(SESSION, headers={"Origin": "https://portal.example", "Sec-Fetch-Site": "cross-site"}).status_code == 204
    assert client.delete(SESSION, headers={"Origin": "http://portal.example"}).status_code == 403


def test_an_unsafe_page_of_the_same_name_is_foreign_to_https() -> None:
    own = {"host": ["lipsync.example"], "origin": ["http://lipsync.example"]}
    with pytest.raises(WebProblem):
        origins.check_origin("POST", own, "https", frozenset())
    origins.check_origin("POST", own | {"origin": ["https://lipsync.example"]}, "https", frozenset())
    origins.check_origin("POST", {"host": ["lipsync.example:443"], "origin": ["https://lipsync.example"]}, "https", frozenset())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}, 200),
    ],
)
def test_a_foreign_page_may_link_to_us_and_embed_nothing(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    assert client.get(ME, headers=headers).status_code == status


# -- the headers of every answer -----------------------------------------------------------------------------------------------


@pytest.mark.family(4)
@pytest.mark.parametrize("path", ["/", ME, "/static/app.css", "/static/none.css", "/nothing", "/login", "/api/openapi.json"])
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_every_answer_has_the_headers_of_safety(client: httpx.Client, path: str, host: str) -> None:
    headers = client.get(path, headers={"Host": host}).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "access-control-allow-origin" not in headers


@pytest.mark.family(3)
@pytest.mark.parametrize(
    "path", ["..%2fsecurity.py", "%2e%2e/security.py", "..%5csecurity.py", "js/..%2f..%2fsecurity.py", "/etc/passwd", "%00"]
)
def test_static_files_are_the_only_ones_below_static(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/static/{path}")
    assert answer.status_code in {400, 404}
    assert "import" not in answer.text


def test_static_files_are_asked_for_again_only_whether_they_changed(client: httpx.Client) -> None:
    first = client.get("/static/app.css")
    assert first.status_code == 200
    assert client.get("/static/app.css", headers={"If-None-Match": first.headers["etag"]}).status_code == 304


# -- who calls ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("accounts")
def test_with_users_everything_but_the_login_needs_one(app: FastAPI, client: httpx.Client) -> None:
    paths = [path for path, operations in app.openapi()["paths"].items() if "get" in operations]
    assert len(paths) > 15
    for path in ["/", "/queue", "/history", "/system", "/api", "/jobs/x", "/nothing", "/api/openapi.json", *paths]:
        if path in {"/login", "/favicon.ico", "/api/v1/health"}:
            continue
        answer = client.get(re.sub(r"\{[^}]*\}", "x", path))
        if path.startswith("/api/"):
            assert code_of(answer) == (401, "login_required"), path
        else:
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/login?next="), path
    for path in ("/login", "/api/v1/health", "/static/app.css"):
        assert client.get(path).status_code == 200, path


@pytest.mark.family(3)
@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_no_method_is_a_way_around_the_login(client: httpx.Client, method: str) -> None:
    for path in (
        "/api/v1/jobs",
        "/api/v1/drafts",
        "/api/v1/uploads",
        "/api/v1/uploads/x",
        "/api/v1/queue/pause",
        "//api/v1/jobs",
        "/API/v1/jobs",
    ):
        assert client.request(method, path).status_code in {401, 303}, path


@pytest.mark.usefixtures("accounts")
def test_the_login_leads_back_to_where_one_wanted_to_go_and_nowhere_else(client: httpx.Client) -> None:
    assert client.get("/jobs/a b?x=1&y=2").headers["location"] == "/login?next=/jobs/a%20b%3Fx%3D1%26y%3D2"
    for path in (
        "//evil.example/%0d%0aSet-Cookie:a=b",
        "/.//evil.example/x",
        "/a/..//evil.example",
        "/%2e/%5cevil.example",
        "/%5cevil.example",
        "/%09/evil.example",
        "/%2fevil.example",
    ):
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=10) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: link.recv(65536), b""))
        assert b"\r\nlocation: /login?next=/\r\n" in answer, path


def test_one_neither_sees_nor_fetches_nor_changes_the_job_of_another(
    settings: Settings, outputs: Path, accounts: Accounts, client: httpx.Client
) -> None:
    job = "20261122-231500-lesson-01-k3f9"
    put_job(outputs, job, files={"teacher.mp4": b"of anna"}, owner="anna")
    tokens = {
        name: {"Authorization": f"Bearer {accounts.add_token(f'of-{name}', user=name, admin=name == 'root')}"}
        for name in ("root", "anna", "bert")
    }
    await_job(client, job, headers=tokens["root"])
    await_job(client, job, headers=tokens["anna"])
    for path in ("", "/files/teacher.mp4", "/zip", "/log"):
        assert client.get(f"/api/v1/jobs/{job}{path}", headers=tokens["anna"]).status_code == 200, path
        assert client.get(f"/api/v1/jobs/{job}{path}", headers=tokens["root"]).status_code == 200, path
        assert code_of(client.get(f"/api/v1/jobs/{job}{path}", headers=tokens["bert"])) == (404, "not_found"), path
        assert code_of(client.get(f"/api/v1/jobs/lesson-01{path}", headers=tokens["bert"])) == (404, "not_found"), path
    assert code_of(client.get(f"/api/v1/jobs/{job}/sources/teacher", headers=tokens["bert"])) == (404, "not_found")
    for action in ("cancel", "hold", "resume", "retry"):
        assert client.post(f"/api/v1/jobs/{job}/{action}", headers=tokens["bert"]).status_code == 404
    assert client.get("/api/v1/jobs", headers=tokens["bert"]).json()["jobs"] == []
    assert client.post("/api/v1/queue/pause", json={}, headers=tokens["bert"]).status_code == 403


def test_a_token_that_is_none_is_refused_even_where_nobody_needs_one(client: httpx.Client, settings: Settings) -> None:
    for value in ("Bearer nonsense", "Bearer", "bearer x y"):
        answer = client.get(ME, headers={"Authorization": value})
        assert code_of(answer) == (401, "login_required")
        assert "Bearer" in answer.headers["www-authenticate"]
    assert client.get(ME, headers={"Authorization": "Basic abc"}).status_code == 200
    secret = Accounts(settings.web.state).add_token("dubbing")
    assert client.get(ME, headers={"Authorization": f"Bearer {secret}"}).json() == {
        "name": "dubbing",
        "admin": False,
        "login": False,
        "language": "en",
    }


def test_the_proxy_names_the_user(serve: Serve) -> None:
    client = serve(proxy_header="X-Remote-User", admins=("anna",))
    assert client.get(ME, headers={"X-Remote-User": "anna"}).json()["admin"] is True
    assert client.get(ME, headers={"x-remote-user": "bert"}).json() == {"name": "bert", "admin": False, "login": False, "language": "en"}
    assert client.get(ME, headers={b"X-Remote-User": "张伟".encode()}).json()["name"] == "张伟"
    for nobody in (
        [],
        [("X-Remote-User", "")],
        [("X-Remote-User", "anna"), ("X-Remote-User", "bert")],
        [("X-Remote-User", "a b")],
        [("X_Remote_User", "anna")],
    ):
        assert client.get(ME, headers=nobody).status_code == 401, nobody
    assert client.get("/").status_code == 401, "nobody could log in, so there is nothing to lead to"


def test_the_header_of_the_proxy_is_ignored_from_elsewhere(serve: Serve) -> None:
    client = serve(proxy_header="X-Remote-User", proxy_addresses=("10.0.0.0/8",), admins=("anna",))
    assert client.get(ME, headers={"X-Remote-User": "anna"}).status_code == 401


def test_a_cookie_is_secure_behind_a_proxy_that_speaks_https(serve: Serve, accounts: Accounts) -> None:
    login = {"name": "anna", "password": PASSWORD}
    client = serve(proxy_header="X-Remote-User")
    assert "secure" in client.post(SESSION, json=login, headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"].lower()
    direct = serve(proxy_header="X-Remote-User", proxy_addresses=("10.0.0.1",))
    assert "secure" not in direct.post(SESSION, json=login, headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"].lower()


# -- the size and pace of requests -----------------------------------------------------------------------------------------------


def test_a_body_has_a_limit_declared_or_not(client: httpx.Client) -> None:
    large = b'{"name": "' + b"x" * BODY_LIMIT + b'"}'
    assert code_of(client.post(JOBS, content=large, headers={"Content-Type": "application/json"})) == (413, "request_too_large")

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    assert code_of(client.post(JOBS, content=chunks(), headers={"Content-Type": "application/json"})) == (413, "request_too_large")


@pytest.mark.usefixtures("accounts")
def test_the_body_that_anybody_may_send_is_small_and_holds_every_password(client: httpx.Client) -> None:
    assert code_of(client.post(SESSION, json={"name": "anna", "password": "x" * LOGIN_BYTES})) == (413, "request_too_large")
    longest = {"name": "x" * 64, "password": "\U0001f600" * passwords.MAX_LENGTH}
    assert code_of(client.post(SESSION, content=json.dumps(longest), headers={"Content-Type": "application/json"})) == (
        401,
        "wrong_password",
    )


def test_a_body_that_comes_byte_by_byte_has_an_end(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_SECONDS", 0.5)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=0.05) as link:
        link.sendall(
            b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\nContent-Type: application/json\r\n\r\n{"
        )
        answer = b""
        while not answer and time.monotonic() - began < 8:
            try:
                answer = link.recv(65536)
            except TimeoutError:
                link.sendall(b" ")
    assert answer.startswith(b"HTTP/1.1 408")


def test_an_upload_may_take_its_time(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_SECONDS", 0.2)
    uploading = Uploading(client)
    location = uploading.begun(uploading.draft(), "a.mp4", 4)

    def slowly() -> Iterator[bytes]:
        for _ in range(4):
            time.sleep(0.15)
            yield b"x"

    headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    assert client.patch(location, content=slowly(), headers=headers).status_code == 204


def test_a_client_that_stops_in_the_middle_of_a_body_is_not_waited_for(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_IDLE", 0.2)
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=10) as link:
        link.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{")
        answer = link.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.slow
def test_a_client_that_takes_nothing_is_cut(outputs: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = "20261122-231500-lesson-01-k3f9"
    put_job(outputs, job, files={"teacher.mp4": b""})
    with (outputs / "lesson-01" / "teacher.mp4").open("wb") as file:
        file.truncate(100 * 2**20)
    await_job(client, job)
    monkeypatch.setattr(security, "ANSWER_IDLE", 0.3)
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=10) as link:
        link.sendall(f"GET /api/v1/jobs/{job}/files/teacher.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(1)
        received = 0
        while part := link.recv(2**20):
            received += len(part)
    assert 0 < received < 100 * 2**20


# -- answers to errors -----------------------------------------------------------------------------------------------------------


def test_an_unexpected_error_says_nothing_about_the_inside(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(security, "StructLog", lambda **_: lambda event, **fields: lines.append((event, fields)))
    app = create_app(settings)

    @app.get("/api/v1/broken")
    async def broken() -> None:
        raise RuntimeError("secret of the inside")

    with serving(app) as address:
        answer = httpx.get(f"{address}/api/v1/broken")
    assert code_of(answer) == (500, "internal")
    assert "secret" not in answer.text
    assert [(event, str(fields["exc_info"])) for event, fields in lines] == [("web_request_failed", "secret of the inside")]


def test_errors_of_the_framework_are_problems_too(client: httpx.Client) -> None:
    assert code_of(client.get("/api/v1/nothing")) == (404, "not_found")
    answer = client.post(ME)
    assert code_of(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"]
    answer = client.post(SESSION, json={"name": "anna", "password": 5, "more": 1})
    assert code_of(answer) == (422, "invalid_request")
    assert "password: " in answer.json()["message"]
    assert code_of(client.post(SESSION, content=b"{", headers={"Content-Type": "application/json"})) == (422, "invalid_request")
    nested = client.post(JOBS, content=b"[" * 100_000, headers={"Content-Type": "application/json"})
    assert nested.status_code in {400, 422}


def test_an_answer_never_repeats_a_password(client: httpx.Client) -> None:
    answer = client.post(SESSION, json={"name": ["a"], "password": "hunter2" * 1000})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


@pytest.mark.family(2)
@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ({"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}, "zh"),
        ({"Accept-Language": "de, en"}, "en"),
        ({"Accept-Language": "zh", "Cookie": "lang=en"}, "en"),
        ({"Cookie": "lang=zh"}, "zh"),
        ({"Cookie": "lang=../../x"}, "en"),
        ({}, "en"),
    ],
)
def test_errors_are_in_the_language_of_the_caller(client: httpx.Client, headers: dict[str, str], language: str) -> None:
    assert client.get("/api/v1/jobs/none", headers=headers).json()["message"] == catalog(language)["problem.not_found"]
    assert (
        client.get(ME, headers={**headers, "Host": "evil.example"})
        .json()["message"]
        .startswith(catalog(language)["problem.unknown_host"][:4])
    )
    assert client.get(ME, headers=headers).json()["language"] == language


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_has_its_sentences(language: str, code: str) -> None:
    texts = json.loads((LOCALES / language / "problems.json").read_text(encoding="utf-8"))
    for key in (f"problem.{code}", f"problem.{code}.hint"):
        assert texts[key], key
        # The name of a share is the end of its path (answers.problem_answer).
        given = fields_of_problems()[code] | ({"name"} if "path" in fields_of_problems()[code] else set())
        assert {field for _, field, _, _ in string.Formatter().parse(texts[key]) if field} <= given, key


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_no_sentence_for_a_problem_that_does_not_exist(language: str) -> None:
    texts = json.loads((LOCALES / language / "problems.json").read_text(encoding="utf-8"))
    assert {key.split(".")[1] for key in texts} == set(PROBLEMS)


@pytest.mark.parametrize(("header", "named"), [("X-Remote-User", "10.1.2.3"), ("", "127.0.0.1")])
def test_the_address_for_the_login_limit_is_the_last_that_the_proxy_names(settings: Settings, header: str, named: str) -> None:
    """Without a proxy, nobody on this machine chooses the address that his guesses are counted for."""
    app = create_app(settings.model_copy(update={"web": settings.web.model_copy(update={"proxy_header": header})}))

    @app.get("/api/v1/health/address")
    async def address(request: Request) -> str:
        return str(request.scope["state"]["address"])

    with serving(app) as where:
        url, anna = f"{where}/api/v1/health/address", {"X-Remote-User": "anna"}
        assert httpx.get(url, headers={**anna, "X-Forwarded-For": "6.6.6.6, 10.1.2.3"}).json() == named
        assert httpx.get(url, headers=anna).json() == "127.0.0.1"


def test_the_header_that_asks_for_https_comes_with_https_alone(client: httpx.Client) -> None:
    assert "strict-transport-security" not in client.get(ME).headers


def test_a_token_of_a_user_is_no_longer_an_administrator_than_he_is(client: httpx.Client, accounts: Accounts) -> None:
    names = {"of-root": "root", "root": "", "nightly": ""}
    tokens = {name: {"Authorization": f"Bearer {accounts.add_token(name, user=user, admin=True)}"} for name, user in names.items()}
    assert [client.get(ME, headers=tokens[name]).json()["admin"] for name in names] == [True, True, True]
    accounts.add_user("root", PASSWORD, admin=False)
    assert [client.get(ME, headers=tokens[name]).json()["admin"] for name in names] == [False, False, True]


def test_a_token_of_somebody_whom_the_proxy_names_follows_the_configuration(serve: Serve, settings: Settings) -> None:
    accounts = Accounts(settings.web.state)
    tokens = [{"Authorization": f"Bearer {accounts.add_token(f'of-{user}', user=user, admin=True)}"} for user in ("anna", "bert")]
    client = serve(proxy_header="X-Remote-User", admins=("anna",))
    assert [client.get(ME, headers=token).json()["admin"] for token in tokens] == [True, False]


def test_the_answer_to_a_body_that_is_too_large_reaches_the_client(client: httpx.Client) -> None:
    """Ten times: a connection that is reset loses the answer now and then only."""
    codes = [client.post("/api/v1/drafts", content=bytes(6 * 2**20)).json()["code"] for _ in range(10)]
    assert codes == ["request_too_large"] * 10
