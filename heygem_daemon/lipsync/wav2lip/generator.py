"""Run the network: in batches that fit into memory, in the fastest arithmetic that is accurate.

Only the lower half of the faces is computed; the upper half of the output repeats the input.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.device import is_out_of_memory
from heygem_daemon.lipsync.wav2lip.network import BANDS, COLUMNS, SIDE, Wav2Lip

TOP: Final = 44
"""The first row that is generated. Rows from 48 on are hidden from the network; the four above are for blending."""
ROWS: Final = SIDE - TOP
"""Rows that are generated."""
TOLERANCE: Final = 1e-2
"""Largest difference to float32 in any pixel of 0-1 with which an arithmetic is used."""
_HIDDEN: Final = 48
"""The first row that is hidden from the network."""
_CPU_BATCH: Final = 16
"""Faces at once. On 2 cores 20, 20, 21.5, 21.7 faces per second at 4, 8, 16, 32 at once: beyond 16 only the memory grows."""
_LARGEST_BATCH: Final = 128
_MEMORY_FRACTION: Final = 0.5
"""Fraction of the free device memory; the rest is for the renderer, for fragmentation, and for other programs."""
_PROBED: Final = 8
"""Faces of the probe that measures time and memory."""
_BYTES_PER_FACE: Final = 12 << 20
"""Memory per face in float32 where it is not measured: 11.1 MB of layers that live at the same time."""
_TIMED: Final = 3
"""Runs of which the fastest counts."""


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """dtype: of weights and layers; difference: the largest to float32 in any pixel of 0-1 of the probe."""

    dtype: torch.dtype
    difference: float

    @property
    def name(self) -> str:
        """Its name without "torch."."""
        return str(self.dtype).removeprefix("torch.")


EXACT: Final = Arithmetic(dtype=torch.float32, difference=0.0)


class FaceGenerator:
    """Generates the lower half of faces. batch: how many at once; it is halved for good when the device runs out of memory."""

    def __init__(self, network: Wav2Lip, device: str = "cpu") -> None:
        self._device = torch.device(device)
        network = network.eval().to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.arithmetic = choose_arithmetic(network, self._device)
        self._network = network.to(self.arithmetic.dtype)
        self.batch = self._batch_that_fits()

    def __call__(self, mels: Float32, faces: Image) -> Float32:
        """Return the rows from 44 on of the generated faces: float32 [n, 52, 96, 3] in 0-255, blue first.

        mels: float32 [n, 80, 16]; faces: uint8 [n, 96, 96, 3], blue first, from the video.
        Raises DeviceError (`device_memory`) where not even one face fits.
        """
        parts, done = [], 0
        while done < len(faces):
            stop = done + self.batch
            try:
                parts.append(self._run(mels[done:stop], faces[done:stop]))
            except RuntimeError as problem:
                if not is_out_of_memory(problem):
                    raise
                self._shrink()
                continue
            done = min(stop, len(faces))
        return np.concatenate([np.zeros((0, ROWS, SIDE, 3), np.float32), *parts])

    def _run(self, mels: Float32, faces: Image) -> Float32:
        rows = generate_rows(self._network, mels, faces)
        if not bool(torch.isfinite(rows).all()):  # an overflow of float16 that the probe did not have
            self._network, self.arithmetic = self._network.float(), EXACT
            rows = generate_rows(self._network, mels, faces)
        return np.asarray((255 * rows.float()).permute(0, 2, 3, 1).cpu().numpy(), np.float32)

    def _shrink(self) -> None:
        if self.batch == 1:
            raise error("device_memory")
        self.batch //= 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _batch_that_fits(self) -> int:
        """Return how many faces to compute at once on the device: half of its free memory is used."""
        if self._device.type != "cuda":
            return _CPU_BATCH
        free, _ = torch.cuda.mem_get_info(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        per_face = _BYTES_PER_FACE
        with _memory_may_run_out():
            generate_rows(self._network, *_probe())
            per_face = (torch.cuda.max_memory_allocated(self._device) - before) // _PROBED
        return affordable_batch(free, max(per_face, 1))


def affordable_batch(free: int, per_face: int = _BYTES_PER_FACE) -> int:
    """Return how many faces to compute at once with `free` bytes of memory, of which half is used: 1 to 128."""
    return max(1, min(_LARGEST_BATCH, int(_MEMORY_FRACTION * free) // per_face))


def generate_rows(network: Wav2Lip, mels: Float32, faces: Image) -> Tensor:
    """Return the generated rows [n, 3, 52, 96] in 0-1, on the device and in the arithmetic of the network.

    mels: float32 [n, 80, 16]; faces: uint8 [n, 96, 96, 3].
    """
    weight = next(network.parameters())
    with torch.inference_mode():
        mel = torch.from_numpy(mels).to(weight.device)[:, None].to(weight.dtype)
        whole = torch.from_numpy(faces).to(weight.device).permute(0, 3, 1, 2).to(weight.dtype) / 255
        masked = whole.clone()
        masked[:, :, _HIDDEN:] = 0
        pair = torch.cat([masked, whole], dim=1).contiguous(memory_format=torch.channels_last)
        return network.rows_from(TOP, mel, pair)


def choose_arithmetic(network: Wav2Lip, device: torch.device) -> Arithmetic:
    """Return the fastest arithmetic for this float32 network on this device whose pixels stay within 1e-2 of float32.

    int8 is not tried: with one scale per channel and per layer it was .12 off on the reference vectors, bfloat16 .037, float16 .005.
    """
    best = EXACT
    if candidates := _native(device):
        with _memory_may_run_out():
            exact, fastest = _timed(network, torch.float32)
            for dtype in candidates:
                rows, seconds = _timed(network, dtype)
                difference = float((rows - exact).abs().max())  # NaN where it overflowed: no comparison is true
                if difference <= TOLERANCE and seconds < fastest:
                    best, fastest = Arithmetic(dtype=dtype, difference=difference), seconds
    return best


@contextmanager
def _memory_may_run_out() -> Iterator[None]:
    """End a measurement for which the device has too little memory. The work itself goes on in smaller batches."""
    try:
        yield
    except RuntimeError as problem:
        if not is_out_of_memory(problem):
            raise


def _timed(network: Wav2Lip, dtype: torch.dtype) -> tuple[Tensor, float]:
    """Return the rows of the probe, float32 on the CPU, and the seconds of the fastest of three runs.

    It runs a copy: rounding the weights cannot be undone.
    """
    network = deepcopy(network).to(dtype)
    rows, seconds = generate_rows(network, *_probe()).float().cpu(), float("inf")
    for _ in range(_TIMED):
        start = time.perf_counter()
        generate_rows(network, *_probe()).cpu()
        seconds = min(seconds, time.perf_counter() - start)
    return rows, seconds


def _native(device: torch.device) -> tuple[torch.dtype, ...]:
    """Return the 16-bit types that the device supports natively: emulated they are slower than float32, on a CPU a hundred times."""
    if device.type == "cuda":
        return (torch.float16, torch.bfloat16)
    flags = _cpu_flags()
    half = (torch.float16,) if flags & {"avx512_fp16", "amx_fp16"} else ()
    return (*half, *((torch.bfloat16,) if flags & {"avx512_bf16", "amx_bf16"} else ()))


@lru_cache(maxsize=1)
def _cpu_flags() -> frozenset[str]:
    """Return the features of the CPU, as Linux names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith(("flags", "Features")) for word in line.split())


@lru_cache(maxsize=1)
def _probe() -> tuple[Float32, Image]:
    """Return mel windows and faces of noise, always the same: noise excites all channels evenly."""
    noise = np.random.default_rng(1)
    mels = noise.normal(-1, 2, (_PROBED, BANDS, COLUMNS)).clip(-4, 4).astype(np.float32)
    return mels, noise.integers(0, 256, (_PROBED, SIDE, SIDE, 3), np.uint8)
