"""An engine that makes a whole valid result in a moment: a worker of its own process, a real ffmpeg, and nothing of faces.

It looks at nothing but the bytes of its inputs, whose hashes it writes into the result: so a result tells what it was made from."""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import error
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.media.run import capture

SESSION: Final = "tests.prove.crash_engine:InstantSession"
FILM_VARIABLE: Final = "PROVE_FILM"
SECONDS_VARIABLE: Final = "PROVE_ITEM_SECONDS"
"""s that each result takes longer; unset = none."""
FRAMES: Final = 12
FRAME_RATE: Final = 25
SIZE: Final = (160, 120)


def make_film(folder: Path) -> Path:
    """Write the film of which every result is a copy, 12 frames with sound, and its thumbnail; return the path of the film."""
    folder.mkdir(parents=True, exist_ok=True)
    film, seconds = folder / "film.mp4", FRAMES / FRAME_RATE
    source = ("-f", "lavfi", "-i", f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={FRAME_RATE}:duration={seconds}")
    tone = ("-f", "lavfi", "-i", f"sine=frequency=300:sample_rate=16000:duration={seconds}")
    codecs = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "0", "-preset", "ultrafast", "-c:a", "aac", "-movflags", "+faststart")
    subprocess.run(("ffmpeg", "-v", "error", "-y", *source, *tone, *codecs, str(film)), check=True, timeout=60)
    frame = ("ffmpeg", "-v", "error", "-y", "-i", str(film), "-frames:v", "1", str(folder / "thumbnail.jpg"))
    subprocess.run(frame, check=True, timeout=60)
    return film


def fingerprint(recording: Path, video: Path) -> str:
    """Return what the result of these inputs carries as its comment."""
    return "-".join(hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (recording, video))


def result_command(film: Path, comment: str, output: Path) -> tuple[str, ...]:
    """Return the ffmpeg command that copies the film with a comment of its own."""
    return ("ffmpeg", "-v", "error", "-y", "-i", f"file:{film}", "-c", "copy", "-metadata", f"comment={comment}", f"file:{output}")


class InstantSession:
    """worker.loop.Session whose results take as long as a copy of the film."""

    def __init__(self, _options: object) -> None:
        self._film = Path(os.environ[FILM_VARIABLE])
        self._seconds = float(os.environ.get(SECONDS_VARIABLE, "0"))

    def device(self) -> str:
        return "cpu"

    def models(self) -> Mapping[str, str]:
        return {}

    def run(self, order: WorkOrder, on_step: Callable[[str, int, int], None]) -> Mapping[str, Any]:
        began = time.monotonic()
        on_step("analyse", 0, 1)
        comment = fingerprint(Path(order.recording), Path(order.video))
        on_step("render", 0, FRAMES)
        self.encode(comment, Path(order.output))
        time.sleep(self._seconds)
        on_step("render", FRAMES, FRAMES)
        shutil.copyfile(self._film.with_name("thumbnail.jpg"), order.thumbnail)
        if order.options.explain:
            shutil.copyfile(self._film.with_name("thumbnail.jpg"), order.explain)
        elapsed = time.monotonic() - began
        return {
            "frames": FRAMES,
            "frame_rate": str(FRAME_RATE),
            "fps": float(FRAME_RATE),
            "width": SIZE[0],
            "height": SIZE[1],
            "seconds": FRAMES / FRAME_RATE,
            "engine": order.options.engine,
            "models": {},
            "licence": "",
            "warnings": [],
            "explained": order.options.explain,
            "elapsed_s": round(elapsed, 3),
            "speed": round(FRAMES / FRAME_RATE / elapsed, 2),
        }

    def encode(self, comment: str, output: Path) -> None:
        """Raises what an engine of the product raises for a failing or killed ffmpeg."""
        done = capture(result_command(self._film, comment, output), seconds=60)
        if done.code != 0:
            raise error("encode_failed", problem=done.last_error_line)
