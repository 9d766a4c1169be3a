"""The page as an installed service: a user of its own in a closed sandbox, the same folders, and nothing that the daemon would miss."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.box.box import Box
from tests.box.material import Material

pytestmark = pytest.mark.box

PAGE: Final = "heygem-web.service"
SERVER: Final = "http://127.0.0.1:7860"
HEYGEM: Final = "/opt/heygem/venv/bin/heygem"
PYTHON: Final = "/opt/heygem/venv/bin/python"


@pytest.fixture(scope="module")
def page(box: Box) -> Iterator[Box]:
    """The running service, and the running page with one user."""
    box.start()
    box.run(HEYGEM, "web", "user", "add", "anna", "--admin", "--password-stdin", text="a long enough password\n")
    box.run("systemctl", "start", PAGE)
    yield box
    box.run("systemctl", "stop", PAGE)


@pytest.fixture(scope="module")
def token(page: Box) -> str:
    words = page.run(HEYGEM, "web", "token", "add", "test", "--user", "anna", "--admin").stdout.split()
    return max(words, key=len)


def ask(box: Box, path: str, token: str = "", **headers: str) -> Any:
    named = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
    script = (
        "import sys, json, urllib.request\n"
        "request = urllib.request.Request(sys.argv[1], headers=json.loads(sys.argv[2]))\n"
        "print(urllib.request.urlopen(request, timeout=30).read().decode())"
    )
    return json.loads(box.run(PYTHON, "-c", script, f"{SERVER}/api/v1/{path}", json.dumps(named)).stdout)


def test_the_page_is_up_within_seconds_and_tells_systemd(page: Box) -> None:
    assert page.show("ActiveState", "SubState", "NRestarts", unit=PAGE) == {
        "ActiveState": "active",
        "SubState": "running",
        "NRestarts": "0",
    }
    assert ask(page, "health")["status"] == "ok"


def test_it_runs_as_a_user_of_its_own_without_any_privilege(page: Box) -> None:
    status = dict(line.split(":\t", 1) for line in page.run("cat", f"/proc/{page.pid(PAGE)}/status").stdout.splitlines() if ":\t" in line)
    assert set(status["Uid"].split()) == {page.run("id", "--user", "heygem-web").stdout.strip()}
    assert (int(status["CapPrm"], 16), status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == (0, "1", "2")


def test_it_can_neither_see_the_ledger_nor_change_results(page: Box) -> None:
    inside = ("nsenter", "--target", str(page.pid(PAGE)), "--mount", "setpriv", "--reuid=heygem-web", "--regid=heygem-web", "--init-groups")
    assert page.run(*inside, "ls", "/var/lib/heygem", check=False).returncode != 0
    assert page.run(*inside, "ls", "/var/lib/heygem-web").returncode == 0
    assert page.run(*inside, "touch", "/srv/heygem/outputs/x", check=False).returncode != 0
    assert page.run(*inside, "touch", "/srv/heygem/inbox/.x").returncode == 0


def test_a_job_made_through_the_interface_becomes_a_result(page: Box, token: str, material: Material, root: Path) -> None:
    """Uploaded by the page's user, claimed by the daemon's, fetched through the page: the rights of both fit."""
    work = "/srv/heygem/client"
    page.run("mkdir", "-p", work)
    for file in (material.speech, material.clip):
        subprocess.run(("cp", str(file), str(page.folder / "srv" / "client" / file.name)), check=True, timeout=60)
    client = ("env", "--chdir", work, PYTHON, str(root / "docs" / "example_client.py"))
    done = page.run(*client, SERVER, token, material.speech.name, material.clip.name, timeout=300)
    assert "succeeded" in done.stdout, page.diagnosis("example")
    assert page.run(PYTHON, "-m", "zipfile", "--test", f"{work}/example.zip").returncode == 0
    assert page.status("example")["owner"] == "anna"
    page.run("rm", "-rf", work)


def test_faces_are_checked_inside_the_sandbox(page: Box, token: str, portrait: Path) -> None:
    (page.folder / "srv" / "portrait.png").write_bytes(portrait.read_bytes())
    script = (
        "import sys, urllib.request\n"
        "headers = {'Authorization': f'Bearer {sys.argv[2]}', 'Content-Type': 'image/png'}\n"
        "body = open('/srv/heygem/portrait.png', 'rb').read()\n"
        "print(urllib.request.urlopen(urllib.request.Request(sys.argv[1], body, headers), timeout=60).read().decode())"
    )
    found = json.loads(page.run(PYTHON, "-c", script, f"{SERVER}/api/v1/faces", token).stdout)
    assert found["verdict"] == "good", page.journal(f"_SYSTEMD_UNIT={PAGE}")


def test_the_daemon_stops_and_starts_under_an_open_page(page: Box, token: str) -> None:
    main = page.pid(PAGE)
    page.run("systemctl", "stop", "heygem")
    page.until(lambda: ask(page, "health")["daemon"] == "stopped", 30, "the page does not notice that the daemon stopped")
    page.start()
    page.until(lambda: ask(page, "health")["status"] == "ok", 30, "the page does not notice that the daemon is back")
    assert page.pid(PAGE) == main


def test_the_daemon_does_not_notice_that_the_page_stops(page: Box) -> None:
    main = page.pid()
    page.run("systemctl", "stop", PAGE)
    assert page.show("Result", "ActiveState", unit=PAGE) == {"Result": "success", "ActiveState": "inactive"}
    assert page.pid() == main
    page.run("systemctl", "start", PAGE)


def test_an_address_for_everybody_without_users_is_refused_and_not_tried_again(page: Box) -> None:
    page.write(
        f"/etc/systemd/system/{PAGE}.d/open.conf",
        "[Service]\nEnvironment=HEYGEM_WEB__ADDRESS=0.0.0.0 HEYGEM_WEB__STATE=/var/cache/heygem-web\n",
    )
    page.run("systemctl", "daemon-reload")
    try:
        assert page.run("systemctl", "restart", PAGE, check=False).returncode != 0
        shown = page.show("ExecMainStatus", "NRestarts", unit=PAGE)
        assert shown == {"ExecMainStatus": "2", "NRestarts": "0"}
        lines = " ".join(str(each["MESSAGE"]) for each in page.journal(f"_SYSTEMD_UNIT={PAGE}"))
        assert "heygem web user add" in lines
    finally:
        page.run("rm", f"/etc/systemd/system/{PAGE}.d/open.conf")
        page.run("systemctl", "daemon-reload")
        page.run("systemctl", "reset-failed", PAGE)
        page.run("systemctl", "start", PAGE)
