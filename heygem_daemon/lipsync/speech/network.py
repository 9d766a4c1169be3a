"""Define the networks on top of the pretrained encoder: from its residual stream to visemes (VisemeHead), and to the motion of a mouth
(Mapper)."""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.mel import BANDS, DECADE, LEVEL
from heygem_daemon.lipsync.speech.whisper import STREAM

PART: Final = 96
"""Inputs of a mapper: principal components of the residual stream of one of the two models that the encoder is made of."""
FEATURES: Final = 2 * PART
"""Principal components of both."""
TRANSCRIPT_FEATURES: Final = len(VISEMES) + 2
"""Inputs of a transcript mapper: visemes, loudness and its slope."""
COMPONENTS: Final = 6
"""Principal components of the 40 lip points, which the mapper also predicts."""
OUTPUTS: Final = 3 + COMPONENTS
"""Outputs of the mapper: opening, width, logit of "lips shut", components."""

_LN_10: Final = math.log(10.0)


class VisemeHead(nn.Module):
    """Residual stream [B, n, STREAM] -> viseme logits [B, n, 16]; sees HEAD_REACH rows on each side."""

    def __init__(self, *, channels: int = 96, dilations: tuple[int, ...] = (1, 2), dropout: float = 0.15) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(STREAM)
        self.entry = nn.Linear(STREAM, channels)
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in dilations)
        self.dropout = nn.Dropout(dropout)
        self.exit = nn.Linear(channels, len(VISEMES))

    def forward(self, stream: Tensor) -> Tensor:
        x = functional.relu(self.entry(self.dropout(self.norm(stream)))).transpose(1, 2)
        for layer in self.layers:
            x = x + self.dropout(functional.relu(layer(x)))
        logits: Tensor = self.exit(x.transpose(1, 2))
        return logits


HEAD_REACH: Final = 3
"""Rows (20 ms) on each side that one row of the viseme head's output depends on, beyond what the encoder sees."""


class Mapper(nn.Module):
    """Features [B, any, n] at 50 Hz, of which it reads `inputs` from `first` on -> motion [B, OUTPUTS, n]; sees 320 ms on each side."""

    first: Tensor

    def __init__(
        self, *, inputs: int, first: int = 0, channels: int = 96, dilations: tuple[int, ...] = (1, 2, 4, 8), dropout: float = 0.4
    ) -> None:
        super().__init__()
        self.register_buffer("first", torch.tensor(first))
        self.entry = nn.Conv1d(inputs, channels, 1)
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in dilations)
        self.exit = nn.Conv1d(channels, OUTPUTS, 3, padding=1)
        self.dropout = nn.Dropout1d(dropout)
        nn.init.normal_(self.exit.weight, std=0.01)

    def forward(self, features: Tensor) -> Tensor:
        own = features.narrow(1, int(self.first), self.entry.in_channels)
        x = functional.relu(self.entry(self.dropout(own)))
        for layer in self.layers:
            x = x + functional.relu(layer(self.dropout(x)))
        motion: Tensor = self.exit(self.dropout(x))
        return motion


MAPPER_REACH: Final = 16
"""Rows (20 ms) on each side that one row of the mapper's output depends on."""


def loudness_rows(mel: Tensor) -> Tensor:
    """Return the loudness of the speech and its slope, [B, n, 2], of normalised mel [B, 80, 2 n]; 30 dB are 1, the level is about 0."""
    batch, rows = mel.shape[0], mel.shape[2] // 2
    powers = (mel.reshape(batch, BANDS, rows, 2).mean(3) - LEVEL) * DECADE
    loudness = torch.logsumexp(powers * _LN_10, 1) / _LN_10 / 3.0
    slope = functional.pad(loudness[:, 2:] - loudness[:, :-2], (1, 1))
    return torch.stack([loudness, slope * 2.0], 2)
