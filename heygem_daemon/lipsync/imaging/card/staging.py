"""Move many small arrays to a device at once: they are packed into one buffer, so that a batch costs one copy."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_ALIGNMENT: Final = 16
"""Bytes; every array begins at a multiple of it, as the kernels read whole vectors."""


def upload(arrays: Mapping[str, npt.NDArray[Any]], device: torch.device) -> dict[str, Tensor]:
    """Return the arrays as tensors on the device, under the same names. They share one buffer.

    The copy runs while the CPU goes on: its memory is pinned, and torch gives it out again only after the copy (CachingHostAllocator).
    """
    begins, size = {}, 0
    for name, array in arrays.items():
        begins[name] = size
        size += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    host = torch.empty(max(size, 1), dtype=torch.uint8, pin_memory=device.type == "cuda")
    buffer = host.numpy()
    for name, array in arrays.items():
        part = buffer[begins[name] : begins[name] + array.nbytes]
        part.view(array.dtype)[:] = array.reshape(-1)
    there = host.to(device, non_blocking=True)
    return {name: _viewed(there, begins[name], array) for name, array in arrays.items()}


def _viewed(buffer: Tensor, begin: int, array: npt.NDArray[Any]) -> Tensor:
    kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
    return buffer[begin : begin + array.nbytes].view(kind).view(array.shape)


def stacked(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return [b, ...]: arrays of different sizes, one above the other, with zeros beyond the end of each."""
    shape = np.max([array.shape for array in arrays], axis=0)
    out = np.zeros((len(arrays), *shape), arrays[0].dtype)
    for place, array in zip(out, arrays, strict=True):
        place[tuple(slice(0, n) for n in array.shape)] = array
    return out


class Download:
    """A tensor on its way to the CPU: the copy begins when all that was started before it is done, and the CPU goes on meanwhile."""

    def __init__(self, tensor: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if tensor.device.type != "cuda":
            self._host = tensor
            return
        self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._host.copy_(tensor, non_blocking=True)
        self._event = torch.cuda.current_stream(tensor.device).record_event()

    def result(self) -> npt.NDArray[Any]:
        """Wait for the copy; return it."""
        if self._event is not None:
            self._event.synchronize()
        return np.asarray(self._host.numpy())
