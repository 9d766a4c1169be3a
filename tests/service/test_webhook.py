"""The webhook: what reaches a server, which answers count, and that no secret is printed."""

import base64
import hashlib
import hmac
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from heygem_daemon.service import webhook
from heygem_daemon.service.webhook import PAUSES, DeliveryError, deliver, read_secrets

BODY: Final = '{"job": "课程"}\n'.encode()
SLACK: Final = 30.0
KEY: Final = bytes(range(32))
WEBHOOK_SECRET: Final = "whsec_" + base64.b64encode(KEY).decode()


class Receiver(ThreadingHTTPServer):
    """A real server on this machine. `answers` are given in turn, the last one repeatedly."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = [lambda handler: answer(handler, 204)]
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.over = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def address(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Some tests are about clients that go away."""


class _Answer(BaseHTTPRequestHandler):
    server: Receiver

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    do_POST = do_GET = _take  # noqa: N815 - the names they have

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has
        """Log nothing."""


def answer(handler: BaseHTTPRequestHandler, code: int, **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


@pytest.fixture
def server() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.over.set()
    receiver.shutdown()
    receiver.server_close()
    thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


def refusal(address: str, pauses: list[float]) -> str:
    with pytest.raises(DeliveryError) as caught:
        deliver(address, BODY, seconds=SLACK, pause=pauses.append)
    return str(caught.value)


# -- what arrives --------------------------------------------------------------------------------------------------------


def test_the_body_arrives_as_it_was_given(server: Receiver, pauses: list[float]) -> None:
    deliver(server.address("/hook?x=1"), BODY, seconds=SLACK, pause=pauses.append)
    ((method, path, headers, body),) = server.requests
    assert (method, path, body) == ("POST", "/hook?x=1", BODY)
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert pauses == []


def test_user_and_password_of_the_address_are_sent_as_such(server: Receiver) -> None:
    deliver(f"http://user:p%40ss@127.0.0.1:{server.port}/hook", BODY, seconds=SLACK)
    headers = server.requests[0][2]
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"user:p@ss"
    assert headers["Host"] == f"127.0.0.1:{server.port}"


def test_a_proxy_of_the_environment_is_not_used(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    deliver(server.address(), BODY, seconds=SLACK)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_success(server: Receiver, code: int) -> None:
    server.answers = [lambda handler: answer(handler, code)]
    deliver(server.address(), BODY, seconds=SLACK)


def test_an_answer_without_an_end_is_not_read(server: Receiver) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 200)
        while not server.over.is_set():
            handler.wfile.write(b"x" * 65536)

    server.answers = [flood]
    deliver(server.address(), BODY, seconds=SLACK)


# -- what is tried again -------------------------------------------------------------------------------------------------


def test_a_server_error_is_tried_again(server: Receiver, pauses: list[float]) -> None:
    server.answers = [lambda handler: answer(handler, 503), lambda handler: answer(handler, 502), lambda handler: answer(handler, 200)]
    deliver(server.address(), BODY, seconds=SLACK, pause=pauses.append)
    assert [body for *_, body in server.requests] == [BODY] * 3
    assert pauses == list(PAUSES)


def test_after_three_tries_it_is_over(server: Receiver, pauses: list[float]) -> None:
    server.answers = [lambda handler: answer(handler, 500)]
    assert refusal(server.address(), pauses) == f"http://127.0.0.1:{server.port} answered 500 Internal Server Error"
    assert len(server.requests) == 3


def test_a_request_that_the_server_does_not_want_is_not_repeated(server: Receiver, pauses: list[float]) -> None:
    server.answers = [lambda handler: answer(handler, 404)]
    assert refusal(server.address(), pauses) == f"http://127.0.0.1:{server.port} answered 404 Not Found"
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Receiver, pauses: list[float], code: int) -> None:
    other = Receiver()
    server.answers = [lambda handler: answer(handler, code, Location=other.address("/elsewhere"))]
    other_thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
    other_thread.start()
    try:
        assert f"answered {code}" in refusal(server.address(), pauses)
    finally:
        other.shutdown()
        other.server_close()
        other_thread.join()
    assert (len(server.requests), other.requests) == (1, [])


