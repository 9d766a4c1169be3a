"""The process that draws the same frames on a card, in batches of several sizes, and on the CPU, and compares both.

A job as JSON on standard input: clip, weights, device, frames, batches, rounds; what was measured comes as JSON on standard output.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.speed.drawing import Scene, prepare

Bytes = npt.NDArray[np.uint8]


def run(job: dict[str, Any], folder: Path) -> dict[str, dict[str, float]]:
    """Return, for each batch size, ms of wall-clock time per frame (upload, kernels, download) and the difference to the CPU's frames.

    "plan": what the CPU does for each frame before. "whole": planning, drawing and waiting together, as the product does it.
    """
    import torch  # noqa: PLC0415  (slow to import)

    from heygem_daemon.lipsync.atlas.card.compositor import CardCompositor  # noqa: PLC0415
    from heygem_daemon.lipsync.atlas.card.timing import drawing_times  # noqa: PLC0415
    from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer  # noqa: PLC0415

    scene = prepare(Path(job["clip"]), Path(job["weights"]), folder, frames=job["frames"])
    expected = [each.frame for each in scene.renderer.render(scene.atlas, scene.frames, [scene.motion])]
    compositor = CardCompositor(scene.atlas.presenter, torch.device(job["device"]))
    tasks = [task for task in scene.renderer.tasks(scene.atlas, scene.frames, [scene.motion]) if task.spec is not None]
    start = time.perf_counter()
    planned = [compositor.plan(task.frame, task.face, task.spec) for task in tasks]
    found = {"plan": {"ms/frame": 1000 * (time.perf_counter() - start) / len(planned)}}
    wanted = {task.frame.index: None for task in tasks}
    truth = [_bytes(each) for each in expected if each.index in wanted]
    for batch in job["batches"]:
        times, drawn = _draw_in_batches(compositor, planned, batch, job["rounds"])
        sources = [_bytes(task.frame) for task in tasks]
        parts = {f"{name} ms/frame": value for name, value in asdict(drawing_times(compositor, planned, batch)).items()}
        found[str(batch)] = {"ms/frame": 1000 * median(times), **parts, **difference([_bytes(each) for each in drawn], truth, sources)}
    whole = AtlasRenderer(job["device"], Path(job["weights"]))
    found["whole"] = {"ms/frame": 1000 * median(_draw_whole(whole, scene) for _ in range(job["rounds"]))}
    return found


def _draw_in_batches(compositor: Any, planned: Sequence[Any], batch: int, rounds: int) -> tuple[list[float], list[Any]]:
    """Return the s per frame of each round, the first left out, and the frames of the last."""
    times: list[float] = []
    drawn: list[Any] = []
    for _ in range(1 + rounds):
        start, drawn = time.perf_counter(), []
        for first in range(0, len(planned), batch):
            drawn += compositor.draw(planned[first : first + batch])
        times.append((time.perf_counter() - start) / len(planned))
    return times[1:], drawn


def _draw_whole(renderer: Any, scene: Scene) -> float:
    """Return the s per frame."""
    start = time.perf_counter()
    count = sum(1 for _ in renderer.render(scene.atlas, scene.frames, [scene.motion]))
    return (time.perf_counter() - start) / count


def _bytes(frame: Any) -> Bytes:
    return np.frombuffer(frame.i420().data, np.uint8)


def difference(drawn: Sequence[Bytes], expected: Sequence[Bytes], sources: Sequence[Bytes]) -> dict[str, float]:
    """Compare drawn frames with expected ones, uint8 [n] each, where either differs from its source.

    Return "dB": the peak signal-to-noise ratio there, 99 where nothing differs; "% off by more than 2": of the values there.
    """
    squares, off, count = 0.0, 0, 0
    for result, wanted, source in zip(drawn, expected, sources, strict=True):
        changed = (result != source) | (wanted != source)
        error = result[changed].astype(np.int64) - wanted[changed]
        squares, off, count = squares + float((error**2).sum()), off + int((abs(error) > 2).sum()), count + error.size
    if not squares:
        return {"dB": 99.0, "% off by more than 2": 0.0}
    return {"dB": float(10 * np.log10(255**2 * count / squares)), "% off by more than 2": 100 * off / count}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(json.load(sys.stdin), Path(folder))))


if __name__ == "__main__":
    main()
