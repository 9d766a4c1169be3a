"""Wav2Lip against the loop it is usually run with, in turns in the same run: whole videos, then the generator alone. Medians are shown.

    python -m benchmarks.wav2lip [RECORDING VIDEO] [--seconds 10] [--out DIR] [--checkpoint wav2lip_gan.pth] [--device auto]
                                 [--threads 0] [--rounds 3]

The usual loop is written here anew: the whole video in memory, batch norms apart, float32, 128 faces at once, a rectangle pasted. It is
favoured: it has our tracker in place of a slower detector, and one encode, ours, in place of two. Without a checkpoint (a state dict, as
published) the weights are random: the pictures are noise, the work is the same. VIDEO and RECORDING are cut, or looped, to --seconds.
Models are loaded, and the checkpoint calibrated, before the clock starts. Each way runs in a process of its own, begun after
`heygem_daemon.lipsync` has told idle threads to sleep: of the usual loop too, whose threads else spin. MiB is the peak of that process, its
ffmpeg children apart; CPU seconds are with them. On a busy machine look at CPU time rather than at seconds.
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
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed import transcode
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.lipsync.device import choose_device, describe_device, use_threads
from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.progress import StageClock
from heygem_daemon.lipsync.render_request import RenderRequest
from heygem_daemon.lipsync.wav2lip import mel_spectrogram
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator, generate_rows
from heygem_daemon.lipsync.wav2lip.network import SIDE, Wav2Lip, fold_batch_norms
from heygem_daemon.media.frame import Frame, YuvSpace
from heygem_daemon.media.speech import speech_blocks
from tests.lipsync.wav2lip.synthetic_weights import untrained_weights

Array = np.ndarray
Draw = Callable[[Array, Array], Array]
Runs = dict[str, dict[str, Any]]
"""Label -> frames, seconds, stages, CPU seconds, and the MiB taken: memory, device."""
BATCH = 128
ENCODE = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p")
FFMPEG = ("ffmpeg", "-v", "error", "-y")
UP = {f"face_decoder_blocks.{i}.0" for i in range(1, 7)}
UNPADDED = {"face_encoder_blocks.6.0", "audio_encoder.11", "face_decoder_blocks.1.0"}
STRIDES: dict[str, Any] = dict.fromkeys({f"face_encoder_blocks.{i}.0" for i in range(1, 6)} | UP - UNPADDED, 2)
STRIDES |= {"audio_encoder.3": (3, 1), "audio_encoder.6": 3, "audio_encoder.9": (3, 2)}


class Layer(nn.Module):
    """Convolution, batch norm, ReLU: three modules, as the published weights are laid out."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        super().__init__()
        stride, padding = STRIDES.get(name, 1), 0 if name in UNPADDED else shape[2] // 2
        if name in UP:
            convolution: nn.Module = nn.ConvTranspose2d(*shape[:3], stride, padding, output_padding=stride - 1)
        else:
            convolution = nn.Conv2d(shape[1], shape[0], shape[2], stride, padding)
        self.conv_block = nn.Sequential(convolution, nn.BatchNorm2d(shape[name in UP]))
        self.act = nn.ReLU()
        self.is_residual = shape[0] == shape[1] and (shape[2], stride, padding) == (3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        drawn = self.conv_block(x)
        return self.act(drawn + x if self.is_residual else drawn)


class Naive(nn.Module):
    """The network, layer by layer as published. weights: of `published_layout`."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()

        def chain(start: str) -> nn.Sequential:
            names = [key.removesuffix(".conv_block.0.weight") for key in weights if key.endswith(".0.weight") and key.startswith(start)]
            return nn.Sequential(*(Layer(name, tuple(weights[f"{name}.conv_block.0.weight"].shape)) for name in names))

        self.face_encoder_blocks = nn.ModuleList(chain(f"face_encoder_blocks.{i}.") for i in range(7))
        self.audio_encoder = chain("audio_encoder.")
        self.face_decoder_blocks = nn.ModuleList(chain(f"face_decoder_blocks.{i}.") for i in range(7))
        self.output_block = nn.Sequential(*chain("output_block."), nn.Conv2d(32, 3, 1), nn.Sigmoid())
        self.load_state_dict(dict(weights))
        self.eval()

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        seen = []
        for block in self.face_encoder_blocks:
            face = block(face)
            seen.append(face)
        x = self.audio_encoder(mel)
        for block in self.face_decoder_blocks:
            x = torch.cat([block(x), seen.pop()], dim=1)
        return self.output_block(x)


class Whole(Wav2Lip):
    """Ours, working out all rows."""

    def rows_from(self, row: int, mel: Tensor, face: Tensor) -> Tensor:
        return super().rows_from(0, mel, face)


def read_weights(path: Path) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    return {name.removeprefix("module."): value for name, value in content.get("state_dict", content).items()}


def usual(network: nn.Module, mels: Array, faces: Array) -> Array:
    """Draw as the usual loop does: float32 [n, 3, 96, 96] in 0-1; what goes in is made by numpy."""
    device = next(network.parameters()).device
    masked = faces.copy()
    masked[:, SIDE // 2 :] = 0
    pair = (np.concatenate([masked, faces], axis=3) / 255.0).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.no_grad():
        return network(torch.from_numpy(mels[:, None]).to(device), torch.from_numpy(pair).to(device)).cpu().numpy()


def steps(weights: Mapping[str, Tensor], device: str) -> dict[str, Draw]:
    """Return what is compared: each line adds something to the one before."""

    def ours(kind: type[Wav2Lip], layout: torch.memory_format = torch.channels_last, dtype: torch.dtype = torch.float32) -> Wav2Lip:
        network = kind()
        network.load_state_dict(fold_batch_norms(weights))
        return network.eval().to(device, dtype, memory_format=layout)

    naive, plain, whole, lower = Naive(weights).to(device), ours(Whole, torch.contiguous_format), ours(Whole), ours(Wav2Lip)
    generator = FaceGenerator(ours(Wav2Lip), device)
    lines: dict[str, Draw] = {
        "naive": lambda m, f: usual(naive, m, f),
        "+ batch norms folded": lambda m, f: usual(plain, m, f),
        "+ channels_last": lambda m, f: usual(whole, m, f),
        "+ input made on the device": lambda m, f: generate_rows(whole, m, f).cpu().numpy(),
        "+ lower half only": lambda m, f: generate_rows(lower, m, f).cpu().numpy(),
    }
    for dtype in (torch.float16, torch.bfloat16) if device != "cpu" else ():
        short = ours(Wav2Lip, dtype=dtype)
        lines[f"+ {dtype}"] = lambda m, f, short=short: generate_rows(short, m, f).float().cpu().numpy()
    return lines | {f"ours: {generator.arithmetic.name}, {generator.batch} at once": generator}


def timed(draw: Draw, mels: Array, faces: Array) -> dict[str, Any]:
    """Return rows 48-95 of the pictures, float32 [n, 3, 48, 96] in 0-1, faces per second, CPU ms per face, and MiB of device memory."""
    has_card, before = torch.cuda.is_initialized(), 0
    if has_card:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    began, worked = time.perf_counter(), time.process_time()
    drawn = np.concatenate([draw(mels[i : i + BATCH], faces[i : i + BATCH]) for i in range(0, len(faces), BATCH)])
    if has_card:
        torch.cuda.synchronize()
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    taken = (torch.cuda.max_memory_allocated() - before) / 2**20 if has_card else 0.0
    drawn = drawn.transpose(0, 3, 1, 2) / 255 if drawn.shape[3] == 3 else drawn
    return {"lower": drawn[:, :, -SIDE // 2 :], "speed": len(faces) / seconds, "cpu": 1000 * worked / len(faces), "device": taken}


def compare_generators(options: argparse.Namespace) -> None:
    use_threads(options.threads)
    device, rounds = options.device, options.rounds
    noise, count = np.random.default_rng(1), BATCH if device == "cpu" else 8 * BATCH
    mels = noise.normal(-1, 2, (count, 80, 16)).clip(-4, 4).astype(np.float32)
    faces = noise.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    lines = steps(read_weights(options.checkpoint), device)
    history = [{label: timed(draw, mels, faces) for label, draw in lines.items()} for _ in range(rounds)]
    print(f"\n{'generator':28} {'faces/s':>9} {'x naive':>8} {'CPU ms/face':>12} {'x naive':>8} {'off by':>9} {'device MiB':>11}")
    for label in lines:
        speed, cpu, device_mib = (median(runs[label][name] for runs in history) for name in ("speed", "cpu", "device"))
        ratio = median(runs[label]["speed"] / runs["naive"]["speed"] for runs in history)
        saved = median(runs["naive"]["cpu"] / runs[label]["cpu"] for runs in history)
        off = np.abs(history[0][label]["lower"] - history[0]["naive"]["lower"]).max()
        print(f"{label:28} {speed:9.1f} {ratio:8.2f} {cpu:12.1f} {saved:8.2f} {off:9.1e} {device_mib:11.0f}")


def naive_run(job: argparse.Namespace) -> Runs:
    """Do what the usual loop does, one step after the other over the whole video."""
    use_threads(job.threads)
    network = Naive(read_weights(job.checkpoint)).to(job.device)
    before, clock = worked(), StageClock()
    with clock.stage("decode"):
        images, rate = decoded(job.video)
    with clock.stage("track"):
        boxes = boxes_of(images, rate, job)
    with clock.stage("mel"):
        speech = np.concatenate(list(speech_blocks(job.recording)))
        mel = np.pad(mel_spectrogram(speech), ((0, 0), (0, 16)), constant_values=-4)
    count = round(len(speech) * rate / 16000)
    with subprocess.Popen(encoding(job.out / "silent.mp4", images[0], rate), stdin=subprocess.PIPE) as encoder:
        for start in range(0, count, BATCH):
            numbers = [i % len(images) for i in range(start, min(start + BATCH, count))]
            with clock.stage("generate"):
                columns = (int(i * 80 / rate) for i in range(start, start + len(numbers)))
                faces = np.stack([cv2.resize(images[i][boxes[i]], (SIDE, SIDE)) for i in numbers])
                drawn = usual(network, np.stack([mel[:, column : column + 16] for column in columns]), faces)
            with clock.stage("paste, encode"):
                for i, face in zip(numbers, (255 * drawn).transpose(0, 2, 3, 1).astype(np.uint8), strict=True):
                    pasted = images[i].copy()
                    pasted[boxes[i]] = cv2.resize(face, pasted[boxes[i]].shape[1::-1])
                    encoder.stdin.write(pasted.data)
    with clock.stage("mux"):
        sound = ("-i", str(job.recording), "-c:v", "copy", "-c:a", "aac", str(job.out / "naive.mp4"))
        subprocess.run((*FFMPEG, "-i", str(job.out / "silent.mp4"), *sound), check=True)
    return {"naive": {"frames": count, "seconds": clock.elapsed(), "cpu": worked() - before, "stages": clock.seconds}}


def decoded(video: Path) -> tuple[list[Array], Fraction]:
    """Return every frame, uint8 [h, w, 3], and the frame rate."""
    capture, images = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        images.append(read[1])
    return images, Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)


def boxes_of(images: list[Array], rate: Fraction, job: argparse.Namespace) -> list[tuple[slice, slice]]:
    """Return where the face of each frame is, averaged with the four that follow; where there is none, where it was last."""
    height, width = images[0].shape[:2]
    space = YuvSpace(matrix="smpte170m", full_range=False)  # what OpenCV converts to
    packed = (cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).reshape(-1) for image in images)
    frames = (Frame.from_i420(data, width=width, height=height, index=i, space=space) for i, data in enumerate(packed))
    with tempfile.TemporaryDirectory() as folder:
        tracks = track_video(frames, size=(width, height), frame_rate=rate, models=job.models, directory=Path(folder))
        points = tracks.landmarks(0, tracks.frames)[:, :, :2]
    last = np.maximum.accumulate(np.where(tracks.valid, np.arange(len(points)), tracks.valid.argmax()))
    corners = np.concatenate([points.min(1), points.max(1) + np.array([0, 10])], axis=1)[last]
    smooth = np.stack([corners[i : i + 5].mean(0) for i in range(len(corners))]).clip(0, (width, height) * 2).astype(int)
    return [(slice(y0, y1), slice(x0, x1)) for x0, y0, x1, y1 in smooth]


def encoding(target: Path, like: Array, rate: Fraction) -> tuple[str, ...]:
    """Return the command that takes pictures like this one, uint8 [h, w, 3]."""
    size = f"{like.shape[1]}x{like.shape[0]}"
    return (*FFMPEG, "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", size, "-r", str(rate), "-i", "-", *ENCODE, str(target))


def session_run(job: argparse.Namespace, engine: str) -> Runs:
    """Render twice: the second time the presenter is known."""
    runs: Runs = {}
    request = RenderRequest(
        recording=job.recording, video=job.video, output=job.out / f"{engine}.mp4", options=RenderOptions(engine=engine)
    )
    with tempfile.TemporaryDirectory() as cache:
        session = session_of(job, Path(cache))
        session.load(engine)
        for presenter in ("new", "known"):
            began, before = time.perf_counter(), worked()
            report = session.render(request)
            taken = {"seconds": time.perf_counter() - began, "cpu": worked() - before}
            runs[f"{engine}, {presenter}"] = {"frames": report.frames, "stages": dict(report.stage_seconds), **taken}
    return runs


def worked() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def load_once(job: argparse.Namespace) -> None:
    session_of(job, job.out / "cache").load("wav2lip")


def session_of(job: argparse.Namespace, cache: Path) -> RenderSession:
    wav2lip = Wav2LipOptions(checkpoint=job.name, licence_confirmed=True)
    return RenderSession(job.models, cache, device=job.device, threads=job.threads, wav2lip=wav2lip)


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """Return what `work` returns, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def with_memory(work: Callable[..., Runs], *given: Any) -> Runs:
    """Return what `work` returns, with the memory that took."""
    runs = work(*given)
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    device = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0
    return {label: {**run, "memory": int(peak[1]) / 1024 if peak else 0.0, "device": device} for label, run in runs.items()}


def made_job(options: argparse.Namespace) -> argparse.Namespace:
    """Cut the material, and make a directory of models with the checkpoint in it, calibrated."""
    out, models = options.out, options.out / "models"
    models.mkdir(exist_ok=True)
    for path in (*options.weights.glob("*.tflite"), *options.weights.glob("*.safetensors")):
        with suppress(FileExistsError):
            (models / path.name).symlink_to(path.absolute())
    cut, even = (*FFMPEG, "-stream_loop", "-1", "-t", str(options.seconds)), ("-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2")
    subprocess.run((*cut, "-i", str(options.video), "-an", *even, *ENCODE, str(out / "video.mp4")), check=True)
    subprocess.run((*cut, "-i", str(options.recording), "-vn", "-ac", "1", str(out / "speech.wav")), check=True)
    made = {"models": models, "recording": out / "speech.wav", "video": out / "video.mp4"}
    job = argparse.Namespace(**{**vars(options), **made, "name": store.add(models, options.checkpoint).name})
    began = time.perf_counter()
    apart(load_once, job)
    print(f"loading and, the first time, calibration: {time.perf_counter() - began:.1f} s")
    return job


def compare_videos(job: argparse.Namespace, rounds: int) -> None:
    history: list[Runs] = []
    for _ in range(rounds):
        runs: Runs = apart(with_memory, naive_run, job)
        for engine in ("wav2lip", "wav2lip+atlas"):
            runs |= apart(with_memory, session_run, job, engine)
        frames = runs["naive"]["frames"]
        before, seconds = worked(), transcode(job.video, frames, job.out / "plain.mp4")
        plain = {"frames": frames, "seconds": seconds, "cpu": worked() - before, "stages": {}, "memory": 0, "device": 0}
        history.append(runs | {"plain transcode": plain})
    print(f"\n{'end to end':22} {'frames':>6} {'s':>7} {'fps':>7} {'x naive':>8} {'CPU s':>7} {'MiB':>6} {'device MiB':>11}")
    for label, first in history[0].items():
        seconds, cpu = (median(runs[label][name] for runs in history) for name in ("seconds", "cpu"))
        ratio = median(runs["naive"]["seconds"] / runs[label]["seconds"] for runs in history)
        memory, device = (max(runs[label][name] for runs in history) for name in ("memory", "device"))
        fps = first["frames"] / seconds
        print(f"{label:22} {first['frames']:6} {seconds:7.1f} {fps:7.1f} {ratio:8.2f} {cpu:7.1f} {memory:6.0f} {device:11.0f}")
    for label, first in history[0].items():
        stages = ((stage, median(runs[label]["stages"][stage] for runs in history)) for stage in first["stages"])
        print(f"{label:22} " + ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in stages if seconds >= 0.005))


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
            compare_videos(made_job(options), options.rounds)
        apart(compare_generators, options)


if __name__ == "__main__":
    main()
