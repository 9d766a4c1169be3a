"""`heygem web` as a process: what it refuses to listen on, how it starts, stops and treats slow clients."""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from heygem_daemon.core.names import MARKER
from heygem_daemon.settings import ConfigurationError, Settings
from heygem_daemon.web import http_protocol, security, server
from heygem_daemon.web.access import passwords
from heygem_daemon.web.access.accounts import Accounts
from tests.web.finished_job import await_job, put_job

JOB = "20261122-231500-lesson-01-k3f9"


def with_web(settings: Settings, **web: object) -> Settings:
    return settings.model_copy(update={"web": settings.web.model_copy(update=web)})


# -- what it listens on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.7.7", ""])  # noqa: S104 - that it refuses to
def test_it_lets_other_machines_in_with_users_or_a_proxy_only(settings: Settings, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="there are no users: add one with `heygem web user add"):
        server.check(with_web(settings, address=address))
    server.check(with_web(settings, address=address, proxy_header="X-Remote-User"))
    monkeypatch.setattr(passwords, "COST", 2**4)
    Accounts(settings.web.state).add_user("anna", "correct horse", admin=False)
    server.check(with_web(settings, address=address))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_it_needs_none_for_this_machine(settings: Settings, address: str) -> None:
    server.check(with_web(settings, address=address))


@pytest.mark.parametrize(
    ("web", "sentence"),
    [
        ({"address": "no.such.name.invalid"}, "web.address 'no.such.name.invalid'"),
        ({"certificate": "/nowhere/cert.pem"}, "name both, or neither"),
        ({"certificate": "/nowhere/cert.pem", "key": "/nowhere/key.pem"}, "No such file"),
        ({"proxy_addresses": ("proxy.example",)}, "neither an address nor a network"),
        ({"state": Path("/proc/heygem")}, "web.state"),
    ],
)
def test_a_mistake_in_the_configuration_is_a_sentence(settings: Settings, web: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        server.check(with_web(settings, **web))


def test_damaged_users_do_not_count_as_none(settings: Settings) -> None:
    settings.web.state.mkdir()
    (settings.web.state / "users.json").write_text("{")
    with pytest.raises(ConfigurationError, match="damaged"):
        server.check(settings)


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1 port {port}: .*another program listens there"):
            server.open_port("127.0.0.1", port)
        with pytest.raises(ConfigurationError, match="no such address"):
            server.open_port("192.0.2.1", port)


# -- the process ---------------------------------------------------------------------------------------------------------------


class Page:
    """A running `heygem web`."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, certificate: str | None) -> None:
        self.process = process
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=30, verify=ssl.create_default_context(cafile=certificate) if certificate else True)


@contextmanager
def page(
    tmp_path: Path, *arguments: str, web: str = "", environment: dict[str, str] | None = None, certificate: str | None = None
) -> Iterator[Page]:
    """Run `heygem web` on a free port of 127.0.0.1."""
    inbox, outputs = tmp_path / "inbox", tmp_path / "outputs"
    for folder in (inbox, outputs):
        folder.mkdir(exist_ok=True)
    (inbox / MARKER).touch()
    config = tmp_path / "heygem.toml"
    config.write_text(
        f'inboxes = [{{ path = "{inbox}" }}]\noutputs = "{outputs}"\nstate = "{tmp_path}/s"\ncache = "{tmp_path}/c"\n'
        f'weights = "{tmp_path}/w"\ncorpus = "{tmp_path}/k"\n[web]\nstate = "{tmp_path}/web"\n{web}\n'
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "heygem_daemon", "web", "--config", str(config), "--port", str(port), *arguments]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **(environment or {})}
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "the page is at" in line, (tmp_path / "log").read_text()
            running = Page(process, f"{'https' if certificate else 'http'}://127.0.0.1:{port}", certificate)
            with running.client:
                yield running
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def seconds_to_end(page: Page, sent: signal.Signals) -> float:
    began = time.monotonic()
    page.process.send_signal(sent)
    assert page.process.wait(20) == 0
    return time.monotonic() - began


def test_it_tells_systemd_and_ends_in_time_with_everything_open(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    put_job(tmp_path / "outputs", JOB, files={"teacher.mp4": b""})
    with (tmp_path / "outputs" / "lesson-01" / "teacher.mp4").open("wb") as file:
        file.truncate(2**30)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        with page(tmp_path, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as running:
            assert manager.recv(100) == b"READY=1"
            await_job(running.client, JOB)
            begun = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{"
            with (
                running.client.stream("GET", "/api/v1/events") as events,
                running.client.stream("GET", f"/api/v1/jobs/{JOB}/files/teacher.mp4") as download,
                socket.create_connection(("127.0.0.1", running.client.base_url.port or 0)) as upload,
            ):
                assert (events.status_code, download.status_code) == (200, 200)
                upload.sendall(begun)
                assert seconds_to_end(running, signal.SIGTERM) < 5
            assert manager.recv(100) == b"STOPPING=1"
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_its_answers_name_no_server_and_it_trusts_no_forwarded_header(tmp_path: Path) -> None:
    with page(tmp_path, web='proxy_addresses = ["10.0.0.1"]') as running:
        answer = running.client.get("/api/v1/me", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"})
        assert answer.status_code == 200
        assert "server" not in answer.headers
        assert seconds_to_end(running, signal.SIGINT) < 5


def test_it_speaks_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    web = f'certificate = "{certificate}"\nkey = "{key}"'
    with page(tmp_path, web=web, certificate=str(certificate)) as running:
        answer = running.client.get("/api/v1/me")
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == security.STRICT_TRANSPORT
        own = {"Origin": running.url}
        assert running.client.delete("/api/v1/session", headers=own).status_code == 204
        assert running.client.delete("/api/v1/session", headers={"Origin": running.url.replace("https", "http")}).status_code == 403


def closed_after(address: str, first: bytes, more: bytes, seconds: float) -> float:
    """Send `first`, then one byte of `more` now and then; return after how long the server closes the connection."""
    host, port = address.removeprefix("http://").split(":")
    began = time.monotonic()
    with socket.create_connection((host, int(port))) as link:
        link.settimeout(0.05)
        with suppress(ConnectionError, BrokenPipeError):
            link.sendall(first)
            for number in range(int(seconds / 0.05)):
                try:
                    if link.recv(1000) == b"":
                        break
                except TimeoutError:
                    link.sendall(more[number % len(more) :][:1])
    return time.monotonic() - began


def test_a_request_that_never_ends_its_head_is_cut(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.4)
    assert closed_after(address, b"", b"G", 10) < 5, "a connection without a request"
    assert closed_after(address, b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n", 10) < 5, "a head that comes byte by byte"
    first = b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert closed_after(address, first + b"GET / HTTP/1.1\r\n", b"X-A: b\r\n", 10) < 8, "the second request of a connection"


def test_a_head_without_measure_is_cut(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        sent = 0
        with suppress(ConnectionError):
            link.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            while sent < 50 * 2**20:
                link.sendall(b"X-Filler: " + b"x" * 8000 + b"\r\n")
                sent += 8000
    assert sent < 10 * 2**20


def test_an_ordinary_upload_is_no_head(address: str) -> None:
    answer = httpx.post(
        f"{address}/api/v1/jobs", content=b'{"name": "' + b"x" * 2**20 + b'"}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize("rest", [b"\n", b"x"])
def test_what_follows_an_answer_and_is_no_request_does_not_keep_the_connection(
    monkeypatch: pytest.MonkeyPatch, address: str, rest: bytes
) -> None:
    """Line ends, or the rest of a body that was refused before it came."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(security, "DISCARD_SECONDS", 0.1)
    length = b"" if rest == b"\n" else b"Content-Length: 2000000\r\n"
    assert closed_after(address, b"PUT /api/v1/me HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n", rest, 10) < 5


def connected(address: str, source: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))


