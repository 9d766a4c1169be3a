"""The HTTP interface as a script uses it."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import httpx

from tests.web.browser.web_site import WebSite

CONSENT: Final = {"given": True, "by": "Tester"}
TUS: Final = {"Tus-Resumable": "1.0.0"}


@contextmanager
def log_in(site: WebSite, name: str) -> Iterator[httpx.Client]:
    """Yield a client with a session of this user, whose password is `password of NAME`."""
    with site.client() as client:
        answer = client.post("/session", json={"name": name, "password": f"password of {name}"})
        assert answer.is_success, answer.text
        yield client


def metadata(draft: str, name: str, role: str) -> str:
    """Return the Upload-Metadata of a file."""
    words = {"draft": draft, "name": name, "role": role}
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in words.items())


def upload(client: httpx.Client, draft: str, path: Path, role: str) -> str:
    """Upload a file in one piece; return its address."""
    made = client.post(
        "/uploads", headers={**TUS, "Upload-Length": str(path.stat().st_size), "Upload-Metadata": metadata(draft, path.name, role)}
    )
    assert made.status_code == 201, made.text
    place = urljoin(str(client.base_url), made.headers["Location"])
    about = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    assert client.patch(place, content=path.read_bytes(), headers=about).status_code == 204
    return place


def make_job(client: httpx.Client, name: str, recording: Path, videos: list[Path]) -> str:
    """Upload a drop and make a job of it; return the id that the interface gave it."""
    draft = client.post("/drafts", json={}).json()["draft"]
    upload(client, draft, recording, "recording")
    for video in videos:
        upload(client, draft, video, "video")
    made = client.post("/jobs", json={"name": name, "draft": draft, "consent": CONSENT})
    assert made.status_code == 201, made.text
    identity: str = made.json()["id"]
    return identity


def names(client: httpx.Client) -> set[str]:
    """Return the names of the jobs that this client sees."""
    return {job["name"] for job in client.get("/jobs").json()["jobs"]}
