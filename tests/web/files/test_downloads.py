"""Results, thumbnails, sources and ZIPs over real HTTP."""

import asyncio
import io
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest

from heygem_daemon.settings import Settings
from heygem_daemon.web.app import create_app
from heygem_daemon.web.files import sources
from heygem_daemon.web.files.open_files import CHUNK, BrokenStreamError
from heygem_daemon.web.files.ranges import content_disposition
from heygem_daemon.web.files.zip_stream import Member, zip_length, zip_parts
from tests.web.finished_job import archive_inputs, await_job, put_job
from tests.web.serving import serving

JOB = "20261122-231500-lesson-01-k3f9"
BYTES = bytes(range(256)) * 8192
RESULT = f"/api/v1/jobs/{JOB}/files/teacher.mp4"


@pytest.fixture
def job(outputs: Path) -> Path:
    """The folder of a job with one result of 2 MiB."""
    put_job(outputs, files={"teacher.mp4": BYTES})
    return outputs / "lesson-01"


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """A client of the page, which has seen the job that was put into outputs before."""
    with httpx.Client(base_url=address, timeout=30) as client:
        await_job(client, JOB)
        yield client


Start = Callable[[], httpx.Client]


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Start:
    """Start the page once the folders are as they should be."""

    def started() -> httpx.Client:
        client = request.getfixturevalue("client")
        assert isinstance(client, httpx.Client)
        return client

    return started


# -- ranges ------------------------------------------------------------------------------------------------------------------


def test_a_result_is_downloaded_whole(job: Path, client: httpx.Client) -> None:
    answer = client.get(RESULT)
    assert answer.status_code == 200
    assert answer.content == BYTES
    assert answer.headers["content-length"] == str(len(BYTES))
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("inline")


@pytest.mark.family(3)
@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=-1", len(BYTES) - 1, len(BYTES)),
        ("bytes=-99999999999", 0, len(BYTES)),
        ("bytes=1000-", 1000, len(BYTES)),
        (f"bytes=10-{10**30}", 10, len(BYTES)),
        (f"bytes={CHUNK - 1}-{CHUNK}", CHUNK - 1, CHUNK + 1),
        ("Bytes = 3 - 4", 3, 5),
    ],
)
def test_a_range_is_that_part_of_the_file(job: Path, client: httpx.Client, wanted: str, start: int, end: int) -> None:
    answer = client.get(RESULT, headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == BYTES[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BYTES)}"


@pytest.mark.parametrize("wanted", [f"bytes={len(BYTES)}-", "bytes=999999999999999999999-", "bytes=-0", f"bytes={'9' * 5000}-"])
def test_a_range_beyond_the_end_is_416_with_the_size(job: Path, client: httpx.Client, wanted: str) -> None:
    answer = client.get(RESULT, headers={"Range": wanted})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(BYTES)}"


@pytest.mark.family(3)
@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=0-1,5-6",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(5000)),
        "bytes=9-5",
        "bytes=a-b",
        "bytes",
        "bytes=-",
        "items=0-1",
        "bytes=٣-٤",
    ],
)
def test_several_ranges_and_what_is_none_get_the_whole(job: Path, client: httpx.Client, wanted: str) -> None:
    answer = client.get(RESULT, headers={b"Range": wanted.encode()})
    assert answer.status_code == 200
    assert len(answer.content) == len(BYTES)


def test_head_is_the_same_without_the_bytes(job: Path, client: httpx.Client) -> None:
    whole, head = client.get(RESULT), client.head(RESULT, headers={"Range": "bytes=0-0"})
    assert head.status_code == 200
    assert head.content == b""
    names = ("content-length", "etag", "last-modified", "accept-ranges", "content-type", "content-disposition")
    assert [head.headers[name] for name in names] == [whole.headers[name] for name in names]


def test_conditions_are_kept(job: Path, client: httpx.Client) -> None:
    first = client.get(RESULT)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    old = formatdate(0, usegmt=True)

    def status(**headers: str) -> int:
        return client.get(RESULT, headers={name.replace("_", "-"): value for name, value in headers.items()}).status_code

    assert status(if_none_match=etag) == 304
    assert status(if_none_match=f'"x", W/{etag}') == 304
    assert status(if_none_match='"x"') == 200
    assert status(if_modified_since=modified) == 304
    assert status(if_modified_since=old) == 200
    assert status(if_modified_since="yesterday") == 200
    assert status(if_match='"x"') == 412
    assert status(if_match=etag) == 200
    assert status(if_unmodified_since=old) == 412
    assert status(if_range=etag, range="bytes=0-0") == 206
    assert status(if_range=modified, range="bytes=0-0") == 206
    assert status(if_range='"x"', range="bytes=0-0") == 200
    assert status(if_range=f"W/{etag}", range="bytes=0-0") == 200


