"""Monitoring and hooks from within the hardened unit."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.box.box import UNIT, Box
from tests.box.material import Material, copy

pytestmark = pytest.mark.box

TEXTFILE = "/var/cache/heygem/heygem.prom"
HOOK_INPUT = "/var/cache/heygem/hook-input.json"
PORT = 8099
RECEIVER = "hook-receiver"
RECEIVE = f"""
import http.server
class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        open("/run/posted.json", "wb").write(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {PORT}), Taker).serve_forever()
"""


def quoted(text: str) -> str:
    return text.replace('"', '\\"')


@pytest.fixture
def listened(box: Box) -> Iterator[Box]:
    """The running service with a command, a webhook and a file for node_exporter."""
    box.run("systemctl", "stop", UNIT)
    box.run("systemd-run", "--quiet", f"--unit={RECEIVER}", "--collect", "/usr/bin/python3", "-c", RECEIVE)
    command = quoted(json.dumps(["/usr/bin/tee", HOOK_INPUT]))
    settings = (
        f"HEYGEM_HOOKS__COMMAND={command}",
        f"HEYGEM_HOOKS__WEBHOOK=http://127.0.0.1:{PORT}/",
        f"HEYGEM_METRICS__TEXTFILE={TEXTFILE}",
        "HEYGEM_LOG__LEVEL=debug",
    )
    with box.drop_in("60-health", *(f'Environment="{each}"' for each in settings)):
        box.start()
        yield box
        box.run("systemctl", "stop", UNIT)
    box.run("systemctl", "stop", RECEIVER)


def test_the_end_of_a_job_reaches_command_and_webhook_and_the_metrics_are_written(listened: Box, material: Material) -> None:
    began = time.time()
    drop = material.drop("refused")
    (drop / "job.toml").write_text("colour = true\n", encoding="utf-8")
    copy(drop, listened.inbox / "refused")
    listened.wait_for_state("refused", "rejected", timeout=40)
    ends = ("HEYGEM_EVENT=hook_finished", "HEYGEM_EVENT=hook_failed")
    ends_logged = listened.until(lambda: len(found := listened.journal(*ends, after=began)) == 2 and found, 30, "the hooks did not end")
    assert [(entry["HEYGEM_HOOK"], entry["HEYGEM_EVENT"]) for entry in ends_logged] == [
        ("command", "hook_finished"),
        ("webhook", "hook_finished"),
    ], ends_logged
    status = listened.status("refused")
    for path in (HOOK_INPUT, "/run/posted.json"):
        received = json.loads(listened.run("cat", path).stdout)
        assert (received["job"], received["state"]) == (status["job"], "rejected"), path

    metrics = listened.run("cat", TEXTFILE).stdout
    assert re.search(r"^heygem_running 1", metrics, re.MULTILINE)
    assert re.search(r'^heygem_inbox_online\{inbox="/srv/heygem/inbox"\} 1', metrics, re.MULTILINE)
    assert listened.run("stat", "--format=%a", TEXTFILE).stdout.strip() == "644"
    listened.run("systemctl", "stop", UNIT)
    metrics = listened.run("cat", TEXTFILE).stdout
    assert re.search(r"^heygem_running 0", metrics, re.MULTILINE)
    assert re.search(r'^heygem_jobs_total\{state="rejected"\} 1', metrics, re.MULTILINE)