def asked(link: socket.socket) -> bytes:
    """Send a request, and return the first line of the answer."""
    with suppress(ConnectionError):
        link.sendall(b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nX-Remote-User: anna\r\n\r\n")
        return link.recv(1000).partition(b"\r\n")[0]
    return b""


def test_nobody_shuts_the_page_with_connections_that_do_nothing(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(http_protocol, "PEER_CONNECTIONS", 5)
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(address, "127.0.0.9")) for _ in range(5)]
        assert asked(idle[-1]) == b"HTTP/1.1 200 OK"
        one_more = stack.enter_context(connected(address, "127.0.0.9"))
        assert one_more.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert one_more.recv(1000) == b""
        assert asked(stack.enter_context(connected(address, "127.0.0.1"))) == b"HTTP/1.1 200 OK", "another address"
        idle[0].close()
        until = time.monotonic() + 10
        while asked(stack.enter_context(connected(address, "127.0.0.9"))) != b"HTTP/1.1 200 OK":
            assert time.monotonic() < until


def test_many_clients_may_stand_behind_the_proxy(tmp_path: Path) -> None:
    web = 'proxy_header = "X-Remote-User"\nproxy_addresses = ["127.0.0.1"]'
    with page(tmp_path, web=web) as running, ExitStack() as stack:
        address = running.url
        for _ in range(http_protocol.PEER_CONNECTIONS + 1):
            stack.enter_context(connected(address, "127.0.0.1"))
            last = stack.enter_context(connected(address, "127.0.0.9"))
        assert last.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert asked(stack.enter_context(connected(address, "127.0.0.1"))) == b"HTTP/1.1 200 OK"


REQUEST = b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def taking_nothing(address: str) -> Iterator[socket.socket]:
    """Connect a client with room for hardly anything."""
    host, port = address.removeprefix("http://").split(":")
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        link.connect((host, int(port)))
        link.settimeout(0.5)
        yield link


def assert_is_cut(address: str) -> None:
    """Wait until the one connection that this address may have is free."""
    until = time.monotonic() + 15
    while True:
        with connected(address, "127.0.0.1") as other:
            if asked(other) == b"HTTP/1.1 200 OK":
                return
        assert time.monotonic() < until, "the first connection is still there"
        time.sleep(0.05)


def test_a_client_that_takes_nothing_of_many_answers_is_cut(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(http_protocol, "STALLED_SECONDS", 0.4)
    monkeypatch.setattr(http_protocol, "PEER_CONNECTIONS", 1)
    with taking_nothing(address) as link:
        link.sendall(REQUEST * 150)
        assert_is_cut(address)


def test_a_client_that_does_not_take_the_end_of_an_answer_is_cut(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Closing alone would wait until it has taken what is written already."""
    monkeypatch.setattr(http_protocol, "FLUSH_SECONDS", 0.4)
    monkeypatch.setattr(http_protocol, "PEER_CONNECTIONS", 1)
    made = http_protocol.BoundedProtocol.connection_made

    def with_room(protocol: http_protocol.BoundedProtocol, transport: asyncio.Transport) -> None:
        made(protocol, transport)
        transport.set_write_buffer_limits(high=2**30)

    monkeypatch.setattr(http_protocol.BoundedProtocol, "connection_made", with_room)
    with taking_nothing(address) as link:
        link.sendall(REQUEST * 150 + REQUEST.replace(b"localhost", b"localhost\r\nConnection: close"))
        assert_is_cut(address)