def test_a_changed_file_has_another_etag_so_that_no_download_is_sewn_from_two(job: Path, client: httpx.Client) -> None:
    etag = client.head(RESULT).headers["etag"]
    (job / "teacher.mp4").write_bytes(BYTES[::-1])
    answer = client.get(RESULT, headers={"Range": "bytes=100-", "If-Range": etag})
    assert answer.status_code == 200
    assert answer.content == BYTES[::-1]


def test_an_empty_file_is_empty(outputs: Path, start: Start) -> None:
    put_job(outputs, files={"teacher.mp4": b""})
    client = start()
    assert client.get(RESULT).content == b""
    assert client.get(RESULT, headers={"Range": "bytes=0-"}).status_code == 416
    assert client.get(RESULT, headers={"Range": "bytes=-5"}).status_code == 200


def test_the_end_of_a_file_of_two_hundred_gigabytes_comes_at_once(job: Path, client: httpx.Client) -> None:
    size = 200 * 2**30
    with (job / "teacher.mp4").open("r+b") as file:
        file.truncate(size)
        file.seek(size * 8 // 10)
        file.write(b"here")
    began = time.monotonic()
    answer = client.get(RESULT, headers={"Range": f"bytes={size * 8 // 10}-{size * 8 // 10 + 3}"})
    assert answer.content == b"here"
    assert time.monotonic() - began < 5, "to read what lies before it takes longer"


# -- names -------------------------------------------------------------------------------------------------------------------


@pytest.mark.family(3)
@pytest.mark.parametrize(
    "name",
    [
        "plain.mp4",
        "<img src=x onerror=alert(1)>.mp4",
        'a"; filename="evil.exe.mp4',
        "50%41 \\ back.mp4",
        "老师 早上好.mp4",
        "\u202egnp.mp4",
        "é" * 120 + ".mp4",
        "semi;colon, comma='quote'.mp4",
    ],
)
def test_a_download_has_the_name_of_the_result_however_odd(outputs: Path, start: Start, name: str) -> None:
    put_job(outputs, files={name: b"video"})
    client = start()
    answer = client.get(f"/api/v1/jobs/{JOB}/files/{quote(name)}", params={"download": "1"})
    assert answer.status_code == 200, answer.text
    header = answer.headers["content-disposition"]
    found = re.fullmatch(r"attachment; filename=\"([^\"\\]*)\"; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]+)", header)
    assert found, header
    assert unquote(found[2]) == name
    assert "set-cookie" not in answer.headers


def test_no_name_can_add_a_header() -> None:
    header = content_disposition("a\r\nSet-Cookie: b=c\0.mp4", download=True)
    assert header == "attachment; filename=\"a__Set-Cookie: b=c_.mp4\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b%3Dc%00.mp4"


def test_only_known_types_are_shown_others_are_saved(outputs: Path, start: Start) -> None:
    put_job(outputs, files={"page.html": b"<script>", "drawing.svg": b"<svg>"}, extra={"thumbnail": "thumbnails/a.jpg"})
    (outputs / "lesson-01" / "thumbnails").mkdir()
    (outputs / "lesson-01" / "thumbnails" / "a.jpg").write_bytes(b"jpeg")
    client = start()
    for name in ("page.html", "drawing.svg"):
        answer = client.get(f"/api/v1/jobs/{JOB}/files/{name}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
    assert client.get(f"/api/v1/jobs/{JOB}/files/thumbnails/a.jpg").headers["content-type"] == "image/jpeg"


# -- what is not handed out ----------------------------------------------------------------------------------------------------


def raw_get(address: str, target: str) -> bytes:
    """Send a request line as it is; clients would tidy it up."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        link.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = b""
        while part := link.recv(65536):
            answer += part
    return answer


@pytest.mark.family(4)
@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "%2e%2e%2fsecret.txt",
        "%252e%252e%252fsecret.txt",
        "..%5csecret.txt",
        "..\\secret.txt",
        "..%c0%afsecret.txt",
        "%c0%ae%c0%ae/secret.txt",
        "teacher.mp4%00.jpg",
        "teacher.mp4/..",
        "teacher.mp4/",
        "./teacher.mp4",
        "/teacher.mp4",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "status.json",
        ".heygem-log.jsonl",
        "notes.txt",
        "thumbnails/../teacher.mp4",
        "",
    ],
)
def test_nothing_but_what_the_status_names_is_handed_out(job: Path, outputs: Path, client: httpx.Client, address: str, path: str) -> None:
    (outputs / "secret.txt").write_text("secret")
    (job / "notes.txt").write_text("secret")
    (job / ".heygem-log.jsonl").write_text("secret")
    answer = raw_get(address, f"/api/v1/jobs/{JOB}/files/{path}")
    assert answer.split()[1] in {b"404", b"400"}
    assert b"secret" not in answer
    assert b"root:" not in answer


@pytest.mark.family(3)
@pytest.mark.parametrize("path", ["../other/teacher.mp4", "/etc/passwd", "../../secret", "thumbnails/../../secret", "a\0b", ".hidden", ""])
def test_a_forged_status_opens_nothing_outside_its_folder(outputs: Path, start: Start, path: str) -> None:
    put_job(outputs, files={"teacher.mp4": b"x"}, extra={"explain": path}, links={"zip": path})
    (outputs / "other").mkdir()
    (outputs / "other" / "teacher.mp4").write_bytes(b"of another")
    (outputs / "lesson-01" / ".hidden").write_text("hidden")
    client = start()
    answer = client.get(f"/api/v1/jobs/{JOB}/files/{quote(path, safe='')}")
    assert answer.status_code == 404


def _link(target: Path, place: Path) -> None:
    place.symlink_to(target)


def _pipe(_target: Path, place: Path) -> None:
    os.mkfifo(place)


def _folder(_target: Path, place: Path) -> None:
    place.mkdir()


def _socket(_target: Path, place: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(place.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("put", [_link, _pipe, _folder, _socket])
def test_what_is_no_regular_file_is_not_there(job: Path, tmp_path: Path, client: httpx.Client, put: object) -> None:
    (tmp_path / "secret").write_text("secret")
    (job / "teacher.mp4").unlink()
    assert callable(put)
    put(tmp_path / "secret", job / "teacher.mp4")
    assert client.get(RESULT).status_code == 404
    assert client.get(f"/api/v1/jobs/{JOB}/zip").status_code == 404


def test_a_link_in_place_of_a_folder_is_not_followed(outputs: Path, tmp_path: Path, start: Start) -> None:
    put_job(outputs, files={"day/teacher.mp4": b"x"})
    client = start()
    address = f"/api/v1/jobs/{JOB}/files/day/teacher.mp4"
    assert client.get(address).status_code == 200
    shutil.move(outputs / "lesson-01" / "day", tmp_path / "day")
    (outputs / "lesson-01" / "day").symlink_to(tmp_path / "day")
    assert client.get(address).status_code == 404
    shutil.move(outputs / "lesson-01", tmp_path / "moved")
    (outputs / "lesson-01").symlink_to(tmp_path / "moved")
    assert client.get(address).status_code == 404


def test_a_link_put_in_the_place_of_a_file_in_mid_download_changes_nothing(job: Path, tmp_path: Path, client: httpx.Client) -> None:
    (tmp_path / "secret").write_bytes(b"secret" * 500_000)
    with client.stream("GET", RESULT) as answer:
        parts = answer.iter_raw(1000)
        received = next(parts)
        (job / "teacher.mp4").unlink()
        (job / "teacher.mp4").symlink_to(tmp_path / "secret")
        received += b"".join(parts)
    assert received == BYTES


def test_swapping_a_link_in_and_out_all_the_time_gives_no_secret_away(job: Path, tmp_path: Path, client: httpx.Client) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    shutil.copy(job / "teacher.mp4", tmp_path / "copy")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (job / "link").symlink_to(tmp_path / "secret")
            (job / "link").replace(job / "teacher.mp4")
            shutil.copy(tmp_path / "copy", job / "file")
            (job / "file").replace(job / "teacher.mp4")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        answers = [client.get(RESULT) for _ in range(60)]
    finally:
        stop.set()
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert all(answer.content == BYTES for answer in answers if answer.status_code == 200)


# -- a download that cannot be finished ----------------------------------------------------------------------------------------


def received(client: httpx.Client, address: str, when_begun: Callable[[], object]) -> int:
    """Download something, and do something else after its first part; return how many bytes came."""
    with client.stream("GET", address) as answer:
        parts = answer.iter_raw()
        count = len(next(parts))
        when_begun()
        return count + sum(len(part) for part in parts)


def test_a_file_that_becomes_shorter_cuts_the_connection(job: Path, client: httpx.Client) -> None:
    with (job / "teacher.mp4").open("r+b") as file:
        file.truncate(40 * 2**20)
    with pytest.raises(httpx.RemoteProtocolError):
        received(client, RESULT, lambda: os.truncate(job / "teacher.mp4", 1000))


def test_a_share_that_freezes_in_mid_download_ends_that_answer_and_not_the_page(
    settings: Settings, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, thaw = threading.Event(), threading.Event()
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if offset >= CHUNK:
            frozen.set()
            thaw.wait(30)
        return real(descriptor, size, offset)

    monkeypatch.setattr("os.pread", pread)
    quick = settings.model_copy(update={"intake": settings.intake.model_copy(update={"answer_seconds": 0.3})})
    put_job(outputs, files={"teacher.mp4": BYTES})
    try:
        with serving(create_app(quick)) as address, httpx.Client(base_url=address, timeout=20) as client:
            await_job(client, JOB)
            with pytest.raises(httpx.RemoteProtocolError):
                client.get(RESULT)
            assert frozen.is_set()
            assert client.get("/api/v1/me").status_code == 200
    finally:
        thaw.set()


def descriptors() -> set[str]:
    """Return what this process has open in outputs and inboxes."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(str(Path("/proc/self/fd", name).readlink()))
        except OSError:
            continue
    return {path for path in found if path.endswith((".mp4", ".mov"))}


def test_a_client_that_hangs_up_leaves_no_file_open(job: Path, client: httpx.Client) -> None:
    with (job / "teacher.mp4").open("r+b") as file:
        file.truncate(100 * 2**20)
    for _ in range(3):
        with client.stream("GET", RESULT) as answer:
            next(answer.iter_raw(1000))
    until = time.monotonic() + 10
    while descriptors():
        assert time.monotonic() < until, descriptors()
        time.sleep(0.05)


# -- sources -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["_done", "_failed"])
def test_the_dropped_video_is_found_among_the_archived_inputs(outputs: Path, inbox: Path, start: Start, to: str) -> None:
    put_job(outputs, files={"teacher.mp4": b"x"}, video="videos/teacher.mov", inbox=str(inbox))
    archive_inputs(inbox, "another-job", files={"videos/teacher.mov": b"of another job"}, to=to)
    archive_inputs(inbox, JOB, name="lesson-01-2", files={"videos/teacher.mov": BYTES}, to=to)
    client = start()
    answer = client.get(f"/api/v1/jobs/{JOB}/sources/teacher", headers={"Range": "bytes=1-3"})
    assert (answer.status_code, answer.content) == (206, BYTES[1:4])
    assert answer.headers["content-type"] == "video/quicktime"


def test_the_source_of_an_open_job_is_found_where_it_is_claimed(outputs: Path, inbox: Path, start: Start) -> None:
    put_job(outputs, files={"teacher.mp4": b"x"})
    claimed = inbox / ".heygem" / "claimed" / JOB / "lesson-01"
    claimed.mkdir(parents=True)
    (claimed / "teacher.mov").write_bytes(b"source")
    client = start()
    assert client.get(f"/api/v1/jobs/{JOB}/sources/teacher").content == b"source"
    shutil.rmtree(inbox / ".heygem")
    archive_inputs(inbox, JOB, files={"teacher.mov": b"archived"})
    assert client.get(f"/api/v1/jobs/{JOB}/sources/teacher").content == b"archived"


def test_a_flat_drop_and_a_key_with_a_folder_have_their_sources(outputs: Path, second_inbox: Path, start: Start) -> None:
    put_job(outputs, files={"monday/teacher.mp4": b"x"})
    claimed = second_inbox / ".heygem" / "claimed" / JOB
    (claimed / "flat").mkdir(parents=True)
    (claimed / ".flat").touch()
    (claimed / "flat" / "teacher.mov").write_bytes(b"source")
    client = start()
    assert client.get(f"/api/v1/jobs/{JOB}/sources/monday/teacher").content == b"source"


@pytest.mark.parametrize("name", ["line\nbreak.mov", "\u202egnp.mov", "老师.mov", "back\\slash.mov", "%2e%2e.mov"])
def test_a_source_with_an_odd_name_is_found_by_what_the_status_shows(outputs: Path, inbox: Path, start: Start, name: str) -> None:
    put_job(outputs, files={"teacher.mp4": b"x"}, video=name)
    archive_inputs(inbox, JOB, files={name: b"odd", "other.mov": b"other"})
    client = start()
    answer = client.get(f"/api/v1/jobs/{JOB}/sources/teacher", params={"download": "1"})
    assert answer.content == b"odd"
    assert unquote(answer.headers["content-disposition"].partition("''")[2]) == name


def test_a_source_whose_name_is_no_utf8_is_found(outputs: Path, inbox: Path, start: Start) -> None:
    raw = b"caf\xe9.mov"
    put_job(outputs, files={"teacher.mp4": b"x"}, video=raw.decode("utf-8", "surrogateescape"))
    archive_inputs(inbox, JOB, files={raw: b"latin"})
    client = start()
    answer = client.get(f"/api/v1/jobs/{JOB}/sources/teacher")
    assert answer.content == b"latin"
    assert answer.headers["content-disposition"].endswith("caf%E9.mov")


@pytest.mark.family(3)
@pytest.mark.parametrize("video", ["../../secret", "/etc/passwd", "..", ".heygem-job.json", "link.mov", "pipe.mov"])
def test_no_source_lies_outside_the_drop(outputs: Path, inbox: Path, tmp_path: Path, start: Start, video: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (inbox / "secret").write_text("secret")
    put_job(outputs, files={"teacher.mp4": b"x"}, video=video)
    folder = archive_inputs(inbox, JOB, files={"a.mov": b"x"})
    (folder / "link.mov").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe.mov")
    client = start()
    assert client.get(f"/api/v1/jobs/{JOB}/sources/teacher").status_code == 404


def test_archived_inputs_that_somebody_renamed_are_found(outputs: Path, inbox: Path, start: Start) -> None:
    put_job(outputs, files={"teacher.mp4": b"x"}, inbox=str(inbox))
    archive_inputs(inbox, "another-job", files={"teacher.mov": b"of another job"})
    archive_inputs(inbox, JOB, name="kept for later", files={"teacher.mov": b"renamed"})
    client = start()
    assert client.get(f"/api/v1/jobs/{JOB}/sources/teacher").content == b"renamed"


def test_inputs_that_are_gone_are_searched_for_among_all_folders_only_once(
    outputs: Path, inbox: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_into: list[str | None] = []
    real = sources._job_of

    def job_of(folder: int) -> str | None:
        looked_into.append(real(folder))
        return looked_into[-1]

    monkeypatch.setattr(sources, "_job_of", job_of)
    put_job(outputs, files={"teacher.mp4": b"x"}, inbox=str(inbox))
    for number in range(20):
        archive_inputs(inbox, f"job-{number}", name=f"other {number}", files={"teacher.mov": b"x"})
    client = start()
    for _ in range(3):
        assert client.get(f"/api/v1/jobs/{JOB}/sources/teacher").status_code == 404
    assert len(looked_into) == 20


def test_a_drop_that_is_a_link_and_a_job_id_that_is_a_path_have_no_source(outputs: Path, inbox: Path, tmp_path: Path, start: Start) -> None:
    elsewhere = tmp_path / "elsewhere"
    archive_inputs(tmp_path, JOB, to="elsewhere", files={"teacher.mov": b"secret"})
    (inbox / "_done").symlink_to(elsewhere)
    put_job(outputs, files={"teacher.mp4": b"x"})
    put_job(outputs, "../../x", output="forged", files={"teacher.mp4": b"x"})
    client = start()
    await_job(client, JOB)
    assert client.get(f"/api/v1/jobs/{JOB}/sources/teacher").status_code == 404
    assert client.get("/api/v1/jobs/forged/sources/teacher").status_code == 404


# -- ZIP ---------------------------------------------------------------------------------------------------------------------


def test_the_zip_holds_all_results_and_its_length_is_known(outputs: Path, tmp_path: Path, start: Start) -> None:
    files = {"teacher.mp4": BYTES, "老师.mp4": BYTES[:7], "a/b.mp4": b"", "a/teacher.mp4": BYTES[: CHUNK + 1]}
    put_job(outputs, files=files)
    client = start()
    answer = client.get(f"/api/v1/jobs/{JOB}/zip")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["content-type"] == "application/zip"
    assert "lesson-01.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        assert bundle.testzip() is None
        assert {name: bundle.read(name) for name in bundle.namelist()} == files
        assert all(info.compress_type == zipfile.ZIP_STORED for info in bundle.infolist())
    assert client.head(f"/api/v1/jobs/{JOB}/zip").headers["content-length"] == str(len(answer.content))
    if shutil.which("unzip"):
        (tmp_path / "all.zip").write_bytes(answer.content)
        done = subprocess.run(["unzip", "-t", tmp_path / "all.zip"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_results_that_are_gone_are_not_in_the_zip(outputs: Path, start: Start) -> None:
    put_job(outputs, files={"a.mp4": b"a", "b.mp4": b"b"})
    (outputs / "lesson-01" / "a.mp4").unlink()
    client = start()
    with zipfile.ZipFile(io.BytesIO(client.get(f"/api/v1/jobs/{JOB}/zip").content)) as bundle:
        assert bundle.namelist() == ["b.mp4"]


def test_no_name_in_a_zip_leads_elsewhere_on_another_system(outputs: Path, start: Start) -> None:
    files = {
        "x\\..\\Startup\\a.mp4": b"1",
        "x_.._Startup_a.mp4": b"2",
        "C:a.mp4": b"3",
        "c\\a.mp4": b"4",
        "a\nb.mp4": b"5",
        "d/e:f.mp4": b"6",
    }
    put_job(outputs, files=files)
    answer = start().get(f"/api/v1/jobs/{JOB}/zip")
    assert answer.headers["content-length"] == str(len(answer.content))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        found = {name: bundle.read(name) for name in bundle.namelist()}
    assert found == {
        "x_.._Startup_a-2.mp4": b"1",
        "x_.._Startup_a.mp4": b"2",
        "C_a.mp4": b"3",
        "c_a-2.mp4": b"4",
        "a_b.mp4": b"5",
        "d/e_f.mp4": b"6",
    }


@pytest.mark.parametrize("change", ["delete", "grow", "replace"])
def test_a_result_that_changes_while_it_is_packed_cuts_the_zip(outputs: Path, start: Start, change: str) -> None:
    put_job(outputs, files={"a.mp4": b"a", "b.mp4": b"bb"})
    with (outputs / "lesson-01" / "a.mp4").open("r+b") as file:
        file.truncate(40 * 2**20)
    client = start()
    last = outputs / "lesson-01" / "b.mp4"
    changes: dict[str, Callable[[], object]] = {
        "delete": last.unlink,
        "grow": lambda: last.write_bytes(b"bbb"),
        "replace": lambda: last.write_bytes(b"BB"),
    }
    with pytest.raises(httpx.RemoteProtocolError):
        received(client, f"/api/v1/jobs/{JOB}/zip", changes[change])


class Zeros:
    """A member of any size that is never in memory."""

    def __init__(self, size: int) -> None:
        self.size, self.mtime_ns = size, 10**18

    async def parts(self) -> AsyncIterator[bytes]:
        left, block = self.size, bytes(2**24)
        while left:
            yield block[: min(left, len(block))]
            left -= min(left, len(block))

    async def is_unchanged(self) -> bool:
        return True


async def length_of(sizes: dict[str, int]) -> tuple[int, int]:
    """Return the foretold and the real length of a ZIP."""
    members = [Member(name=name, size=size, mtime_ns=10**18) for name, size in sizes.items()]

    @asynccontextmanager
    async def opener(member: Member) -> AsyncIterator[Zeros]:
        yield Zeros(member.size)

    real = 0
    async for part in zip_parts(members, opener):  # type: ignore[arg-type]
        real += len(part)
    return zip_length(members), real


@pytest.mark.parametrize(
    "sizes",
    [
        {"a": 0},
        {"a" * 200: 1, "老师": 70_000, "z": 3},
        {f"{number}": number for number in range(300)},
        {"beyond": 3000, "after it": 5, "and another": 2500},
        {"just below": 1900, "just beyond": 2000, "at": 2048},
        {str(number): 100 for number in range(60)},
    ],
)
def test_the_length_is_right_beyond_the_limits_of_the_old_format(sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 2048)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 50)
    foretold, real = asyncio.run(length_of(sizes))
    assert foretold == real


def test_a_member_of_another_size_than_foretold_is_an_error() -> None:
    @asynccontextmanager
    async def opener(member: Member) -> AsyncIterator[Zeros]:
        yield Zeros(member.size + 1)

    async def run() -> None:
        async for _ in zip_parts([Member(name="a", size=5, mtime_ns=10**18)], opener):  # type: ignore[arg-type]
            pass

    with pytest.raises(BrokenStreamError, match="changed"):
        asyncio.run(run())
