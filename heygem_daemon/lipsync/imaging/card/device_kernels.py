"""Choose how triangles are rasterised and planes sampled: by Triton on a card that has it, by torch everywhere else."""

import importlib.util
import os
from functools import lru_cache

import torch
from torch import Tensor

from heygem_daemon.lipsync.imaging.card import rasterising, sampling
from heygem_daemon.lipsync.imaging.card.rasterising import TriangleTable
from heygem_daemon.lipsync.imaging.card.sampling import Kernel
from heygem_daemon.lipsync.kernel_files import own_folder


class TorchKernels:
    """The kernels by torch alone, on any device."""

    def rasterise(self, triangles: TriangleTable, size: tuple[int, int]) -> Tensor:
        """See `rasterising.rasterise`."""
        return rasterising.rasterise(triangles, size)

    def sample(self, texels: Tensor, table: Tensor, places: Tensor, kernel: Kernel) -> Tensor:
        """See `sampling.sample`."""
        return sampling.sample(texels, table, places, kernel)


class TritonKernels(TorchKernels):
    """The kernels by Triton."""

    def rasterise(self, triangles: TriangleTable, size: tuple[int, int]) -> Tensor:
        from heygem_daemon.lipsync.imaging.card import triton_kernels  # noqa: PLC0415  (absent where there is no card)

        return triton_kernels.rasterise(triangles, size)

    def sample(self, texels: Tensor, table: Tensor, places: Tensor, kernel: Kernel) -> Tensor:
        from heygem_daemon.lipsync.imaging.card import triton_kernels  # noqa: PLC0415  (absent where there is no card)

        return triton_kernels.sample(texels, table, places, kernel)


def has_triton() -> bool:
    """Return whether Triton is installed: torch for a card brings it along, torch for a CPU does not."""
    return importlib.util.find_spec("triton") is not None


@lru_cache
def kernels_for(device: torch.device) -> TorchKernels:
    """Return the fastest kernels of a device that work there.

    Triton compiles its kernels when they are first used: that needs a C compiler and a folder to write to, which a server may lack.
    """
    if device.type != "cuda" or not has_triton():
        return TorchKernels()
    os.environ.setdefault("TRITON_CACHE_DIR", str(own_folder().parent / "triton"))  # a service has no home to write to
    from heygem_daemon.lipsync.imaging.card import triton_kernels  # noqa: PLC0415  (absent where there is no card)

    return TritonKernels() if triton_kernels.work_on(device) else TorchKernels()
