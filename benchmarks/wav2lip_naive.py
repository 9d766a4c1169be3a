"""Wav2Lip as it is usually run: the network layer by layer as published, in a loop over a whole video that is held in memory.

What `benchmarks.wav2lip` compares with. Written anew: batch norms apart, float32, 128 faces at once, a rectangle pasted. It has our tracker
in place of a slower detector, and one encode, ours, in place of two.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed.floor import ENCODE, FFMPEG
from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.device import use_threads
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.progress import StageClock
from heygem_daemon.lipsync.wav2lip import mel_spectrogram
from heygem_daemon.lipsync.wav2lip.mel import RATE as COLUMNS_PER_SECOND
from heygem_daemon.lipsync.wav2lip.mel import SILENCE
from heygem_daemon.lipsync.wav2lip.network import COLUMNS, SIDE
from heygem_daemon.media.frame import Frame, YuvSpace
from heygem_daemon.media.probe import probe
from heygem_daemon.media.speech import speech_blocks

BATCH: Final = 128
"""Faces at once."""
_SAMPLE_RATE: Final = 16000

Stride = int | tuple[int, int]
_UPSAMPLING: Final = {f"face_decoder_blocks.{i}.0" for i in range(1, 7)}
_UNPADDED: Final = {"face_encoder_blocks.6.0", "audio_encoder.11", "face_decoder_blocks.1.0"}
_STRIDES: Final[dict[str, Stride]] = {
    **dict.fromkeys({f"face_encoder_blocks.{i}.0" for i in range(1, 6)} | _UPSAMPLING - _UNPADDED, 2),
    "audio_encoder.3": (3, 1),
    "audio_encoder.6": 3,
    "audio_encoder.9": (3, 2),
}
"""Layer -> its stride, where that is not 1."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The cost of one render. seconds: wall clock; cpu: CPU seconds; stages: stage -> s; memory, device_memory: peaks in MiB."""

    frames: int
    seconds: float
    cpu: float
    stages: Mapping[str, float]
    memory: float = 0.0
    device_memory: float = 0.0


