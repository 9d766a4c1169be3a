"""One box for the session: `make install` in it, a reboot without the network, then the tests. Needs root and what `PROGRAMS` lists."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.box.box import Box
from tests.box.machine import Machine
from tests.box.material import Material
from tests.box.share import Share

PROGRAMS: Final = (
    "systemctl",
    "nsenter",
    "unshare",
    "setpriv",
    "smbd",
    "smbclient",
    "smbpasswd",
    "sshfs",
    "sshd",
    "ss",
    "espeak-ng",
    "ffmpeg",
)
INSTALL_SECONDS: Final = 1200

MEASUREMENTS = pytest.StashKey[list[str]]()

QUICK: Final = (
    "Environment=HEYGEM_INTAKE__SETTLE_SECONDS=0.5 HEYGEM_INTAKE__NETWORK_SETTLE_SECONDS=1",
    "Environment=HEYGEM_INTAKE__SCAN_SECONDS=0.5 HEYGEM_INTAKE__NETWORK_SCAN_SECONDS=1",
    "Environment=HEYGEM_INTAKE__INCOMPLETE_SECONDS=4 HEYGEM_INTAKE__ANSWER_SECONDS=2",
    "Environment=HEYGEM_STOP__GRACE_SECONDS=0 HEYGEM_DISK__RESERVE_BYTES=0 HEYGEM_RETRY__BACKOFF_SECONDS=[1]",
    "WatchdogSec=5",
    "RestartSec=0.3",
)
"""The same service with shorter times."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASUREMENTS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    measurements = config.stash[MEASUREMENTS]
    if measurements:
        terminalreporter.section("measured in the box")
        terminalreporter.write_line("\n".join(measurements))


@pytest.fixture(scope="session")
def measurement(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Record a sentence with a measurement, to be printed at the end of the run."""
    measurements: list[str] = request.config.stash[MEASUREMENTS]
    return measurements.append


@pytest.fixture(scope="session")
def box(root: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """The installed service in a booted box, not yet started."""
    if os.geteuid() != 0:
        pytest.skip("the box needs root")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the box needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("box")
    kept = root / ".cache" / "e2e"
    binds = {
        kept / "opt": "/opt/heygem", folder / "srv": "/srv/heygem", folder / "far": "/srv/far",
        folder / "state": "/var/lib/heygem", folder / "cache": "/var/cache/heygem",
    }  # fmt: skip
    for source in binds:
        source.mkdir(parents=True, exist_ok=True)
    with Machine(folder=folder / "disk", binds=binds, layers=[root]) as machine:
        machine.boot(host_network=True)
        install(machine, root)
        machine.shut_down()
        machine.boot()
        box = Box(machine=machine, folder=folder)
        with box.drop_in("50-quick", *QUICK):
            yield box


def install(machine: Machine, root: Path) -> None:
    """Run `make install`: minutes the first time, then seconds, for /opt/heygem is kept. pip and its indexes are the host's."""
    wanted = ("PIP_", "SSL_", "REQUESTS_", "TORCH_")
    passed = {name: value for name, value in os.environ.items() if name.startswith(wanted) or name.lower().endswith("_proxy")}
    machine.run("make", "-C", str(root), "install", environment={**passed, "PIP_NO_CACHE_DIR": "1"}, timeout=INSTALL_SECONDS)


@pytest.fixture(scope="session")
def material(portrait_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    speech = folder / "speech.wav"
    subprocess.run(("espeak-ng", "-v", "en-us", "-w", str(speech), "Maybe we open the window."), check=True, timeout=60)
    return Material(speech=speech, clip=portrait_clip, folder=folder)


@pytest.fixture(scope="session")
def large(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The same with 40 MB of noise for a video: smbclient sends 8 MiB at once, and a smaller file arrives whole or not at all."""
    folder = tmp_path_factory.mktemp("large")
    clip = folder / "noise.mov"
    noise = ("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=2", "-vf", "noise=alls=80:allf=t", "-pix_fmt", "yuvj420p")
    subprocess.run(("ffmpeg", "-v", "error", *noise, "-c:v", "mjpeg", "-q:v", "2", str(clip)), check=True, timeout=120)
    return replace(material, clip=clip, folder=folder)


@pytest.fixture
def service(box: Box) -> Box:
    """The running service."""
    box.start()
    return box


@pytest.fixture
def paused(service: Box) -> Iterator[Box]:
    """The running service with PAUSE in its inbox: drops are taken in, and nothing is rendered."""
    pause = service.inbox / "PAUSE"
    pause.touch()
    service.until(lambda: any(each["paused"] for each in service.status().get("inboxes", ())), 15, "PAUSE was not seen")
    yield service
    for name in [path.parent.name for path in service.outputs.glob("*/status.json")]:
        if service.state(name) == "queued":
            service.cancel(name)
    pause.unlink()


@pytest.fixture(scope="session")
def opened(box: Box, root: Path) -> Share:
    """The share as the example configuration opens it."""
    share = Share(box=box)
    share.open((root / "config" / "smb.conf.example").read_text(encoding="utf-8"))
    return share


@pytest.fixture
def share(opened: Share) -> Share:
    """The open share, also after a boot."""
    opened.start()
    return opened
