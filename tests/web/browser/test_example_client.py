"""The example client of the documentation does what it promises, against the real page and the real daemon."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.web.browser.conftest import MakeSite

pytestmark = pytest.mark.web
MOST_LINES = 30


def test_the_example_client_uploads_waits_and_downloads(root: Path, make_site: MakeSite, speech: Path, portrait_clip: Path) -> None:
    script = root / "docs" / "example_client.py"
    assert len([line for line in script.read_text(encoding="utf-8").splitlines() if line]) <= MOST_LINES
    site = make_site()
    site.start_page()
    site.start()
    token = site.command_of_page("token", "add", "script").stdout.split()[-1]
    command = (sys.executable, str(script), site.address, token, str(speech), str(portrait_clip))
    done = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("succeeded")
    with zipfile.ZipFile(site.folder / "example.zip") as bundle:
        assert bundle.testzip() is None
        result = site.outputs / "example" / f"{portrait_clip.stem}.mp4"
        assert bundle.read(result.name) == result.read_bytes()
