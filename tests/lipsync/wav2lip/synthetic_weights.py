"""Weights of the generator for tests, the same on every machine: random, with plausible batch norms."""

import zlib
from math import prod, sqrt

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.wav2lip.network import published_layout


def untrained_weights() -> dict[str, Tensor]:
    """Return float32 tensors by published name; a network with them gives images that are neither black nor flat."""
    return {name: torch.from_numpy(_values(name, shape)) for name, shape in published_layout().items()}


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.full(shape, 1000, np.float32)
    if name.endswith("running_var"):
        values = random.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        values = random.normal(0, 0.1, shape)
    elif len(shape) == 1:
        values = random.uniform(0.8, 1.2, shape) if name.endswith(".1.weight") else random.normal(0, 0.05, shape)
    else:
        gain = 0.02 if name == "output_block.1.weight" else 1.5
        values = random.normal(0, sqrt(gain / prod(shape[1:])), shape)
    return np.asarray(values, np.float32)


def compact_weights() -> dict[str, Tensor]:
    """Return tensors of the published names and shapes, each with a single value repeated: their file has some 200 kB."""
    numbers = np.random.default_rng(0).uniform(0.1, 1, len(published_layout()))
    return {
        name: torch.full([1] * len(shape), number, dtype=torch.float32).expand(shape)
        for (name, shape), number in zip(published_layout().items(), numbers, strict=True)
    }
