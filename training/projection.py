"""Fit the projection of the encoder's residual stream to the features of the mappers, on speech alone: no mouth is seen."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import nn

from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.speech.network import FEATURES, PART
from heygem_daemon.lipsync.speech.whisper import BASE_STREAM, STREAM
from training.features import Rows

_SCALE: Final = 0.5
"""Mean deviation of a feature: what a mapper's first layer is made for."""


def fit_projection(rows: Sequence[Rows]) -> nn.Linear:
    """Return the first PART principal components of the standardised streams of each model of the encoder, side by side.

    They are half whitened: the deviations are square roots of the components' own.
    """
    count = sum(len(one.stream) for one in rows)
    mean = sum(one.stream.sum(0, dtype=np.float64) for one in rows) / count
    products = np.zeros((STREAM, STREAM))
    for one in rows:
        centred = one.stream.astype(np.float32) - mean.astype(np.float32)
        products += centred.T @ centred
    matrix = np.zeros((STREAM, FEATURES))
    for i, part in enumerate((slice(0, BASE_STREAM), slice(BASE_STREAM, STREAM))):
        matrix[part, i * PART : (i + 1) * PART] = _components(products[part, part] / count)
    projection = nn.Linear(STREAM, FEATURES).requires_grad_(False)
    projection.weight.copy_(torch.from_numpy(matrix.T))
    projection.bias.copy_(torch.from_numpy(-mean @ matrix))
    return projection.eval()


def _components(covariance: Float64) -> Float64:
    """Return [values of a row, PART]."""
    deviation = np.sqrt(np.diag(covariance)) + 1e-3
    values, axes = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    spread = np.sqrt(values[::-1][:PART])
    return np.asarray(axes[:, ::-1][:, :PART] / deviation[:, None] * (_SCALE / np.sqrt(spread * spread.mean())))
