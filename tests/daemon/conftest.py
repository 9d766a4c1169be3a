"""Media and a harness for every test of the daemon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.doubles import FILM, SPEECH, make_film, make_speech
from tests.daemon.harness import DaemonHarness


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("doubles") / "film.mp4"
    path.write_bytes(FILM)
    return path


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("doubles") / "speech.wav"
    path.write_bytes(SPEECH)
    return path


@pytest.fixture
def harness(tmp_path: Path, film: Path, speech: Path) -> Iterator[DaemonHarness]:
    """A daemon whose media are opened and verified at once, without ffmpeg."""
    made = DaemonHarness(folder=tmp_path, film=film, speech=speech)
    yield made
    made.close()


@pytest.fixture(scope="session")
def real_media(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A film and a recording that ffmpeg made."""
    folder = tmp_path_factory.mktemp("media")
    return make_film(folder / "film.mp4"), make_speech(folder / "speech.wav")


@pytest.fixture
def media_harness(tmp_path: Path, real_media: tuple[Path, Path]) -> Iterator[DaemonHarness]:
    """A daemon with real media, and the product's inspector and verification."""
    made = DaemonHarness(folder=tmp_path, film=real_media[0], speech=real_media[1], has_real_media=True)
    yield made
    made.close()
