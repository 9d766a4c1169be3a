"""The product's generator of faces on a device that runs out of memory."""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator
from heygem_daemon.lipsync.wav2lip.network import BANDS, COLUMNS, SIDE

FACES: Final = 12


def generate(limit: int, tried: list[int]) -> None:
    """Make FACES faces on a device with room for `limit` of them at once; `tried` gets how many were given at once. Raises what the
    generator raises."""
    network = _SmallDevice(FACES)
    generator = FaceGenerator(network)  # type: ignore[arg-type]
    network.limit, network.tried = limit, tried
    made = generator(np.zeros((FACES, BANDS, COLUMNS), np.float32), np.zeros((FACES, SIDE, SIDE, 3), np.uint8))
    assert len(made) == FACES


class _SmallDevice(nn.Module):
    """A network on a device with room for `limit` faces; `tried` is how many were given at once."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.limit, self.tried = limit, list[int]()

    def rows_from(self, row: int, mel: Tensor, _face: Tensor) -> Tensor:
        self.tried.append(len(mel))
        if len(mel) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return torch.zeros(len(mel), 3, SIDE - row, SIDE)
