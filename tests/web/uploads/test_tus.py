"""The tus server as clients see it, over real connections: the protocol, cuts, checksums, two at once, a share that fails."""

import errno
import hashlib
import os
import random
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from tusclient.client import TusClient

from heygem_daemon.core.names import MARKER
from heygem_daemon.settings import Inbox, Intake, Settings
from heygem_daemon.web.app import create_app
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import caller_of
from heygem_daemon.web.uploads import tus, upload_locks
from tests.web.serving import serving
from tests.web.uploading import TUS, Uploading

MIB = 2**20


@pytest.fixture
def uploading(client: httpx.Client) -> Uploading:
    return Uploading(client)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def _bytes(count: int) -> bytes:
    return random.Random(7).randbytes(count)


def _video(inbox: Path, draft: str, stored: str = "talk.mp4") -> Path:
    return inbox / ".heygem-uploads" / draft / "drop" / "videos" / stored


@contextmanager
def _begun_request(address: str, location: str, *, length: int, offset: int = 0, more: str = "") -> Iterator[socket.socket]:
    """Open a connection and send the head of a PATCH request of `length` bytes."""
    split = urlsplit(address)
    assert split.hostname is not None
    with socket.create_connection((split.hostname, split.port or 80)) as connection:
        head = (
            f"PATCH {location} HTTP/1.1\r\nHost: {split.netloc}\r\nTus-Resumable: 1.0.0\r\n"
            "Content-Type: application/offset+octet-stream\r\n"
            f"Upload-Offset: {offset}\r\nContent-Length: {length}\r\n{more}\r\n"
        )
        connection.sendall(head.encode())
        yield connection


def _checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def test_an_independent_client_uploads_a_file_in_parts_with_checksums(
    address: str, uploading: Uploading, inbox: Path, tmp_path: Path
) -> None:
    content = _bytes(5 * MIB + 321)
    (tmp_path / "talk.mp4").write_bytes(content)
    draft = uploading.draft()
    metadata = {"draft": draft, "name": "talk.mp4", "role": "video"}
    with (tmp_path / "talk.mp4").open("rb") as file:
        client = TusClient(f"{address}/api/v1/uploads")
        uploader = client.uploader(file_stream=file, chunk_size=2 * MIB, metadata=metadata, upload_checksum=True)
        uploader.upload_chunk()  # type: ignore[no-untyped-call]
        assert uploader.offset == 2 * MIB
        # Another program, later, knows the address alone.
        client.uploader(file_stream=file, url=uploader.url, chunk_size=2 * MIB).upload()
    assert _video(inbox, draft).read_bytes() == content


