"""The units, judged by the real systemd-analyze and by what their lines promise."""

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.settings import Settings
from heygem_daemon.web.server import CONNECTIONS

EXPOSURE: Final = {"heygem": 15, "heygem-web": 12}
"""The most exposed that a unit may be, times ten."""
HARDENING: Final = "-- Hardening"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture(scope="module")
def unit(root: Path) -> str:
    return (root / "systemd" / "heygem.service").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def web_unit(root: Path) -> str:
    return (root / "systemd" / "heygem-web.service").read_text(encoding="utf-8")


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit, flags=re.MULTILINE)


def number(unit: str, key: str) -> int:
    (value,) = values(unit, key)
    return int(value)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(("systemd-analyze", *words), capture_output=True, text=True, check=False, timeout=60)


@needs_systemd
@pytest.mark.parametrize("name", EXPOSURE)
def test_systemd_understands_every_line(name: str, root: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.service"
    # What it starts need not be installed on the machine of the test.
    unit = (root / "systemd" / path.name).read_text(encoding="utf-8")
    path.write_text(re.sub(r"/opt/heygem/venv/bin/heygem \w+", "/bin/true", unit), encoding="utf-8")
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(path))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", EXPOSURE)
def test_the_service_is_hardly_exposed(name: str, root: Path) -> None:
    unit = str(root / "systemd" / f"{name}.service")
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE[name]}", "--no-pager", unit)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", EXPOSURE)
def test_every_line_of_the_hardening_has_its_reason(name: str, root: Path) -> None:
    unit = (root / "systemd" / f"{name}.service").read_text(encoding="utf-8")
    lines = unit[unit.index(HARDENING) : unit.index("[Install]")].splitlines()
    bare = [line for before, line in pairwise(lines) if re.match(r"\w+=", line) and not before.startswith("#")]
    assert bare == []


def test_the_page_has_no_privilege_and_cannot_touch_ledger_or_results(web_unit: str) -> None:
    assert values(web_unit, "CapabilityBoundingSet") == [""]
    assert values(web_unit, "User") == ["heygem-web"]
    assert values(web_unit, "InaccessiblePaths") == ["-/var/lib/heygem -/var/cache/heygem"]
    assert values(web_unit, "ReadOnlyPaths") == ["-/srv/heygem/outputs"]


def test_the_page_has_more_descriptors_than_connections_and_files_take(web_unit: str) -> None:
    assert number(web_unit, "LimitNOFILE") > 10 * CONNECTIONS


def test_the_page_is_no_part_of_the_daemon(unit: str, web_unit: str) -> None:
    """Either can be stopped, upgraded or absent without the other."""
    for key in ("Requires", "BindsTo", "PartOf", "Wants"):
        assert values(web_unit, key) == values(unit, key) == [], key


def test_graphics_cards_and_compilers_at_run_time_stay_usable(unit: str) -> None:
    assert values(unit, "PrivateDevices") == ["no"]
    assert values(unit, "MemoryDenyWriteExecute") == ["no"]
    assert values(unit, "ProcSubset") == ["all"]
    assert "char-nvidia* rw" in values(unit, "DeviceAllow")


def test_the_one_privilege_is_the_lease(unit: str) -> None:
    assert values(unit, "CapabilityBoundingSet") == ["CAP_LEASE"] == values(unit, "AmbientCapabilities")


def test_stopping_may_take_longer_than_the_grace_of_the_daemon(unit: str) -> None:
    grace = Settings.model_fields["stop"].default.grace_seconds
    assert grace + 10 <= number(unit, "TimeoutStopSec") <= 3 * grace


def test_the_service_starts_again_even_after_an_hour_without_its_disk(unit: str) -> None:
    assert 3600 / number(unit, "RestartSec") < number(unit, "StartLimitBurst")


def test_what_dies_at_every_start_is_given_up_in_the_end(unit: str) -> None:
    assert values(unit, "StartLimitIntervalSec") == ["2h"]
    assert number(unit, "StartLimitBurst") * (number(unit, "RestartSec") + 2) < 2 * 3600


def test_a_wrong_configuration_is_not_tried_again(unit: str, web_unit: str) -> None:
    assert values(unit, "RestartPreventExitStatus") == [str(ExitCode.USAGE.value)] == values(web_unit, "RestartPreventExitStatus")


def test_what_a_library_wants_to_keep_lies_in_the_cache(unit: str) -> None:
    given = dict(value.split("=", 1) for value in values(unit, "Environment"))
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        assert Path(given[name]).is_relative_to("/var/cache/heygem"), name
