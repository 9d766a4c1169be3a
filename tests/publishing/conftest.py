"""An outputs folder, a claimed job, and a real small result."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from heygem_daemon.core.job import Item, Job


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job of two items, its inputs claimed."""
    claim_dir = tmp_path / "inbox/.heygem/claimed/job-1"
    (claim_dir / "lesson-01/videos").mkdir(parents=True)
    for path in ("speech.wav", "videos/a.mp4", "videos/b.mp4"):
        (claim_dir / "lesson-01" / path).write_text(path)
    items = tuple(
        Item(key=key, recording="speech.wav", video=f"videos/{key}.mp4", output=f"{key}.mp4", thumbnail=f"thumbnails/{key}.jpg")
        for key in ("a", "b")
    )
    return Job(id="job-1", name="lesson-01", inbox=str(tmp_path / "inbox"), claimed=str(claim_dir), output="lesson-01", items=items)


@pytest.fixture
def worker_result() -> dict[str, object]:
    """What a worker reports about `rendered`."""
    return {"frames": 25, "frame_rate": "25", "width": 128, "height": 96, "seconds": 1.0, "engine": "rewrite"}


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result as a worker makes it: 25 frames of 128x96 and a second of audio."""
    path = tmp_path_factory.mktemp("rendered") / "result.mp4"
    sources = ("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=1", "-f", "lavfi", "-i", "sine=duration=1")
    codecs = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac")
    subprocess.run(["ffmpeg", "-v", "error", *sources, *codecs, str(path)], check=True, timeout=60)
    return path


@pytest.fixture
def fill_up() -> Callable[[Path], None]:
    """Leave no byte free in a small file system."""

    def fill(disk: Path) -> None:
        with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(b"\0" * 4096)

    return fill


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("a full disk is made with mount, which needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