class Layer(nn.Module):
    """Convolution, batch norm, ReLU: three modules, as the published weights are laid out. shape: of the convolution's weight."""

    def __init__(self, name: str, shape: torch.Size) -> None:
        super().__init__()
        first, second, kernel, _ = shape
        stride, padding = _STRIDES.get(name, 1), 0 if name in _UNPADDED else kernel // 2
        if name in _UPSAMPLING:
            outputs, extra = second, 0 if stride == 1 else 1
            convolution: nn.Module = nn.ConvTranspose2d(first, second, kernel, stride, padding, output_padding=extra)
        else:
            outputs = first
            convolution = nn.Conv2d(second, first, kernel, stride, padding)
        self.conv_block = nn.Sequential(convolution, nn.BatchNorm2d(outputs))
        self.act = nn.ReLU()
        self.is_residual = first == second and (kernel, stride, padding) == (3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        return cast(Tensor, self.act(y + x if self.is_residual else y))


class NaiveWav2Lip(nn.Module):
    """The network, layer by layer as published. weights: of `published_layout`."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()

        def chain(start: str) -> nn.Sequential:
            names = [key.removesuffix(".conv_block.0.weight") for key in weights if key.endswith(".0.weight") and key.startswith(start)]
            return nn.Sequential(*(Layer(name, weights[f"{name}.conv_block.0.weight"].shape) for name in names))

        self.face_encoder_blocks = nn.ModuleList(chain(f"face_encoder_blocks.{i}.") for i in range(7))
        self.audio_encoder = chain("audio_encoder.")
        self.face_decoder_blocks = nn.ModuleList(chain(f"face_decoder_blocks.{i}.") for i in range(7))
        self.output_block = nn.Sequential(*chain("output_block."), nn.Conv2d(32, 3, 1), nn.Sigmoid())
        self.load_state_dict(dict(weights))
        self.eval()

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        encoded = []
        for block in self.face_encoder_blocks:
            face = block(face)
            encoded.append(face)
        x = self.audio_encoder(mel)
        for block in self.face_decoder_blocks:
            x = torch.cat([block(x), encoded.pop()], dim=1)
        return cast(Tensor, self.output_block(x))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a checkpoint as published, also of one that was saved from several GPUs."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return {name.removeprefix("module."): value for name, value in content.get("state_dict", content).items()}


def generate_naively(network: nn.Module, mels: Float32, faces: Image) -> Float32:
    """Return generated faces, float32 [n, 3, 96, 96] in 0-1; the input of the network is made by numpy.

    mels: float32 [n, 80, 16]; faces: uint8 [n, 96, 96, 3].
    """
    device = next(network.parameters()).device
    masked = faces.copy()
    masked[:, SIDE // 2 :] = 0
    pair = (np.concatenate([masked, faces], axis=3) / 255.0).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.no_grad():
        generated = network(torch.from_numpy(mels[:, None]).to(device), torch.from_numpy(pair).to(device))
    return np.asarray(generated.cpu().numpy(), np.float32)


def run_naively(job: argparse.Namespace) -> dict[str, Run]:
    """Render one step after the other over the whole video. job: see `prepare_job` of `benchmarks.wav2lip`."""
    use_threads(job.threads)
    network = NaiveWav2Lip(read_weights(job.checkpoint)).to(job.device)
    before, clock = cpu_seconds(), StageClock()
    with clock.stage("decode"):
        images, rate = decode(job.video)
    with clock.stage("track"):
        boxes = face_boxes(images, rate, job.models)
    with clock.stage("mel"):
        speech = np.concatenate(list(speech_blocks(probe(job.recording))))
        mel = np.pad(mel_spectrogram(speech), ((0, 0), (0, COLUMNS)), constant_values=SILENCE)
    count = round(len(speech) * rate / _SAMPLE_RATE)
    numbers = [i % len(images) for i in range(count)]
    with subprocess.Popen(encode_command(job.out / "silent.mp4", images[0], rate), stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None  # noqa: S101  (it is a pipe)
        for start in range(0, count, BATCH):
            batch = numbers[start : start + BATCH]
            with clock.stage("generate"):
                faces = np.stack([_resize(images[i][boxes[i]], SIDE, SIDE) for i in batch])
                generated = generate_naively(network, _mel_windows(mel, start, len(batch), rate), faces)
            with clock.stage("paste, encode"):
                for pasted in _paste(generated, [(images[i], boxes[i]) for i in batch]):
                    encoder.stdin.write(pasted.data)
    with clock.stage("mux"):
        audio = ("-i", str(job.recording), "-c:v", "copy", "-c:a", "aac", str(job.out / "naive.mp4"))
        subprocess.run((*FFMPEG, "-i", str(job.out / "silent.mp4"), *audio), check=True)
    return {"naive": Run(frames=count, seconds=clock.elapsed(), cpu=cpu_seconds() - before, stages=clock.seconds)}


def _mel_windows(mel: Float32, start: int, count: int, rate: Fraction) -> Float32:
    """Return float32 [count, 80, 16]: the windows of the frames from `start` on."""
    columns = (int(i * COLUMNS_PER_SECOND / rate) for i in range(start, start + count))
    return np.stack([mel[:, column : column + COLUMNS] for column in columns])


def _paste(generated: Float32, targets: list[tuple[Image, tuple[slice, slice]]]) -> Iterator[Image]:
    """Yield copies of the images with the generated faces in their boxes."""
    for (image, box), face in zip(targets, (255 * generated).transpose(0, 2, 3, 1).astype(np.uint8), strict=True):
        pasted = image.copy()
        pasted[box] = _resize(face, *pasted[box].shape[:2])
        yield pasted


def _resize(image: Image, height: int, width: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height)), np.uint8)


def decode(video: Path) -> tuple[list[Image], Fraction]:
    """Return every frame, uint8 [h, w, 3], and the frame rate."""
    capture, images = cv2.VideoCapture(str(video)), list[Image]()
    while (read := capture.read())[0]:
        images.append(np.asarray(read[1], np.uint8))
    return images, Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)


def face_boxes(images: list[Image], rate: Fraction, models: Path) -> list[tuple[slice, slice]]:
    """Return the face's box of each frame, averaged with the four that follow; where there is no face, the last box."""
    height, width = images[0].shape[:2]
    space = YuvSpace(matrix="smpte170m", full_range=False)  # what OpenCV converts to
    packed = (np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1) for image in images)
    frames = (Frame.from_i420(data, width=width, height=height, index=i, space=space) for i, data in enumerate(packed))
    with tempfile.TemporaryDirectory() as folder:
        tracks = track_video(frames, size=(width, height), frame_rate=rate, models=models, directory=Path(folder))
        points = tracks.landmarks(0, tracks.frames)[:, :, :2]
    last = np.maximum.accumulate(np.where(tracks.valid, np.arange(len(points)), tracks.valid.argmax()))
    corners = np.concatenate([points.min(1), points.max(1) + np.array([0, 10])], axis=1)[last]
    smooth = np.stack([corners[i : i + 5].mean(0) for i in range(len(corners))]).clip(0, (width, height) * 2).astype(int)
    return [(slice(y0, y1), slice(x0, x1)) for x0, y0, x1, y1 in smooth]


def encode_command(target: Path, like: Image, rate: Fraction) -> tuple[str, ...]:
    """Return the command that encodes raw frames of the size of `like`, uint8 [h, w, 3], from its standard input."""
    size = f"{like.shape[1]}x{like.shape[0]}"
    return (*FFMPEG, "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", size, "-r", str(rate), "-i", "-", *ENCODE, str(target))


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])
