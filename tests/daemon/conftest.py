"""A film, a recording and a world around them, for every test of the daemon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import World, make_film, make_speech


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("material")
    return make_film(folder / "film.mp4"), make_speech(folder / "speech.wav")


@pytest.fixture
def world(tmp_path: Path, material: tuple[Path, Path]) -> Iterator[World]:
    made = World(folder=tmp_path, film=material[0], speech=material[1])
    yield made
    made.close()