def test_a_refused_connection_is_tried_again(pauses: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert refusal(f"http://127.0.0.1:{port}/", pauses) == f"http://127.0.0.1:{port} cannot be reached: Connection refused"
    assert pauses == list(PAUSES)


def test_a_connection_that_breaks_off_is_tried_again(server: Receiver, pauses: list[float]) -> None:
    server.answers = [lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), lambda handler: answer(handler, 200)]
    deliver(server.address(), BODY, seconds=SLACK, pause=pauses.append)
    assert len(server.requests) == 2


def test_an_answer_that_is_not_http_is_named_without_its_content(server: Receiver, pauses: list[float]) -> None:
    def answer_as_mail_server(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 mail.example ESMTP\r\n")

    server.answers = [answer_as_mail_server]
    assert refusal(server.address(), pauses) == f"http://127.0.0.1:{server.port} broke off: BadStatusLine"


def test_https_fails_with_a_server_that_does_not_support_it(server: Receiver, pauses: list[float]) -> None:
    assert "cannot be reached" in refusal(f"https://127.0.0.1:{server.port}/", pauses)
    assert server.requests == []


# -- signatures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{WEBHOOK_SECRET}\n")
    return path


def headers_of(server: Receiver, number: int = 0) -> dict[str, str]:
    return {name.lower(): value for name, value in server.requests[number][2].items()}


def expected_signature(headers: dict[str, str], key: bytes = KEY) -> str:
    """Return the signature by the words of the specification: HMAC-SHA256 over id.timestamp.body, in base64."""
    signed = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + BODY
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_the_example_of_the_specification_is_signed_as_it_is_there() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = webhook.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}', key)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_delivery_is_signed_and_every_try_has_the_same_id_and_its_own_time(
    server: Receiver, pauses: list[float], secret_file: Path
) -> None:
    server.answers = [lambda handler: answer(handler, 503), lambda handler: answer(handler, 200)]
    times = iter([1_700_000_000.9, 1_700_000_007.0])
    deliver(server.address(), BODY, seconds=SLACK, secret_file=str(secret_file), pause=pauses.append, clock=lambda: next(times))
    first, second = headers_of(server, 0), headers_of(server, 1)
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1700000000", "1700000007")
    assert first["webhook-id"] == second["webhook-id"]
    assert [each["webhook-signature"] for each in (first, second)] == [expected_signature(first), expected_signature(second)]
    assert first["webhook-signature"] != second["webhook-signature"]


def test_another_end_has_another_id(server: Receiver, secret_file: Path) -> None:
    for body in (BODY, BODY.replace(b"}", b" }")):
        deliver(server.address(), body, seconds=SLACK, secret_file=str(secret_file))
    assert headers_of(server, 0)["webhook-id"] != headers_of(server, 1)["webhook-id"]


def test_without_a_secret_nothing_is_signed(server: Receiver) -> None:
    deliver(server.address(), BODY, seconds=SLACK)
    assert not [name for name in headers_of(server) if name.startswith("webhook-")]


def test_while_a_secret_is_replaced_both_sign(server: Receiver, secret_file: Path) -> None:
    other = b"k" * 64
    secret_file.write_text(f"{WEBHOOK_SECRET}\n\nwhsec_{base64.b64encode(other).decode()}\n")
    deliver(server.address(), BODY, seconds=SLACK, secret_file=str(secret_file))
    headers = headers_of(server)
    assert headers["webhook-signature"].split() == [expected_signature(headers), expected_signature(headers, other)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        WEBHOOK_SECRET.removeprefix("whsec_").encode(),
        b"whsec_c2hvcnQ=",
        b"whsec_not base64 at all, but hunter2",
        b"whsec_" + base64.b64encode(b"x" * 65),
        WEBHOOK_SECRET.encode() + b"\nhunter2",
        b"whsec_\xff\xfe",
    ],
)
def test_a_file_without_a_valid_secret_sends_nothing_and_is_not_quoted(server: Receiver, secret_file: Path, content: bytes) -> None:
    secret_file.write_bytes(content)
    with pytest.raises(DeliveryError) as caught:
        deliver(server.address(), BODY, seconds=SLACK, secret_file=str(secret_file))
    assert str(caught.value) == f"The secret file {secret_file} holds no secret: whsec_ and 24 to 64 bytes in base64"
    assert server.requests == []


