"""A client of the uploads of the page, for tests."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import httpx

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {"Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True)
class Uploading:
    """Makes drafts, uploads files into them, makes jobs of them."""

    client: httpx.Client

    def draft(self, inbox: int = 0) -> str:
        """Make an empty draft and return its id."""
        answer = self.client.post("/api/v1/drafts", json={"inbox": inbox})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["draft"])

    def begin(self, draft: str, name: str | bytes, length: int, role: str = "video") -> httpx.Response:
        """Create an upload of which nothing has arrived."""
        values = {"draft": draft.encode(), "name": name.encode() if isinstance(name, str) else name, "role": role.encode()}
        metadata = ",".join(f"{key} {b64encode(value).decode()}" for key, value in values.items())
        return self.client.post("/api/v1/uploads", headers={**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata})

    def begun(self, draft: str, name: str | bytes, length: int, role: str = "video") -> str:
        """Create an upload and return its address."""
        answer = self.begin(draft, name, length, role)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def send(self, location: str, content: bytes, offset: int = 0, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.patch(location, headers={**TUS, **OCTETS, "Upload-Offset": str(offset), **named}, content=content)

    def offset(self, location: str) -> int:
        """Return how much has arrived."""
        answer = self.client.head(location, headers=TUS)
        assert answer.status_code == 200, answer.status_code
        return int(answer.headers["Upload-Offset"])

    def put(self, draft: str, name: str | bytes, content: bytes, role: str = "video") -> str:
        """Upload a whole file and return its address."""
        location = self.begun(draft, name, len(content), role)
        answer = self.send(location, content)
        assert answer.status_code == 204, answer.text
        return location

    def files(self, draft: str) -> dict[str, str]:
        """Return shown name -> stored name of the files of a draft."""
        return {each["name"]: each["stored"] for each in self.client.get(f"/api/v1/drafts/{draft}").json()["uploads"]}

    def job(self, **fields: Any) -> httpx.Response:
        """Make a job, consent included."""
        return self.client.post("/api/v1/jobs", json={"name": "lesson", "consent": {"given": True, "by": "Anna"}, **fields})
