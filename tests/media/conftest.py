"""Small files with odd properties, made by ffmpeg when a test first asks for one, and kept for the session."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

MakeFile = Callable[..., Path]
Decode = Callable[..., npt.NDArray[np.uint8]]
Turn = Callable[[Path, int], Path]

# Every frame has its own grey level and a pattern that moves: no two consecutive frames are alike.
TEST_VIDEO = "testsrc2=s={size}:r={rate}:d={seconds}"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def ffmpeg(*arguments: object) -> None:
    """Run ffmpeg; fail with its error output."""
    done = subprocess.run(
        ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def _place(folder: Path, name: str, *made_of: object) -> Path:
    """Return where a file lies that is kept for all tests: another content of the same name lies elsewhere."""
    place = folder / hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    place.mkdir(exist_ok=True)
    return place / name


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MakeFile:
    """Make a moving test video: clip("a.mp4", *encoder options, size=, rate=, seconds=, filters=, inputs=)."""
    folder = tmp_path_factory.mktemp("clips")

    def make(
        name: str, *options: object, size: str = "160x120", rate: str = "25", seconds: float = 2, filters: str = "null", audio: bool = False
    ) -> Path:
        path = _place(folder, name, options, size, rate, seconds, filters, audio)
        if not path.exists():
            video = ("-f", "lavfi", "-i", TEST_VIDEO.format(size=size, rate=rate, seconds=seconds))
            tone = ("-f", "lavfi", "-i", f"sine=440:d={seconds}") if audio else ()
            ffmpeg(*video, *tone, "-vf", filters, *(options or X264), f"file:{path}")
        return path

    return make


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> MakeFile:
    """Make an audio file: tone("a.wav", *encoder options, seconds=, rate=, channels=, source=)."""
    folder = tmp_path_factory.mktemp("tones")

    def make(
        name: str,
        *options: object,
        seconds: float = 2,
        rate: int = 44100,
        source: str = "aevalsrc=.4*sin(880*t)*(1+sin(9*t))/2:s={rate}:d={seconds}",
    ) -> Path:
        path = _place(folder, name, options, seconds, rate, source)
        if not path.exists():
            ffmpeg("-f", "lavfi", "-i", source.format(rate=rate, seconds=seconds), *options, f"file:{path}")
        return path

    return make


@pytest.fixture(scope="session")
def decoded() -> Decode:
    """Decode with plain ffmpeg options, without the code under test: decoded(path, *options) -> uint8 [bytes]."""

    def decode(path: Path, *options: object) -> npt.NDArray[np.uint8]:
        form = () if "-f" in options else ("-f", "rawvideo")
        command = ["ffmpeg", "-v", "error", "-i", f"file:{path}", *map(str, options), *form, "-"]
        return np.frombuffer(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout, np.uint8)

    return decode


@pytest.fixture
def turned(tmp_path: Path) -> Turn:
    """Copy an mp4 with another display matrix in its video track header (ISO 14496-12, 8.3.2): 16.16 fixed point a b u c d v."""

    def turn(source: Path, angle: int) -> Path:
        one, target = 65536, tmp_path / f"turned-{angle}.mp4"
        matrix = {90: (0, one, 0, -one, 0, 0), 180: (-one, 0, 0, 0, -one, 0)}[angle]
        data = bytearray(source.read_bytes())
        place = data.index(b"tkhd") + 4 + 40
        data[place : place + 24] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
        target.write_bytes(data)
        return target

    return turn
