"""What several tests share: where things lie, the model files, real faces; one thread and the same examples everywhere."""

import gc
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# Before NumPy and torch are loaded: test processes run side by side, and sums must not depend on the number of cores.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from heygem_daemon.lipsync.model_files import verify
from tests.disk_cache import cached

# Machines are shared, so time proves nothing; and every run tries the same examples (others: pytest --hypothesis-profile=explore).
settings.register_profile("heygem", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("heygem"), derandomize=False)
settings.load_profile("heygem")


SLOWEST: Final = ("tests/e2e/", "tests/lipsync/wav2lip/")
"""Files that are begun first, so that no process is left alone with one of them at the end."""
WAITING: Final = ("tests/web/",)
"""Files whose tests wait more than they compute. They are spread over the whole run: beside a process that waits, the others have the cores
to themselves, and in the end all processes would wait."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leave what is collected out of garbage collection: it stays, and to look through it takes a third of the time of collecting."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in order, and leave all but every n-th row of a test marked `family(n)` to `make test-slow`."""
    rows: Counter[str] = Counter()
    for item in items:
        family = item.get_closest_marker("family")
        if family is None:
            continue
        test = item.nodeid.partition("[")[0]
        if rows[test] % family.args[0]:
            item.add_marker(pytest.mark.slow)
        rows[test] += 1
    places = _places([item.nodeid for item in items])
    items.sort(key=lambda item: places[_file(item.nodeid)])


def _places(tests: list[str]) -> dict[str, float]:
    """Return the place of each file in the order of the run: SLOWEST at -1, WAITING and all others from 0 to 1 by the tests before them."""
    places: dict[str, float] = {}
    totals = Counter(test.startswith(WAITING) for test in tests)
    before: Counter[bool] = Counter()
    for test in tests:
        waits = test.startswith(WAITING)
        places.setdefault(_file(test), -1.0 if test.startswith(SLOWEST) else before[waits] / totals[waits])
        before[waits] += 1
    return places


def _file(test: str) -> str:
    return test.partition("::")[0]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Let torch and OpenCV compute in one thread, whatever a session of the test before has set."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def weights(root: Path) -> Path:
    """The directory of the model files, complete and right."""
    directory = root / "weights"
    wrong = [finding.model.file_name for finding in verify(directory) if not finding.is_valid]
    if wrong:
        pytest.fail(f"weights/ lacks {', '.join(wrong)}: run `make setup` (or `heygem models fetch`) first", pytrace=False)
    return directory


@pytest.fixture(scope="session")
def shared_media(root: Path) -> Path:
    """The directory of real talking clips beside the repository; they cannot be part of it."""
    directory = root.parent / "shared" / "media"
    if not directory.is_dir():
        pytest.skip("the real clips (../shared/media) are not on this machine")
    return directory


@pytest.fixture(scope="session")
def portrait() -> Path:
    """A real face as a PNG, 512x512: NASA's portrait of Eileen Collins, in the public domain, carried by scikit-image."""
    return cached("portrait", _write_portrait) / "portrait.png"


def _write_portrait(folder: Path) -> None:
    from skimage.data import astronaut  # noqa: PLC0415  (slow to import, and few tests need it)

    image = np.asarray(astronaut())  # type: ignore[no-untyped-call]
    assert cv2.imwrite(str(folder / "portrait.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


@pytest.fixture(scope="session")
def portrait_clip(portrait: Path) -> Path:
    """The portrait as a clip of 2 s at 25 fps, 384x384, without speech: the camera drifts and breathes a little."""
    motion = "crop=w=440:h=440:x='36+16*sin(2*PI*n/50)':y='18+12*cos(2*PI*n/40)',scale=384:384,format=yuv420p"

    def encode(folder: Path) -> None:
        command = ("ffmpeg", "-v", "error", "-loop", "1", "-framerate", "25", "-i", str(portrait), "-t", "2", "-vf", motion)
        output = str(folder / "portrait.mp4")
        subprocess.run((*command, "-c:v", "libx264", "-crf", "16", "-preset", "veryfast", output), check=True, timeout=60)

    return cached("portrait-clip", encode) / "portrait.mp4"
