"""The example on the page of the HTTP interface, run as it stands there."""

import html
import os
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import httpx

from heygem_daemon.settings import Settings
from heygem_daemon.web.app import create_app
from tests.web.serving import serving

RECORDING, VIDEO = b"RIFF speech" * 100, bytes(range(256)) * 400


def run_example(address: str, folder: Path, **variables: str) -> None:
    """Run the example of the page at `address` in `folder`, as a person would who copies it into a terminal."""
    found = re.search(r"<code>(API=.*?)</code>", httpx.get(f"{address}/api", headers=authorization(variables)).text, re.DOTALL)
    assert found
    (folder / "speech.wav").write_bytes(RECORDING)
    (folder / "teacher.mp4").write_bytes(VIDEO)
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **variables}
    subprocess.run(("sh", "-e", "-c", html.unescape(found[1])), cwd=folder, env=environment, check=True, timeout=60, capture_output=True)


def authorization(variables: Mapping[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {variables['TOKEN']}"} if variables else {}


def check_drop(inbox: Path) -> dict[str, object]:
    """Return the job.toml of the one drop, which holds both files whole."""
    assert (inbox / "lesson-01" / "speech.wav").read_bytes() == RECORDING
    assert (inbox / "lesson-01" / "videos" / "teacher.mp4").read_bytes() == VIDEO
    return tomllib.loads((inbox / "lesson-01" / "job.toml").read_text(encoding="utf-8"))


def test_it_makes_a_job_where_no_users_are_configured(address: str, inbox: Path, tmp_path: Path) -> None:
    run_example(address, tmp_path)
    assert str(check_drop(inbox)["consent"]).startswith("NAME, ")


def test_it_makes_a_job_with_a_token(settings: Settings, inbox: Path, tmp_path: Path) -> None:
    app = create_app(settings)
    context = app.state.context
    context.accounts.add_user("anna", "a long enough password", admin=False)
    token = context.accounts.add_token("nightly", user="anna")
    with serving(app) as address:
        run_example(address, tmp_path, TOKEN=token)
    assert check_drop(inbox)["owner"] == "anna"
