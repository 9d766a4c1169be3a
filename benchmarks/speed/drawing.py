"""The process that only draws: no decoding, no encoding, no tracking.

A job as JSON on standard input: clip, weights, rounds, cores (None = all); what each round took comes as JSON on standard output.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.bed import Bed
from benchmarks.speed.floor import transcode
from benchmarks.speed.processes import Meter, measure_command
from benchmarks.speed.rows import CPU, Measurement, Row, medians

SECTION = "Drawing alone, one core"
FRAMES = 100


def drawing_measurements(bed: Bed) -> Iterator[Measurement]:
    """Yield the measurements of drawing on one core."""
    for size in ("480p", "720p", "1080p"):
        yield Measurement(name=f"drawing {size}", measure=partial(drawing, bed, size), is_quick=size == "720p")


def drawing(bed: Bed, size: str) -> list[Row]:
    """Measure the drawing of frames of one size on one core, over the CPU time of a plain transcode of them."""
    found = medians(run_job(bed, size))
    values = {name: found[name] for name in ("CPU ms/frame", "frames drawn")}
    return [Row(section=SECTION, name=size, ratios={CPU: found[CPU]}, values=values)]


def run_job(bed: Bed, size: str, *, cores: int | None = 1) -> list[dict[str, float]]:
    """Draw in a process of its own; return what each round took."""
    clip = bed.inputs.video(size, fps=25, seconds=FRAMES / 25)
    job = {"clip": str(clip), "weights": str(bed.weights), "rounds": bed.rounds, "cores": cores}
    _, output = measure_command((sys.executable, "-m", "benchmarks.speed.drawing"), stdin=json.dumps(job))
    found: list[dict[str, float]] = json.loads(output.splitlines()[-1])
    return found


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is drawn. renderer: an AtlasRenderer on the CPU; atlas: its PreparedAtlas; motion: of a mouth that opens 4 times a second."""

    renderer: Any
    atlas: Any
    frames: list[Any]
    motion: Any


def prepare(clip: Path, weights: Path, folder: Path, *, frames: int = FRAMES) -> Scene:
    """Track a clip, and learn its presenter."""
    from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer  # noqa: PLC0415  (after the cores are chosen)
    from heygem_daemon.lipsync.face.track_video import track_video  # noqa: PLC0415
    from heygem_daemon.media.probe import probe  # noqa: PLC0415
    from heygem_daemon.media.reader import VideoReader  # noqa: PLC0415

    info = probe(clip)
    if info.video is None:
        raise ValueError(f"{clip.name} has no video")
    size, rate, reader = (info.video.width, info.video.height), info.video.frame_rate, VideoReader(info)
    tracks = track_video(reader.frames(), size=size, frame_rate=rate, models=weights, directory=folder / "tracks")
    renderer = AtlasRenderer("cpu", weights)
    atlas = renderer.prepare(info, tracks, folder / "atlas", lambda _: None)
    return Scene(renderer=renderer, atlas=atlas, frames=list(reader.frames(0, frames)), motion=syllable_motion(frames, float(rate)))


def run(job: dict[str, Any], folder: Path) -> Iterator[dict[str, float]]:
    """Yield what each round of drawing took."""
    from heygem_daemon.lipsync.device import use_threads  # noqa: PLC0415

    use_threads(job["cores"] or 0)
    clip = Path(job["clip"])
    scene = prepare(clip, Path(job["weights"]), folder)
    count = len(scene.frames)
    for number in range(1 + job["rounds"]):
        before = transcode(clip, count, folder / "plain.mp4")
        with Meter() as meter:
            drawn = sum(each.is_drawn for each in scene.renderer.render(scene.atlas, scene.frames, [scene.motion]))
        floor = (before.cpu + transcode(clip, count, folder / "plain.mp4").cpu) / 2
        if number > 0:  # in the first, code is compiled
            cost = {"CPU ms/frame": 1000 * meter.cpu / count, "wall ms/frame": 1000 * meter.wall / count}
            yield {CPU: meter.cpu / floor, **cost, "frames drawn": drawn}


def syllable_motion(count: int, rate: float) -> Any:
    """Return MouthMotion that opens and closes four times a second."""
    from heygem_daemon.lipsync.motion import VISEMES, MouthMotion  # noqa: PLC0415

    times = np.arange(count) / rate
    visemes = np.zeros((count, len(VISEMES)), np.float32)
    visemes[:, 0] = 1
    opening = (0.5 - 0.5 * np.cos(2 * np.pi * 4 * times)).astype(np.float32)
    return MouthMotion(times=times, opening=opening, width=np.full(count, 0.5, np.float32), visemes=visemes)


def main() -> None:
    job = json.load(sys.stdin)
    if job["cores"] is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job["cores"]])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(list(run(job, Path(folder)))))


if __name__ == "__main__":
    main()
