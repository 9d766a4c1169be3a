"""The rows of what surrounds a render: the start of a worker, one job against many processes, a drop until its first result."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from benchmarks.speed.bed import PACKAGE, Bed
from benchmarks.speed.floor import transcode
from benchmarks.speed.processes import Cost, measure_command, peak_mib, tree_cpu_seconds
from benchmarks.speed.rows import Measurement, Row, medians
from heygem_daemon.core.work import WorkerReady
from heygem_daemon.executors.local import WorkerSetup, worker_command
from heygem_daemon.executors.worker_process import WorkerProcess
from heygem_daemon.lipsync.engines import NO_OPTIONS
from heygem_daemon.media.types import DEFAULT_LIMITS
from heygem_daemon.worker.protocol import decode
from tests.e2e.site import Site

START_SECONDS: Final = 120
"""After which a worker that is not ready counts as broken; a cold start takes 26 s."""
VIDEO_SECONDS: Final = 4
"""Of each video of the job with many of them; the longer, the less of it is start and recording, which one job does once."""
FLOOR_FRAMES: Final = 250
"""Of 720p25: 10 s, of which the plain transcode is the unit of times that have no floor of their own."""


def service_measurements(bed: Bed, videos: int) -> Iterator[Measurement]:
    """Yield the measurements. videos: of the job with many of them."""
    yield Measurement(name="start", measure=lambda: start(bed), is_quick=True)
    yield Measurement(name="drop", measure=lambda: drop(bed), is_quick=True)
    yield Measurement(name="jobs", measure=lambda: jobs(bed, videos))
    yield Measurement(name="jobs of 3", measure=lambda: jobs(bed, 3), is_quick=True)


def unit(bed: Bed) -> Cost:
    """Return the cost of the plain transcode of FLOOR_FRAMES."""
    with tempfile.TemporaryDirectory() as folder:
        return transcode(bed.inputs.video("720p", fps=25, seconds=10), FLOOR_FRAMES, Path(folder) / "plain.mp4")


# -- the start of a worker ---------------------------------------------------------------------------------------------


def start(bed: Bed) -> Iterator[Row]:
    """Measure a worker until it is ready: cold, with all compiled code removed, and warm."""
    for name, measure in (("cold", _cold_start), ("warm", _warm_start)):
        rounds = [_over_unit(measure(bed), unit(bed)) for _ in range(1 if name == "cold" else bed.rounds)]
        found = medians(rounds)
        ratio = {"CPU / floor of 10 s": found.pop("ratio")}
        yield Row(section="Start of a worker", name=f"start, {name}", ratios=ratio, values=found, tolerances=dict.fromkeys(ratio, 0.3))


def _over_unit(cost: Cost, floor: Cost) -> dict[str, float]:
    return {"ratio": cost.cpu / floor.cpu, "s": cost.wall, "CPU s": cost.cpu, "MiB": cost.peak}


def _cold_start(bed: Bed) -> Cost:
    """Start a worker of a copy of the package: no code of it, and none of numba's, has been compiled."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(bed.package / PACKAGE, Path(folder) / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        return start_worker(bed, {"PYTHONPATH": folder, "NUMBA_CACHE_DIR": f"{folder}/numba", "XDG_CACHE_HOME": f"{folder}/cache"})


def _warm_start(bed: Bed) -> Cost:
    """Start a worker twice; the first one leaves warm files for the second."""
    start_worker(bed, {})
    return start_worker(bed, {})


def start_worker(bed: Bed, variables: dict[str, str]) -> Cost:
    """Start a worker, wait until it is ready, end it; return what the start cost. variables: added to its environment."""
    with tempfile.TemporaryDirectory() as folder:
        setup = WorkerSetup(models=bed.weights, cache=Path(folder), threads=0, cache_bytes=10**9, limits=DEFAULT_LIMITS, wav2lip=NO_OPTIONS)
        began = time.monotonic()
        worker = WorkerProcess(worker_command(setup, "bench", "cpu"), {**os.environ, **variables})
        try:
            _wait_until(lambda: any(isinstance(decode(line), WorkerReady) for line in worker.stdout.lines()))
            return Cost(
                wall=time.monotonic() - began, cpu=tree_cpu_seconds(psutil.Process(worker.pid)), peak=peak_mib(worker.pid), tree=0.0
            )
        finally:
            worker.kill_and_reap()


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the worker did not become ready")
        time.sleep(0.02)


