"""Speech and faces for whole-daemon tests, small enough for two cores."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import Site


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 2 s of English, 22.05 kHz mono."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    subprocess.run(("espeak-ng", "-v", "en-us", "-w", str(path), "Maybe we open the window."), check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "faceless.mp4"
    source = "testsrc2=size=320x240:rate=25:duration=1"
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(path)), check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One presenter cache for all sites: a face is learned once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def site(tmp_path: Path, weights: Path, learned: Path) -> Iterator[Site]:
    with Site(folder=tmp_path / "site", weights=weights, cache=learned) as made:
        yield made
