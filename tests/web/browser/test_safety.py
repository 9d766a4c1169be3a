"""What must be refused: pages of others, names that are not the server's, paths out of a job's folder, other people's jobs."""

import http.client
import json
import os
import zipfile
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest

from tests.web.browser.conftest import MakeSite, OpenWindow
from tests.web.browser.interface import CONSENT, TUS, log_in, make_job, metadata, names, upload
from tests.web.browser.web_site import WebSite

pytestmark = pytest.mark.web

SENTENCE: Final = "what nobody may read"
CLIMBS: Final = (
    "../../heygem.toml",
    "..%2f..%2fheygem.toml",
    "%2e%2e/%2e%2e/heygem.toml",
    "..%5c..%5cheygem.toml",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "thumbnails/../../status.json",
    "lesson.zip%00.mp4",
    ".heygem-log.jsonl/../../secret.txt",
)
OUTSIDE: Final = ("..", ".", "", "../../outside.mp4", "/etc/outside.mp4", "..\\outside.mp4", "out\0side.mp4", "x" * 300 + ".mp4")


def ask(site: WebSite, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    """Make a request exactly as written: no client tidies the path or the headers."""
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)) as connection:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_pages_of_other_origins_change_nothing(finished: WebSite) -> None:
    with finished.client({"Origin": "https://elsewhere.example"}) as stranger:
        for method, path in (("POST", "/drafts"), ("POST", "/queue/pause"), ("POST", "/jobs/lesson/retry"), ("POST", "/uploads")):
            answer = stranger.request(method, path, json={})
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin"), path
    assert not (finished.inbox / "PAUSE").exists()
    assert not finished.uploads()
    with finished.client({"Origin": finished.address}) as own:
        assert own.post("/drafts", json={}).status_code == 201


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "localhost.elsewhere.example:7860", ""])
def test_a_name_that_is_not_the_servers_own_is_refused_on_every_path(finished: WebSite, host: str) -> None:
    for path in ("/", "/api/v1/jobs", "/static/app.css", "/api/openapi.json"):
        status, body = ask(finished, "GET", path, Host=host)
        assert status in {400, 421}, path
        assert b"lesson" not in body


@pytest.mark.parametrize("path", CLIMBS)
@pytest.mark.parametrize("job", ["lesson", "..", "%2e%2e", "."])
def test_no_path_leads_out_of_the_folder_of_a_job(finished: WebSite, job: str, path: str) -> None:
    (finished.outputs / "secret.txt").write_text(SENTENCE)
    for where in (f"/api/v1/jobs/{job}/files/{path}", f"/api/v1/jobs/{job}/sources/{path}", f"/static/{path}"):
        status, body = ask(finished, "GET", where)
        assert status in {400, 404, 405, 422}, where
        assert SENTENCE.encode() not in body
        assert b"root:" not in body
        assert b"settle_seconds" not in body


