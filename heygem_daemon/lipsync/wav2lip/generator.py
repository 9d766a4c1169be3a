"""The network at work: as many faces at once as the memory allows, in the fastest arithmetic that is right.

Only the lower half is worked out. The upper one is what the network was shown; nobody needs it back.
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
from heygem_daemon.lipsync.wav2lip.network import BANDS, COLUMNS, SIDE, Wav2Lip

TOP: Final = 44
"""The first row that is generated. Rows from 48 on are hidden from the network; the four above are there to blend with."""
ROWS: Final = SIDE - TOP
TOLERANCE: Final = 1e-2
"""How far an arithmetic may be from float32 in any pixel of 0-1, to be used."""
_HIDDEN: Final = 48
_CPU_BATCH: Final = 16
"""On 2 cores 20, 20, 21.5, 21.7 faces per second at 4, 8, 16, 32 at once: beyond this only the memory grows."""
_LARGEST_BATCH: Final = 128
_SHARE: Final = 0.5
"""Of the free device memory; the rest is for the renderer, for fragmentation, and for other programs."""
_PROBED: Final = 8
_BYTES_PER_FACE: Final = 12 << 20
"""What is taken while one face is worked out in float32: 11.1 MB of layers that live at the same time, where it is not measured."""
_TIMED: Final = 3


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """dtype: of weights and layers; difference: the largest to float32 seen in any pixel of 0-1."""

    dtype: torch.dtype
    difference: float

    @property
    def name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


EXACT: Final = Arithmetic(dtype=torch.float32, difference=0.0)


class FaceGenerator:
    """Draws the lower half of faces. batch: how many at once; it shrinks for good when the device runs out of memory."""

    def __init__(self, network: Wav2Lip, device: str = "cpu") -> None:
        self._device = torch.device(device)
        network = network.eval().to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.arithmetic = choose_arithmetic(network, self._device)
        self._network = network.to(self.arithmetic.dtype)
        self.batch = self._affordable()

    def __call__(self, mels: Float32, faces: Image) -> Float32:
        """Return the rows from 44 on of the generated faces: float32 [n, 52, 96, 3] in 0-255, blue first.

        mels: float32 [n, 80, 16]; faces: uint8 [n, 96, 96, 3], blue first, as they are in the video.
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
        drawn = run(self._network, mels, faces)
        if not bool(torch.isfinite(drawn).all()):  # an overflow of float16, which the probe did not meet
            self._network, self.arithmetic = self._network.float(), EXACT
            drawn = run(self._network, mels, faces)
        return np.asarray((255 * drawn.float()).permute(0, 2, 3, 1).cpu().numpy(), np.float32)

    def _shrink(self) -> None:
        if self.batch == 1:
            raise error("device_memory")
        self.batch //= 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _affordable(self) -> int:
        """Return how many faces fit into half of the free memory of the device."""
        if self._device.type != "cuda":
            return _CPU_BATCH
        free, _ = torch.cuda.mem_get_info(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        with _memory_may_run_out():
            run(self._network, *_probe())
            taken = (torch.cuda.max_memory_allocated(self._device) - before) // _PROBED
            return affordable_batch(free, max(taken, 1))
        return affordable_batch(free)


def affordable_batch(free: int, per_face: int = _BYTES_PER_FACE) -> int:
    """Return how many faces to work out at once with `free` bytes: 1 to 128."""
    return max(1, min(_LARGEST_BATCH, int(_SHARE * free) // per_face))


def is_out_of_memory(problem: RuntimeError) -> bool:
    """Return whether torch, or cuDNN below it, found no memory."""
    return isinstance(problem, torch.OutOfMemoryError) or "out of memory" in str(problem) or "ALLOC_FAILED" in str(problem)


def run(network: Wav2Lip, mels: Float32, faces: Image) -> Tensor:
    """Return [n, 3, 52, 96] in 0-1 on the network's device, in its arithmetic. mels: [n, 80, 16]; faces: uint8 [n, 96, 96, 3]."""
    weight = next(network.parameters())
    with torch.inference_mode():
        mel = torch.from_numpy(mels).to(weight.device)[:, None].to(weight.dtype)
        seen = torch.from_numpy(faces).to(weight.device).permute(0, 3, 1, 2).to(weight.dtype) / 255
        masked = seen.clone()
        masked[:, :, _HIDDEN:] = 0
        pair = torch.cat([masked, seen], dim=1).contiguous(memory_format=torch.channels_last)
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
                drawn, seconds = _timed(network, dtype)
                difference = float((drawn - exact).abs().max())  # NaN where it overflowed: no comparison is true
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
    """Return what the probe becomes, float32 on the CPU, and the seconds of the fastest of three runs.

    A copy is tried: weights that were rounded once stay so.
    """
    network = deepcopy(network).to(dtype)
    drawn, seconds = run(network, *_probe()).float().cpu(), float("inf")
    for _ in range(_TIMED):
        start = time.perf_counter()
        run(network, *_probe()).cpu()
        seconds = min(seconds, time.perf_counter() - start)
    return drawn, seconds


def _native(device: torch.device) -> tuple[torch.dtype, ...]:
    """Return the short types that the device computes with itself: emulated they are slower than float32, on a CPU a hundred times."""
    if device.type == "cuda":
        return (torch.float16, torch.bfloat16)
    flags = _cpu_flags()
    half = (torch.float16,) if flags & {"avx512_fp16", "amx_fp16"} else ()
    return (*half, *((torch.bfloat16,) if flags & {"avx512_bf16", "amx_bf16"} else ()))


@lru_cache(maxsize=1)
def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith(("flags", "Features")) for word in line.split())


@lru_cache(maxsize=1)
def _probe() -> tuple[Float32, Image]:
    """Return sound and faces of noise, the same ones every time: nothing else stirs all channels as evenly."""
    noise = np.random.default_rng(1)
    mels = noise.normal(-1, 2, (_PROBED, BANDS, COLUMNS)).clip(-4, 4).astype(np.float32)
    return mels, noise.integers(0, 256, (_PROBED, SIDE, SIDE, 3), np.uint8)
