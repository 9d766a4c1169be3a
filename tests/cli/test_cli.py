"""The command line, called as a person calls it."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from heygem_daemon.cli.checking import Severity, findings, probe_folder
from heygem_daemon.core.status import DaemonStatus, moment
from heygem_daemon.settings import load


def heygem(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "heygem_daemon", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    assert "init-inbox" in heygem("--help").stdout
    code = "import sys; sys.argv = ['heygem', '--help']\ntry:\n import heygem_daemon.cli as c; c.main()\nexcept SystemExit: pass\n"
    code += "print(sorted({'torch', 'cv2', 'numpy', 'librosa', 'pydantic', 'rich'} & sys.modules.keys()))"
    told = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, timeout=60, check=True).stdout
    assert told.splitlines()[-1] == "[]"


def test_a_wrong_configuration_is_told_in_a_sentence_and_exits_2(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("outpts = 1\n", encoding="utf-8")
    told = heygem("status", "--config", str(tmp_path / "c.toml"))
    assert (told.returncode, "did you mean outputs?" in told.stderr) == (2, True)
    assert "Traceback" not in told.stderr


def test_init_inbox_makes_the_marker_and_pause_and_resume_use_it(tmp_path: Path) -> None:
    inbox = tmp_path / "new" / "inbox"
    assert heygem("pause", "--inbox", str(inbox)).returncode == 1
    assert heygem("init-inbox", str(inbox)).returncode == 0
    assert (inbox / ".heygem-inbox").is_file()
    assert heygem("pause", "--inbox", str(inbox)).returncode == 0
    assert (inbox / "PAUSE").is_file()
    assert heygem("resume", "--inbox", str(inbox)).returncode == 0
    assert not (inbox / "PAUSE").exists()


def test_status_without_a_daemon_says_so_and_exits_1(tmp_path: Path) -> None:
    told = heygem("status", "--outputs", str(tmp_path))
    assert (told.returncode, "No daemon has written" in told.stdout) == (1, True)


def test_status_shows_a_stale_daemon_as_not_running(tmp_path: Path) -> None:
    status = DaemonStatus(version="1", state="running", pid=1, started=moment(0), heartbeat=moment(1000))
    (tmp_path / "status.json").write_text(status.to_json(), encoding="utf-8")
    told = heygem("status", "--outputs", str(tmp_path))
    assert (told.returncode, "is not running" in told.stdout) == (1, True)
    raw = heygem("status", "--outputs", str(tmp_path), "--json")
    assert json.loads(raw.stdout)["version"] == "1"


def test_the_printed_schema_is_one_and_fits_a_status_file(tmp_path: Path) -> None:
    schema = json.loads(heygem("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    status = DaemonStatus(version="1", state="running", pid=1, started=moment(0), heartbeat=moment(1000))
    jsonschema.validate(json.loads(status.to_json()), schema)


def test_models_list_and_verify_tell_what_is_missing(tmp_path: Path, weights: Path) -> None:
    assert heygem("models", "verify", "--weights", str(weights)).returncode == 0
    missing = heygem("models", "verify", "--weights", str(tmp_path))
    assert (missing.returncode, "heygem models fetch" in missing.stderr) == (1, True)
    assert "face" in heygem("models", "list", "--weights", str(tmp_path)).stdout


def test_check_finds_what_is_wrong_and_names_the_command_that_mends_it(tmp_path: Path, weights: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    arguments = ("--outputs", str(tmp_path / "absent"), "--state", str(tmp_path), "--cache", str(tmp_path), "--weights", str(weights))
    told = heygem("check", "--inbox", str(inbox), *arguments, "--device", "cpu", timeout=120)
    assert told.returncode == 1
    assert f"heygem init-inbox {inbox}" in told.stdout
    assert f"mkdir -p {tmp_path / 'absent'}" in told.stdout
    assert "ffmpeg version" in told.stdout
    assert "torch" in told.stdout


def test_check_is_content_with_a_good_installation(tmp_path: Path, weights: Path) -> None:
    (tmp_path / ".heygem-inbox").touch()
    given = dict.fromkeys(("outputs", "state", "cache"), tmp_path)
    settings = load(None, {"inboxes": (tmp_path,), "weights": weights, "disk": {"reserve_bytes": 0}, **given})
    assert not [finding for finding in findings(settings) if finding.severity is Severity.ERROR]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".heygem-inbox"]


def test_a_missing_program_is_found(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(None, {"inboxes": (tmp_path,), "weights": weights})
    monkeypatch.setenv("PATH", str(tmp_path))
    found = [finding for finding in findings(settings) if "ffmpeg is not installed" in finding.what]
    assert [finding.mend for finding in found] == ["apt-get install ffmpeg"]


def test_a_read_only_folder_is_found(tmp_path: Path) -> None:
    assert probe_folder("outputs", Path("/proc")).severity is Severity.ERROR
    assert probe_folder("outputs", tmp_path).severity is Severity.OK


def test_the_schema_in_the_package_is_the_one_that_is_printed(root: Path) -> None:
    shipped = (root / "heygem_daemon" / "status.schema.json").read_text(encoding="utf-8")
    assert shipped == heygem("schema").stdout, "run: heygem schema > heygem_daemon/status.schema.json"
