"""Compare Wav2Lip with the loop it is usually run with, in turns in the same run: whole videos, then the generator alone. Shows medians.

    python -m benchmarks.wav2lip [RECORDING VIDEO] [--seconds 10] [--out DIR] [--checkpoint wav2lip_gan.pth] [--device auto]
                                 [--threads 0] [--rounds 3]

The usual loop is in wav2lip_naive.py; it is favoured: it has our tracker in place of a slower detector, and one encode, ours, in place of
two. Without a checkpoint (a state dict, as published) the weights are random: the generated faces are noise, the work is the same. VIDEO
and RECORDING are cut, or looped, to --seconds. Models are loaded, and the checkpoint calibrated, before the clock starts. Each way runs in
a process of its own, started after `heygem_daemon.lipsync` has made idle threads sleep: this holds for the usual loop too, whose threads
would spin otherwise. MiB is the peak of that process without its ffmpeg children; CPU seconds include them. On a busy machine CPU time is
more reliable than seconds.
"""

import argparse
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.floor import ENCODE, FFMPEG, transcode
from benchmarks.wav2lip_naive import (
    BATCH,
    NaiveWav2Lip,
    Run,
    cpu_seconds,
    generate_naively,
    read_weights,
    run_naively,
)
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.device import choose_device, describe_device, use_threads
from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.render_request import RenderRequest
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator, generate_rows
from heygem_daemon.lipsync.wav2lip.network import SIDE, Wav2Lip, fold_batch_norms
from tests.lipsync.wav2lip.synthetic_weights import untrained_weights