def test_links_in_outputs_are_not_followed(finished: WebSite, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SENTENCE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    status = json.loads((finished.outputs / "lesson" / "status.json").read_text())
    status |= {"job": "linked-in", "output": "linked", "name": "linked"}
    (elsewhere / "status.json").write_text(json.dumps(status))
    (elsewhere / "secret.txt").write_text(SENTENCE)
    links = {
        finished.outputs / "lesson" / "secret.txt": secret,
        finished.outputs / "lesson" / "portrait-2.mp4": secret,
        finished.outputs / "lesson" / "folder": tmp_path,
        finished.outputs / "linked": elsewhere,
    }
    for link, target in links.items():
        link.symlink_to(target)
    os.link(secret, finished.outputs / "lesson" / "hard.txt")
    try:
        with finished.client() as client:
            for path in ("secret.txt", "portrait-2.mp4", "folder/secret.txt", "hard.txt"):
                assert client.get(f"/jobs/lesson/files/{path}").status_code == 404, path
            assert client.get("/jobs/linked-in").status_code == 404
            assert client.get("/jobs/linked/files/secret.txt").status_code == 404
            with zipfile.ZipFile(BytesIO(client.get("/jobs/lesson/zip").content)) as bundle:
                assert all(SENTENCE.encode() not in bundle.read(name) for name in bundle.namelist())
    finally:
        for link in links:
            link.unlink()
        (finished.outputs / "lesson" / "hard.txt").unlink()


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_of_an_upload_leads_out_of_its_draft(finished: WebSite, name: str) -> None:
    with finished.client() as client:
        draft = client.post("/drafts", json={}).json()["draft"]
        headers = {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata(draft, name, "video")}
        made = client.post("/uploads", headers=headers)
        assert made.status_code in {201, 400, 415, 422}, made.text
        for upload in client.get(f"/drafts/{draft}").json()["uploads"]:
            assert "/" not in upload["stored"]
            assert len(upload["stored"].encode()) <= 255
        assert client.delete(f"/drafts/{draft}").is_success
    assert not list(finished.folder.rglob("*outside*"))
    assert not list(Path("/etc").glob("*outside*"))


# -- users -------------------------------------------------------------------------------------------------------------


def add_people(site: WebSite) -> None:
    site.add_user("ann", "password of ann")
    site.add_user("ben", "password of ben")
    site.add_user("chief", "password of chief", "--admin")


def test_each_user_has_only_his_own_jobs_and_an_administrator_has_all(
    make_site: MakeSite, open_window: OpenWindow, speech: Path, portrait_clip: Path
) -> None:
    site = make_site()
    add_people(site)
    site.start_page()
    with site.client() as nobody:
        for path in ("/jobs", "/events", "/system", "/options"):
            assert nobody.get(path).status_code == 401, path
    site.start()
    with log_in(site, "ann") as ann, log_in(site, "ben") as ben, log_in(site, "chief") as chief:
        make_job(ann, "of-ann", speech, [portrait_clip])
        make_job(ben, "of-ben", speech, [portrait_clip])
        site.drop("by-share", speech, [portrait_clip])
        for name in ("of-ann", "of-ben", "by-share"):
            site.wait_for_state(name, "succeeded", timeout=300)
        assert site.status("of-ann")["owner"] == "ann"
        assert names(ann) == {"of-ann"}
        assert names(ben) == {"of-ben"}
        assert names(chief) == {"of-ann", "of-ben", "by-share"}
        identity = site.status("of-ann")["job"]
        item = site.status("of-ann")["items"][0]
        readings = ("", "/log", "/zip", f"/files/{item['output']}", f"/files/{item['thumbnail']}", f"/sources/{item['key']}")
        for job in (identity, "of-ann"):
            for path in readings:
                assert ben.get(f"/jobs/{job}{path}").status_code == 404, path
            for verb in ("cancel", "hold", "resume", "retry"):
                assert ben.post(f"/jobs/{job}/{verb}").status_code == 404, verb
            assert ben.put(f"/jobs/{job}/priority", json={"priority": 1}).status_code == 404
        for path in readings:
            assert ann.get(f"/jobs/{identity}{path}").is_success, path
            assert chief.get(f"/jobs/{identity}{path}").is_success, path
        assert ben.post("/queue/pause", json={}).status_code == 403

    window = open_window(site)
    window.go("/history")
    window.page.get_by_label("Name").fill("ben")
    window.page.get_by_label("Password").fill("password of ben")
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/history")
    window.page.get_by_text("of-ben").first.wait_for()
    assert window.page.get_by_text("of-ann").count() == 0


def test_another_users_unfinished_upload_cannot_be_touched(make_site: MakeSite, speech: Path) -> None:
    site = make_site()
    add_people(site)
    site.start_page()
    with log_in(site, "ann") as ann, log_in(site, "ben") as ben:
        draft = ann.post("/drafts", json={}).json()["draft"]
        place = upload(ann, draft, speech, "recording")
        tus = {"Tus-Resumable": "1.0.0"}
        assert ben.head(place, headers=tus).status_code == 404
        assert ben.delete(place, headers=tus).status_code == 404
        assert ben.get(f"/drafts/{draft}").status_code == 404
        assert ben.delete(f"/drafts/{draft}").status_code == 404
        assert ben.post("/jobs", json={"name": "stolen", "draft": draft, "consent": CONSENT}).status_code == 404
        assert ann.get(f"/drafts/{draft}").is_success