# -- one job against many processes ------------------------------------------------------------------------------------


def jobs(bed: Bed, count: int) -> Iterator[Row]:
    """Measure `count` short videos with one recording: in one `heygem render`, which is one session, and in a process each."""
    videos = [bed.inputs.video("480p", fps=25, seconds=VIDEO_SECONDS, start=0.2 * number) for number in range(count)]
    speech = bed.inputs.recording(VIDEO_SECONDS)
    rounds = []
    for _ in range(max(1, bed.rounds - 1)):
        together, apart = _render(bed, speech, videos), [_render(bed, speech, [video]) for video in videos]
        cpu, wall = sum(each.cpu for each in apart), sum(each.wall for each in apart)
        rounds.append(
            {
                "CPU / processes": together.cpu / cpu,
                "wall / processes": together.wall / wall,
                "job CPU s": together.cpu,
                "processes CPU s": cpu,
                "job s": together.wall,
                "processes s": wall,
                "job MiB with children": together.tree,
            }
        )
    found = medians(rounds)
    ratios = {name: found.pop(name) for name in ("CPU / processes", "wall / processes")}
    yield Row(section="Many videos with one recording", name=f"{count} videos of {VIDEO_SECONDS} s", ratios=ratios, values=found)


def _render(bed: Bed, speech: Path, videos: list[Path]) -> Cost:
    """Run `heygem render` with a new cache."""
    with tempfile.TemporaryDirectory() as folder:
        places = ("--out", f"{folder}/out", "--cache", f"{folder}/cache", "--weights", str(bed.weights), "--device", "cpu")
        command = (sys.executable, "-m", "heygem_daemon", "render", str(speech), *map(str, videos), *places)
        return measure_command(command)[0]


# -- a drop ------------------------------------------------------------------------------------------------------------


def drop(bed: Bed) -> Iterator[Row]:
    """Measure from the last byte of a drop to its published result, by a daemon that waits for it with a worker that is ready."""
    video = bed.inputs.video("480p", fps=25, seconds=5)
    recordings = [bed.inputs.recording(5, start=0.5 * number) for number in range(1 + bed.rounds)]  # a worker keeps what it has heard
    with tempfile.TemporaryDirectory() as folder:
        site = Site(folder=Path(folder) / "site", weights=bed.weights, cache=Path(folder) / "cache")
        with site:
            config = site.folder / "heygem.toml"
            config.write_text(config.read_text(encoding="utf-8").replace("threads = 1\n", "threads = 0\n"), encoding="utf-8")
            daemon = site.start()
            site.wait_for(lambda: site.events("worker_ready"), "no worker came up")
            rounds = [{**_drop(site, f"drop-{number}", speech, video), "floor": unit(bed).wall} for number, speech in enumerate(recordings)]
            site.stop(daemon)
    for name, found in (("new presenter", rounds[0]), ("known presenter", medians(rounds[1:]))):
        ratio = {"wall / floor of 10 s": found["s"] / found["floor"]}
        values = {key: value for key, value in found.items() if key != "floor"}
        note = f"{site.settle} s of it are settle_seconds"
        yield Row(section="Drop to result", name=name, ratios=ratio, values=values, note=note, tolerances=dict.fromkeys(ratio, 0.35))


def _drop(site: Site, name: str, speech: Path, video: Path) -> dict[str, float]:
    """Return the s from the last byte copied to `queued`, to the start of the work and to the published result."""
    site.drop(name, speech, [video])
    last_byte = time.time()
    site.wait_for(lambda: _times(site, "item_published", name), f"{name} was not published", timeout=300)
    queued, started, published = (median(_times(site, event, name)) for event in ("job_queued", "item_started", "item_published"))
    return {"s": published - last_byte, "s to queued": queued - last_byte, "s to work": started - last_byte}


def _times(site: Site, event: str, job: str) -> list[float]:
    return [datetime.fromisoformat(each["timestamp"]).timestamp() for each in site.events(event) if each.get("job") == job]
