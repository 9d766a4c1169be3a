"""`make demo-web` starts the daemon and the page together, says where the page is, and ends both."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts import demo_web
from scripts.demo import DemoError
from tests.e2e.site import children_of, is_running
from tests.web.browser.web_site import free_port


@pytest.fixture
def checkout(root: Path, weights: Path, tmp_path: Path, speech: Path, portrait_clip: Path) -> Path:
    """A folder in which the demo works as in a checkout, with a drop beside it."""
    (tmp_path / "weights").symlink_to(weights)
    (tmp_path / "drop" / "videos").mkdir(parents=True)
    (tmp_path / "drop" / speech.name).write_bytes(speech.read_bytes())
    (tmp_path / "drop" / "videos" / portrait_clip.name).write_bytes(portrait_clip.read_bytes())
    return tmp_path


@pytest.fixture
def started(root: Path, checkout: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    port = free_port()
    command = (sys.executable, "-m", "scripts.demo_web", "--port", str(port), "--drop", "drop")
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        yield process, port
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.mark.web
def test_daemon_and_page_run_together_until_ctrl_c(started: tuple["subprocess.Popen[str]", int], checkout: Path) -> None:
    process, port = started
    assert process.stdout is not None
    lines: list[str] = []
    while not re.search(rf"http://127\.0\.0\.1:{port}/", "".join(lines)):
        line = process.stdout.readline()
        assert line, "".join(lines)
        lines.append(line)
    children = children_of(process.pid)
    assert len(children) == 2
    jobs = httpx.get(f"http://127.0.0.1:{port}/api/v1/jobs", timeout=30).json()["jobs"]
    assert [job["name"] for job in jobs] in ([], ["drop"])
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert not any(map(is_running, children))
    assert (checkout / ".cache" / "web").is_dir()


def test_a_port_that_is_taken_is_reported_with_another_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=f"PORT={port + 1}"):
            demo_web.require_free(port)