Generate = Callable[[Float32, Image], Float32]
"""Computes faces from mels, float32 [n, 80, 16], and faces, uint8 [n, 96, 96, 3]."""
Runs = dict[str, Run]
"""Label -> run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratorRun:
    """lower: rows 48-95 of the generated faces, float32 [n, 3, 48, 96] in 0-1; speed: faces per second; cpu: CPU ms per face.

    device_memory: MiB.
    """

    lower: Float32
    speed: float
    cpu: float
    device_memory: float


class WholeFaceWav2Lip(Wav2Lip):
    """Our network, computing all rows."""

    def rows_from(self, row: int, mel: Tensor, face: Tensor) -> Tensor:
        return super().rows_from(0, mel, face)


def optimisation_steps(weights: Mapping[str, Tensor], device: str) -> dict[str, Generate]:
    """Return the generators that are compared: each adds something to the one before."""

    def our_network(kind: type[Wav2Lip], layout: torch.memory_format = torch.channels_last, dtype: torch.dtype = torch.float32) -> Wav2Lip:
        network = kind()
        network.load_state_dict(fold_batch_norms(weights))
        return network.eval().to(device, dtype).to(memory_format=layout)  # type: ignore[no-any-return, call-overload]

    folded, whole, lower = our_network(WholeFaceWav2Lip, torch.contiguous_format), our_network(WholeFaceWav2Lip), our_network(Wav2Lip)
    generator = FaceGenerator(our_network(Wav2Lip), device)
    generators: dict[str, Generate] = {
        "naive": partial(generate_naively, NaiveWav2Lip(weights).to(device)),
        "+ batch norms folded": partial(generate_naively, folded),
        "+ channels_last": partial(generate_naively, whole),
        "+ input made on the device": partial(generate_on_device, whole),
        "+ lower half only": partial(generate_on_device, lower),
    }
    for dtype in (torch.float16, torch.bfloat16) if device != "cpu" else ():
        generators[f"+ {dtype}"] = partial(generate_on_device, our_network(Wav2Lip, dtype=dtype))
    return generators | {f"ours: {generator.arithmetic.name}, {generator.batch} at once": generator}


def generate_on_device(network: Wav2Lip, mels: Float32, faces: Image) -> Float32:
    """Return the rows that the network computes, float32 [n, 3, rows, 96] in 0-1; the input is made on the device."""
    return np.asarray(generate_rows(network, mels, faces).float().cpu().numpy(), np.float32)


def time_generator(generate: Generate, mels: Float32, faces: Image) -> GeneratorRun:
    """Generate faces, 128 at once, and measure the time and the memory that takes."""
    has_gpu, before = torch.cuda.is_initialized(), 0  # type: ignore[no-untyped-call]
    if has_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    start, cpu_start = time.perf_counter(), time.process_time()
    generated = np.concatenate([generate(mels[i : i + BATCH], faces[i : i + BATCH]) for i in range(0, len(faces), BATCH)])
    if has_gpu:
        torch.cuda.synchronize()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    memory = (torch.cuda.max_memory_allocated() - before) / 2**20 if has_gpu else 0.0
    if generated.shape[3] == 3:  # of FaceGenerator: [n, 52, 96, 3] in 0-255
        generated = generated.transpose(0, 3, 1, 2) / 255
    return GeneratorRun(lower=generated[:, :, -SIDE // 2 :], speed=len(faces) / seconds, cpu=1000 * cpu / len(faces), device_memory=memory)


def compare_generators(options: argparse.Namespace) -> None:
    """Print the speed of the generators, and their largest difference to the naive one."""
    use_threads(options.threads)
    device, rounds = options.device, options.rounds
    random, count = np.random.default_rng(1), BATCH if device == "cpu" else 8 * BATCH
    mels = random.normal(-1, 2, (count, 80, 16)).clip(-4, 4).astype(np.float32)
    faces = random.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    generators = optimisation_steps(read_weights(options.checkpoint), device)
    history = [{label: time_generator(generate, mels, faces) for label, generate in generators.items()} for _ in range(rounds)]
    print(f"\n{'generator':28} {'faces/s':>9} {'x naive':>8} {'CPU ms/face':>12} {'x naive':>8} {'off by':>9} {'device MiB':>11}")
    for label in generators:
        speed, cpu = median(runs[label].speed for runs in history), median(runs[label].cpu for runs in history)
        device_memory = median(runs[label].device_memory for runs in history)
        speed_ratio = median(runs[label].speed / runs["naive"].speed for runs in history)
        cpu_ratio = median(runs["naive"].cpu / runs[label].cpu for runs in history)
        difference = np.abs(history[0][label].lower - history[0]["naive"].lower).max()
        print(f"{label:28} {speed:9.1f} {speed_ratio:8.2f} {cpu:12.1f} {cpu_ratio:8.2f} {difference:9.1e} {device_memory:11.0f}")


def run_session(job: argparse.Namespace, engine: str) -> Runs:
    """Render twice: the second time the presenter is known."""
    runs: Runs = {}
    request = RenderRequest(
        recording=job.recording, video=job.video, output=job.out / f"{engine}.mp4", options=RenderOptions(engine=engine)
    )
    with tempfile.TemporaryDirectory() as cache:
        session = make_session(job, Path(cache))
        session.load(engine)
        for presenter in ("new", "known"):
            start, before = time.perf_counter(), cpu_seconds()
            report = session.render(request)
            seconds, cpu = time.perf_counter() - start, cpu_seconds() - before
            runs[f"{engine}, {presenter}"] = Run(frames=report.frames, seconds=seconds, cpu=cpu, stages=dict(report.stage_seconds))
    return runs


def load_once(job: argparse.Namespace) -> None:
    """Load the engine, so that the checkpoint is calibrated."""
    make_session(job, job.out / "cache").load("wav2lip")


def make_session(job: argparse.Namespace, cache: Path) -> RenderSession:
    wav2lip = Wav2LipOptions(checkpoint=job.name, licence_confirmed=True)
    return RenderSession(job.models, cache, device=job.device, threads=job.threads, wav2lip=wav2lip)


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `function` returns, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def with_memory(function: Callable[..., Runs], *arguments: Any) -> Runs:
    """Return the runs that `function` returns, with the peak memory of this process and of the device."""
    runs = function(*arguments)
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    device = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0  # type: ignore[no-untyped-call]
    return {label: replace(run, memory=int(peak[1]) / 1024 if peak else 0.0, device_memory=device) for label, run in runs.items()}


def prepare_job(options: argparse.Namespace) -> argparse.Namespace:
    """Cut the recording and the video, and make a directory of models with the calibrated checkpoint in it.

    Returns the options with `recording`, `video` and `models` replaced by these, and with `name`, the checkpoint's.
    """
    out, models = options.out, options.out / "models"
    models.mkdir(exist_ok=True)
    for path in (*options.weights.glob("*.tflite"), *options.weights.glob("*.safetensors")):
        with suppress(FileExistsError):
            (models / path.name).symlink_to(path.absolute())
    cut, even = (*FFMPEG, "-stream_loop", "-1", "-t", str(options.seconds)), ("-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2")
    subprocess.run((*cut, "-i", str(options.video), "-an", *even, *ENCODE, str(out / "video.mp4")), check=True)
    subprocess.run((*cut, "-i", str(options.recording), "-vn", "-ac", "1", str(out / "speech.wav")), check=True)
    inputs = {"models": models, "recording": out / "speech.wav", "video": out / "video.mp4"}
    job = argparse.Namespace(**{**vars(options), **inputs, "name": store.add(models, options.checkpoint).name})
    start = time.perf_counter()
    in_new_process(load_once, job)
    print(f"loading and, the first time, calibration: {time.perf_counter() - start:.1f} s")
    return job


def compare_videos(job: argparse.Namespace, rounds: int) -> None:
    """Render the video in every way, in turns, and print what that took."""
    history = [_render_all(job) for _ in range(rounds)]
    print(f"\n{'end to end':22} {'frames':>6} {'s':>7} {'fps':>7} {'x naive':>8} {'CPU s':>7} {'MiB':>6} {'device MiB':>11}")
    for label, first in history[0].items():
        seconds, cpu = median(runs[label].seconds for runs in history), median(runs[label].cpu for runs in history)
        ratio = median(runs["naive"].seconds / runs[label].seconds for runs in history)
        memory, device = max(runs[label].memory for runs in history), max(runs[label].device_memory for runs in history)
        fps = first.frames / seconds
        print(f"{label:22} {first.frames:6} {seconds:7.1f} {fps:7.1f} {ratio:8.2f} {cpu:7.1f} {memory:6.0f} {device:11.0f}")
    for label, first in history[0].items():
        stages = ((stage, median(runs[label].stages[stage] for runs in history)) for stage in first.stages)
        print(f"{label:22} " + ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in stages if seconds >= 0.005))


def _render_all(job: argparse.Namespace) -> Runs:
    """Render by the usual loop and by both engines, and transcode without any lip sync."""
    runs: Runs = in_new_process(with_memory, run_naively, job)
    for engine in ("wav2lip", "wav2lip+atlas"):
        runs |= in_new_process(with_memory, run_session, job, engine)
    frames = runs["naive"].frames
    plain = transcode(job.video, frames, job.out / "plain.mp4")
    return runs | {"plain transcode": Run(frames=frames, seconds=plain.wall, cpu=plain.cpu, stages={})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path, nargs="?")
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.device = choose_device(options.device)
    use_threads(options.threads)
    print(f"{describe_device(options.device)}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    if options.device != "cpu":
        print(f"TF32 in float32 convolutions: {torch.backends.cudnn.allow_tf32}")
    with tempfile.TemporaryDirectory() as scratch:
        options.out = (options.out or Path(scratch)).absolute()
        options.out.mkdir(parents=True, exist_ok=True)
        if options.checkpoint is None:
            options.checkpoint = options.out / "random.pth"
            torch.save({"state_dict": untrained_weights()}, options.checkpoint)
        if options.video is not None:
            compare_videos(prepare_job(options), options.rounds)
        in_new_process(compare_generators, options)


if __name__ == "__main__":
    main()