def test_the_server_says_what_it_can_do(client: httpx.Client) -> None:
    answer = client.options("/api/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {"creation", "termination", "checksum", "expiration"}
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
    assert int(answer.headers["Tus-Max-Size"]) > 0


def test_a_head_says_offset_length_and_expiry_and_is_not_cached(client: httpx.Client, uploading: Uploading) -> None:
    location = uploading.begun(uploading.draft(), "talk.mp4", 10)
    uploading.send(location, b"abc")
    answer = client.head(location, headers=TUS)
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("3", "10")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Upload-Expires"].endswith("GMT")
    assert b64encode(b"talk.mp4").decode() in answer.headers["Upload-Metadata"]


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE", "POST"])
def test_another_version_of_the_protocol_is_refused(client: httpx.Client, uploading: Uploading, method: str) -> None:
    location = uploading.begun(uploading.draft(), "talk.mp4", 10)
    answer = client.request(method, "/api/v1/uploads" if method == "POST" else location, headers={"Tus-Resumable": "0.2.2"})
    assert answer.status_code == 412
    assert answer.headers["Tus-Version"] == "1.0.0"


def test_a_request_of_another_type_is_refused(client: httpx.Client, uploading: Uploading) -> None:
    location = uploading.begun(uploading.draft(), "talk.mp4", 10)
    answer = client.patch(location, headers={**TUS, "Upload-Offset": "0", "Content-Type": "video/mp4"}, content=b"abc")
    assert answer.status_code == 415


def test_a_wrong_offset_is_refused_and_the_right_one_named(uploading: Uploading) -> None:
    location = uploading.begun(uploading.draft(), "talk.mp4", 10)
    uploading.send(location, b"abc")
    answer = uploading.send(location, b"defg", offset=0)
    assert answer.status_code == 409
    assert answer.json()["code"] == "offset_mismatch"
    assert answer.headers["Upload-Offset"] == "3"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert uploading.offset(location) == 3


def test_more_bytes_than_announced_are_refused(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    location = uploading.begun(draft, "talk.mp4", 10)
    assert uploading.send(location, b"x" * 11).status_code == 413
    assert uploading.offset(location) <= 10
    assert _video(inbox, draft).stat().st_size <= 10


@pytest.mark.family(3)
@pytest.mark.parametrize("header", ["", "-1", "abc", "1e3", "9" * 30])
def test_an_offset_that_is_no_number_is_refused(uploading: Uploading, header: str) -> None:
    location = uploading.begun(uploading.draft(), "talk.mp4", 10)
    answer = uploading.send(location, b"abc", Upload_Offset=header)
    assert answer.status_code == 422


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_part_with_a_wrong_checksum_does_not_count(uploading: Uploading, inbox: Path, algorithm: str) -> None:
    draft = uploading.draft()
    location = uploading.begun(draft, "talk.mp4", 6)
    assert uploading.send(location, b"abc", Upload_Checksum=_checksum(b"abc", algorithm)).status_code == 204
    answer = uploading.send(location, b"dxf", offset=3, Upload_Checksum=_checksum(b"def", algorithm))
    assert answer.status_code == 460
    assert uploading.offset(location) == 3
    assert uploading.send(location, b"def", offset=3, Upload_Checksum=_checksum(b"def", algorithm)).status_code == 204
    assert _video(inbox, draft).read_bytes() == b"abcdef"


@pytest.mark.family(3)
@pytest.mark.parametrize("value", ["md5 AAAA", "sha256 !!", "sha256 AAAA", "sha256", ""])
def test_a_checksum_that_is_none_is_refused(uploading: Uploading, value: str) -> None:
    location = uploading.begun(uploading.draft(), "talk.mp4", 6)
    assert uploading.send(location, b"abc", Upload_Checksum=value).status_code == 422


def test_what_arrived_before_a_cut_counts_and_the_rest_makes_the_same_file(address: str, uploading: Uploading, inbox: Path) -> None:
    content = _bytes(9 * MIB + 5)
    draft = uploading.draft()
    location = uploading.begun(draft, "talk.mp4", len(content))
    with _begun_request(address, location, length=len(content)) as connection:
        connection.sendall(content[: 6 * MIB])
        _until(lambda: uploading.offset(location) >= 5 * MIB)
    assert 5 * MIB <= uploading.offset(location) <= 6 * MIB
    # What lay in the socket when it was cut may still be on its way to the disk: then a client asks again.
    _until(lambda: uploading.send(location, content[(at := uploading.offset(location)) :], at).status_code == 204)
    assert hashlib.sha256(_video(inbox, draft).read_bytes()).digest() == hashlib.sha256(content).digest()


def test_a_connection_that_is_cut_gives_its_upload_free_at_once(address: str, uploading: Uploading) -> None:
    location = uploading.begun(uploading.draft(), "talk.mp4", 4 * MIB)
    with _begun_request(address, location, length=4 * MIB) as connection:
        connection.sendall(b"x" * (2 * MIB))
        _until(lambda: uploading.offset(location) >= MIB)
        assert uploading.send(location, b"y", uploading.offset(location)).status_code == 423
    began = time.monotonic()
    _until(lambda: uploading.send(location, b"y", uploading.offset(location)).status_code == 204)
    assert time.monotonic() - began < upload_locks.SILENT_SECONDS - 0.5, "it waits for that one to be silent"


def test_a_part_with_a_checksum_that_is_cut_does_not_count(address: str, uploading: Uploading, inbox: Path) -> None:
    content = _bytes(4 * MIB)
    draft = uploading.draft()
    location = uploading.begun(draft, "talk.mp4", len(content))
    more = f"Upload-Checksum: {_checksum(content)}\r\n"
    with _begun_request(address, location, length=len(content), more=more) as connection:
        connection.sendall(content[: 3 * MIB])
        _until(lambda: _video(inbox, draft).exists() and _video(inbox, draft).stat().st_size >= 2 * MIB)
        assert uploading.offset(location) == 0
    _until(lambda: uploading.send(location, content, Upload_Checksum=_checksum(content)).status_code == 204)
    assert _video(inbox, draft).read_bytes() == content


def test_bytes_that_no_checksum_has_proven_do_not_count_after_a_crash(uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    location = uploading.begun(draft, "talk.mp4", 6)
    uploading.send(location, b"abc")
    with _video(inbox, draft).open("ab") as file:
        file.write(b"xxx")
    (inbox / ".heygem-uploads" / draft / f"{location.rpartition('/')[2]}.offset").write_text("3")
    assert uploading.offset(location) == 3
    assert uploading.send(location, b"def", 3).status_code == 204
    assert _video(inbox, draft).read_bytes() == b"abcdef"


def test_a_connection_that_died_without_a_word_gives_way(address: str, uploading: Uploading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_locks, "SILENT_SECONDS", 0.3)
    content = _bytes(4 * MIB)
    location = uploading.begun(uploading.draft(), "talk.mp4", len(content))
    with _begun_request(address, location, length=len(content)) as connection:
        connection.sendall(content[: 2 * MIB + 10])
        _until(lambda: uploading.offset(location) >= MIB)
        _until(lambda: uploading.send(location, content[(at := uploading.offset(location)) :], at).status_code == 204)
    assert uploading.offset(location) == len(content)


def test_a_restart_of_the_page_forgets_nothing(uploading: Uploading, settings: Settings, inbox: Path) -> None:
    draft = uploading.draft()
    location = uploading.begun(draft, "talk.mp4", 6)
    uploading.send(location, b"abc")
    with serving(create_app(settings)) as address, httpx.Client(base_url=address) as client:
        again = Uploading(client)
        assert again.offset(location) == 3
        assert again.send(location, b"def", 3).status_code == 204
        assert again.files(draft) == {"talk.mp4": "talk.mp4"}
    assert _video(inbox, draft).read_bytes() == b"abcdef"


def test_a_deleted_upload_is_gone(client: httpx.Client, uploading: Uploading, inbox: Path) -> None:
    draft = uploading.draft()
    location = uploading.put(draft, "talk.mp4", b"abc")
    assert client.delete(location, headers=TUS).status_code == 204
    assert client.head(location, headers=TUS).status_code == 404
    assert not _video(inbox, draft).exists()
    assert uploading.files(draft) == {}


def test_clients_behind_narrow_proxies_name_the_method_in_a_header(client: httpx.Client, uploading: Uploading) -> None:
    location = uploading.begun(uploading.draft(), "talk.mp4", 3)
    headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream", "X-HTTP-Method-Override": "PATCH"}
    assert client.post(location, headers=headers, content=b"abc").status_code == 204
    assert client.post(location, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert client.head(location, headers=TUS).status_code == 404


def test_uploads_and_drafts_of_others_do_not_exist(app: FastAPI, client: httpx.Client, uploading: Uploading) -> None:
    def call_as(name: str) -> None:
        app.dependency_overrides[caller_of] = lambda: Caller(name=name, is_admin=False)

    call_as("anna")
    draft = uploading.draft()
    location = uploading.begun(draft, "talk.mp4", 3)
    call_as("bob")
    assert client.head(location, headers=TUS).status_code == 404
    assert uploading.send(location, b"abc").status_code == 404
    assert client.delete(location, headers=TUS).status_code == 404
    assert client.get(f"/api/v1/drafts/{draft}").status_code == 404
    assert client.delete(f"/api/v1/drafts/{draft}").status_code == 404
    assert uploading.begin(draft, "talk.mp4", 3).status_code == 404
    assert uploading.job(draft=draft).status_code == 404
    call_as("anna")
    assert uploading.send(location, b"abc").status_code == 204


@pytest.mark.family(3)
@pytest.mark.parametrize("upload_id", ["x", "..", "%2e%2e%2fdraft.json", "0" * 32, f"{'0' * 32}-{'0' * 16}", "Z" * 49])
def test_ids_that_are_none_do_not_exist(client: httpx.Client, upload_id: str) -> None:
    assert client.head(f"/api/v1/uploads/{upload_id}", headers=TUS).status_code == 404


def test_nothing_is_written_through_a_link_that_takes_the_place_of_an_upload(uploading: Uploading, inbox: Path, tmp_path: Path) -> None:
    draft = uploading.draft()
    location = uploading.begun(draft, "talk.mp4", 3)
    (tmp_path / "victim").write_bytes(b"mine")
    _video(inbox, draft).symlink_to(tmp_path / "victim")
    assert uploading.send(location, b"abc").status_code == 500
    _video(inbox, draft).unlink()
    _video(inbox, draft).parent.rmdir()
    _video(inbox, draft).parent.symlink_to(tmp_path)
    (tmp_path / "talk.mp4").write_bytes(b"")
    assert uploading.send(location, b"abc").status_code >= 400
    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert (tmp_path / "talk.mp4").read_bytes() == b""


def test_a_disk_that_fills_is_reported_and_the_upload_goes_on_later(uploading: Uploading, monkeypatch: pytest.MonkeyPatch) -> None:
    content = _bytes(3 * MIB)
    location = uploading.begun(uploading.draft(), "talk.mp4", len(content))
    write = tus.write_blocks

    def full(descriptor: int, blocks: Sequence[bytes], offset: int) -> None:
        if offset >= MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor, blocks, offset)

    monkeypatch.setattr(tus, "write_blocks", full)
    answer = uploading.send(location, content)
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    offset = uploading.offset(location)
    assert offset >= MIB
    monkeypatch.undo()
    assert uploading.send(location, content[offset:], offset).status_code == 204


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder))
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


def test_an_upload_goes_on_when_a_full_disk_has_room_again(settings: Settings, small_disk: Path) -> None:
    (small_disk / MARKER).touch()
    content = _bytes(3 * MIB)
    site = settings.model_copy(update={"inboxes": (Inbox(path=small_disk),)})
    with serving(create_app(site)) as address, httpx.Client(base_url=address, timeout=20) as client:
        uploading = Uploading(client)
        draft = uploading.draft()
        location = uploading.begun(draft, "talk.mp4", len(content))
        (small_disk / "filler").write_bytes(bytes(2 * MIB))
        answer = uploading.send(location, content)
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        offset = uploading.offset(location)
        assert 0 < offset < len(content)
        assert uploading.begin(draft, "more.mp4", 10).status_code == 507
        (small_disk / "filler").unlink()
        assert uploading.send(location, content[offset:], offset).status_code == 204
        assert _video(small_disk, draft).read_bytes() == content


def test_a_share_that_hangs_in_mid_upload_stops_nothing_else(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = settings.model_copy(update={"intake": Intake(answer_seconds=3)})
    thawed, write = Event(), tus.write_blocks

    def hang(descriptor: int, blocks: Sequence[bytes], offset: int) -> None:
        thawed.wait(20)
        write(descriptor, blocks, offset)

    monkeypatch.setattr(tus, "write_blocks", hang)
    with serving(create_app(impatient)) as address, httpx.Client(base_url=address, timeout=20) as client:
        uploading = Uploading(client)
        location = uploading.begun(uploading.draft(), "talk.mp4", 3)
        answer = uploading.send(location, b"abc")
        assert (answer.status_code, answer.json()["code"]) == (503, "share_timeout")
        assert uploading.draft(inbox=1)
        assert uploading.send(location, b"abc").status_code == 423
        thawed.set()
        _until(lambda: uploading.offset(location) == 3)