@pytest.mark.parametrize(("path", "why"), [("gone", "No such file or directory"), (".", "Is a directory"), ("a\0b", "not a path")])
def test_a_secret_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(DeliveryError, match=f"cannot be read: {why}$"):
        read_secrets(f"{tmp_path}/{path}")


def test_the_program_signs_and_no_process_shows_the_secret(server: Receiver, secret_file: Path) -> None:
    shown: list[bytes] = []

    def look(handler: BaseHTTPRequestHandler) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                if b"webhook.py" in (process / "cmdline").read_bytes():
                    shown.extend(((process / "cmdline").read_bytes(), (process / "environ").read_bytes()))
        answer(handler, 200)

    server.answers = [look]
    done = program(server.address(), SLACK, WEBHOOK_SECRET_FILE=str(secret_file))
    assert (done.returncode, done.stderr) == (0, b"")
    headers = headers_of(server)
    assert headers["webhook-signature"] == expected_signature(headers)
    assert any(str(secret_file).encode() in each for each in shown)
    assert not any(WEBHOOK_SECRET.removeprefix("whsec_").encode() in each for each in shown)


def test_the_verification_of_the_page_accepts_what_is_sent_and_nothing_else(server: Receiver, secret_file: Path, root: Path) -> None:
    page = (root / "docs" / "monitoring.md").read_text(encoding="utf-8")
    example = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)[-1]
    names: dict[str, Callable[..., bool]] = {}
    exec(example, names)  # noqa: S102 - what the page shows
    is_genuine = names["is_genuine"]
    deliver(server.address(), BODY, seconds=SLACK, secret_file=str(secret_file))
    headers = headers_of(server)
    assert is_genuine(WEBHOOK_SECRET, headers, BODY)
    assert not is_genuine(WEBHOOK_SECRET, headers, BODY + b" ")
    assert not is_genuine("whsec_" + base64.b64encode(b"y" * 32).decode(), headers, BODY)
    assert not is_genuine(WEBHOOK_SECRET, headers | {"webhook-id": "msg_1"}, BODY)
    assert not is_genuine(WEBHOOK_SECRET, headers | {"webhook-timestamp": "1700000000"}, BODY)
    deliver(server.address(), BODY, seconds=SLACK, secret_file=str(secret_file), clock=lambda: time.time() - 600)
    assert not is_genuine(WEBHOOK_SECRET, headers_of(server, 1), BODY)


# -- what is printed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "http://u:secret@127.0.0.1:1/secret?key=secret",
        "http://u:secret@127.0.0.1:99999/",
        "http://u:secret@127.0.0.1:secret/",
        "http://u:secret@[::1/secret",
        "http://127.0.0.1:1/se cret\r\nsecret: secret",
        "http://127.0.0.1:1/secret-ü",
        "ftp://u:secret@127.0.0.1/",
        "file:///etc/secret",
        "http:///secret",
        "secret",
    ],
)
def test_no_error_message_contains_the_secret_of_an_address(address: str, pauses: list[float], capfd: pytest.CaptureFixture[str]) -> None:
    assert "secret" not in refusal(address, pauses)
    assert "secret" not in capfd.readouterr().err


# -- as a program --------------------------------------------------------------------------------------------------------


def program(address: str, seconds: float, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    command = (sys.executable, "-I", str(Path(webhook.__file__)), str(seconds))
    return subprocess.run(command, input=BODY, env={"WEBHOOK_URL": address, **environment}, capture_output=True, check=False, timeout=60)


def test_the_program_needs_nothing_but_its_input_and_the_address(server: Receiver) -> None:
    done = program(server.address(), SLACK)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert server.requests[0][3] == BODY


def test_the_last_line_of_the_program_is_its_error(server: Receiver) -> None:
    server.answers = [lambda handler: answer(handler, 410)]
    done = program(server.address(), SLACK)
    assert (done.returncode, done.stderr) == (1, f"http://127.0.0.1:{server.port} answered 410 Gone\n".encode())


def test_the_program_ends_by_itself_when_it_is_not_killed(server: Receiver) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        """Stay alive for every single read."""
        while not server.over.is_set():
            handler.wfile.write(b"H")
            time.sleep(0.05)

    server.answers = [drip]
    begun = time.monotonic()
    assert program(server.address(), 0.5).returncode != 0
    assert 1.4 < time.monotonic() - begun < 20
