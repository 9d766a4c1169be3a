"""The rows of single renders: end to end at sizes, frame rates and lengths, stage by stage, and on fewer cores."""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.speed.amdahl import serial_share, speed_up
from benchmarks.speed.bed import Bed, Renders
from benchmarks.speed.inputs import SIZES, own_name
from benchmarks.speed.render_job import Render
from benchmarks.speed.rows import CPU, WALL, Measurement, Row, medians
from heygem_daemon.media.probe import probe

END_TO_END: Final = "End to end"
STAGES: Final = "Stages"
LENGTHS: Final = "Length"
CORES: Final = "Cores"
MEMORY_MIB: Final = 700
"""What a worker may take at 1080p."""


def render_measurements(bed: Bed, clips: Sequence[Path], lengths: Sequence[float]) -> Iterator[Measurement]:
    """Yield the measurements of renders. clips: measured in their own size, with 30 s (known presenter) and 60 s (new) of speech."""
    for clip in clips:
        stream = probe(clip.absolute()).video
        if stream is not None:
            name = own_name(stream.width, stream.height, stream.codec)
            yield Measurement(name=name, measure=partial(own_size, bed, clip.absolute(), name))
    for size in SIZES:
        for fps in (25, 60):
            name = f"{size}{fps}"
            yield Measurement(name=name, measure=partial(sized, bed, size, fps), is_quick=name == "720p25")
    for seconds in lengths:
        yield Measurement(name=f"length {seconds:g} s", measure=partial(length, bed, seconds), is_long=seconds > 60)
    yield Measurement(name="cores", measure=partial(cores, bed))


def own_size(bed: Bed, clip: Path, name: str) -> Iterator[Row]:
    """Measure a clip as it is: a new presenter with 60 s of speech, a known one with 30 s."""
    for presenter, seconds in (("new", 60), ("known", 30)):
        found = bed.render(clip=str(clip), speech={presenter: str(bed.inputs.recording(seconds))})
        yield from _rows(f"{name} {presenter}, {seconds} s", found.of(presenter), found)


def sized(bed: Bed, size: str, fps: int) -> Iterator[Row]:
    """Measure some seconds of a size and a frame rate, the presenter new and then known."""
    seconds = 4 if size == "4k" else 10
    found = bed.render(clip=str(bed.inputs.video(size, fps=fps, seconds=seconds)), speech=bed.speech(seconds))
    for presenter in ("new", "known"):
        yield from _rows(f"{size}{fps} {presenter}", found.of(presenter), found)


def _rows(name: str, renders: Sequence[Render], found: Renders) -> Iterator[Row]:
    """Yield the row of a render and those of its stages."""
    each = medians([_end_to_end(render) for render in renders])
    values = {key: value for key, value in each.items() if key not in {CPU, WALL}}
    memory = {"MiB": found.cost.peak, "MiB with children": found.cost.tree}
    ratios = {CPU: each[CPU], WALL: each[WALL], f"memory / {MEMORY_MIB} MiB": found.cost.peak / MEMORY_MIB}
    yield Row(section=END_TO_END, name=name, ratios=ratios, values={**values, **memory})
    for stage, parts in _stages(renders).items():
        yield Row(section=STAGES, name=f"{name}: {stage}", values=parts)


def _end_to_end(render: Render) -> dict[str, float]:
    """Return the ratios and the values of one render."""
    frames, cost, floor = render.frames, render.cost, render.floor
    return {
        CPU: cost.cpu / floor.cpu,
        WALL: cost.wall / floor.wall,
        "CPU ms/frame": 1000 * cost.cpu / frames,
        "wall ms/frame": 1000 * cost.wall / frames,
        "floor CPU ms/frame": 1000 * floor.cpu / frames,
        "x real time": frames / render.fps / cost.wall,
        "frames": frames,
        "sync r": render.correlation or 0.0,
    }


def _stages(renders: Sequence[Render]) -> dict[str, dict[str, float]]:
    """Return medians of ms per frame of each stage (wall clock, CPU of the process and of its ffmpeg), and its part of all CPU."""
    names = {"wall ms": "wall", "CPU ms": "own", "CPU ms of children": "children"}
    frames, whole = renders[0].frames, median(render.cost.cpu for render in renders)
    found = {}
    for stage in renders[0].stages:
        seconds = {name: median(render.stages[stage][part] for render in renders) for name, part in names.items()}
        share = 100 * (seconds["CPU ms"] + seconds["CPU ms of children"]) / whole
        found[stage] = {**{name: 1000 * value / frames for name, value in seconds.items()}, "% of CPU": share}
    return found


def length(bed: Bed, seconds: float) -> Iterator[Row]:
    """Measure the cost per frame of a length over that of 10 s, and the memory: both are flat."""
    for presenter in ("known", "new"):
        found, short = (_of_length(bed, presenter, each) for each in (seconds, 10))
        per_frame, per_short_frame = (median(each.cost.cpu / each.frames for each in renders.renders) for renders in (found, short))
        yield Row(
            section=LENGTHS,
            name=f"{seconds:g} s, {presenter}",
            ratios={"CPU a frame / 10 s": per_frame / per_short_frame, "memory / 10 s": found.cost.peak / short.cost.peak},
            values={"CPU ms/frame": 1000 * per_frame, "MiB": found.cost.peak, "MiB with children": found.cost.tree},
        )


def _of_length(bed: Bed, presenter: str, seconds: float) -> Renders:
    """Render that much: a known presenter in a clip of 10 s, played there and back, or a new one in a clip of all that length."""
    clip = bed.inputs.video("480p", fps=25, seconds=seconds if presenter == "new" else 10)
    rounds = 1 if seconds > 60 else bed.rounds
    return bed.render(clip=str(clip), speech={presenter: str(bed.inputs.recording(seconds))}, rounds=rounds)


def cores(bed: Bed) -> Iterable[Row]:
    """Measure on one core, on two and on all, in turns, and predict 16 by Amdahl's law from one and two."""
    available = len(os.sched_getaffinity(0))
    if available < 2:
        return [Row(section=CORES, name="cores", note="not measured: there is one core")]
    counts = sorted({1, 2, available})
    job = {"clip": str(bed.inputs.video("720p", fps=25, seconds=10)), "speech": bed.speech(10), "rounds": 1}
    history = [{count: bed.render(**job, cores=count) for count in counts} for _ in range(bed.rounds)]
    return [_scaling(presenter, history, counts) for presenter in ("new", "known", "floor")]


def _scaling(what: str, history: Sequence[dict[int, Renders]], counts: Sequence[int]) -> Row:
    """Return the row of a presenter, or of the plain transcode."""

    def wall(found: Renders) -> float:
        return found.of("known")[0].floor.wall if what == "floor" else found.of(what)[0].cost.wall

    times = {count: median(wall(each[count]) for each in history) for count in counts}
    share = serial_share(times[1], times[2])
    measured = {f"x as fast on {count}": times[1] / times[count] for count in counts[1:]}
    predicted = {"serial %": 100 * share, "x as fast on 16 (predicted)": speed_up(share, 16)}
    ratios = {} if what == "floor" else {"wall on 2 / wall on 1": times[2] / times[1]}
    name = what if what == "floor" else f"720p25 {what}"
    return Row(section=CORES, name=name, ratios=ratios, values={**measured, **predicted}, tolerances={"wall on 2 / wall on 1": 0.25})
