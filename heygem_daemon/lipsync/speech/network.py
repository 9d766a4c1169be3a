"""Define the networks of the speech driver: from mel to visemes (Encoder), to whether anybody speaks (SpeechDetector), and from visemes
to the motion of a mouth (Mapper)."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.mel import BANDS

CODE: Final = 64
"""Numbers of the encoder's bottleneck."""
COMPONENTS: Final = 6
"""Principal components of the 40 lip points, which the mapper also predicts."""
OUTPUTS: Final = 3 + COMPONENTS
"""Outputs of the mapper: opening, width, logit of "lips shut", components."""


class Encoder(nn.Module):
    """Normalised mel [B, 80, 2 n] at 100 Hz -> code [B, 64, n] and viseme logits [B, 16, n] at 50 Hz; sees 230 ms on each side.

    Residual dilated convolutions, after the time-delay networks of Peddinti, Povey and Khudanpur (2015).
    """

    def __init__(self, *, channels: int = 160, dilations: tuple[int, ...] = (1, 1, 2, 2, 3), dropout: float = 0.12) -> None:
        super().__init__()
        self.entry = nn.Conv1d(BANDS, channels, 5, stride=2, padding=2)
        self.entry_norm = nn.BatchNorm1d(channels)
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in dilations)
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in dilations)
        self.dropout = nn.Dropout(dropout)
        self.bottleneck = nn.Conv1d(channels, CODE, 1)
        self.visemes = nn.Conv1d(CODE, len(VISEMES), 1)

    def code(self, mel: Tensor) -> Tensor:
        x = functional.relu(self.entry_norm(self.entry(mel + 1)))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = x + self.dropout(functional.relu(norm(layer(x))))
        code: Tensor = functional.relu(self.bottleneck(x))
        return code

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        code = self.code(mel)
        return code, self.visemes(code)


ENCODER_REACH: Final = 24
"""Rows of mel (10 ms) on each side that one row of the encoder's output depends on (2 + 2 x 9, rounded up)."""


class SpeechDetector(nn.Module):
    """Normalised mel [B, 80, 4 n] at 100 Hz -> logit of "somebody speaks" [B, n] at 25 Hz; sees 1 s on each side.

    Speech differs from music and noise in its rhythm over a second, not in single spectra (Scheirer and Slaney 1997): the encoder takes a
    held note of a saxophone for a vowel.
    """

    def __init__(self, *, channels: int = 48, dilations: tuple[int, ...] = (1, 2, 4, 8, 8), dropout: float = 0.1) -> None:
        super().__init__()
        self.entries = nn.ModuleList(nn.Conv1d(inputs, channels, 5, stride=2, padding=2) for inputs in (BANDS, channels))
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in dilations)
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(2 + len(dilations)))
        self.dropout = nn.Dropout1d(dropout)
        self.exit = nn.Conv1d(channels, 1, 1)

    def forward(self, mel: Tensor) -> Tensor:
        x = mel + 1
        for entry, norm in zip(self.entries, self.norms, strict=False):
            x = functional.relu(norm(entry(x)))
        for layer, norm in zip(self.layers, list(self.norms)[2:], strict=True):
            x = x + self.dropout(functional.relu(norm(layer(x))))
        logits: Tensor = self.exit(x)[:, 0]
        return logits


DETECTOR_STRIDE: Final = 4
"""Rows of mel (10 ms) from one row of the detector's output to the next."""
DETECTOR_REACH: Final = 104
"""Rows of mel on each side that one row of its output depends on (2 + 4 + 4 x 23, and a row for the interpolation)."""


class Mapper(nn.Module):
    """Features [B, FEATURES, n] at 50 Hz -> motion [B, OUTPUTS, n]; sees 320 ms on each side."""

    def __init__(self, *, inputs: int, channels: int = 96, dilations: tuple[int, ...] = (1, 2, 4, 8), dropout: float = 0.4) -> None:
        super().__init__()
        self.entry = nn.Conv1d(inputs, channels, 1)
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in dilations)
        self.exit = nn.Conv1d(channels, OUTPUTS, 3, padding=1)
        self.dropout = nn.Dropout1d(dropout)
        nn.init.normal_(self.exit.weight, std=0.01)

    def forward(self, features: Tensor) -> Tensor:
        x = functional.relu(self.entry(self.dropout(features)))
        for layer in self.layers:
            x = x + functional.relu(layer(self.dropout(x)))
        motion: Tensor = self.exit(self.dropout(x))
        return motion


MAPPER_REACH: Final = 16
"""Rows (20 ms) on each side that one row of the mapper's output depends on."""


def mapper_features(code: Tensor, logits: Tensor, mel: Tensor) -> Tensor:
    """Return the inputs of the mapper, [B, FEATURES, n]: the code of the encoder, its visemes, loudness, its slope, and 16 coarse bands.

    code [B, 64, n], logits [B, 16, n] (or log probabilities), mel [B, 80, 2 n] of the same stretch.
    """
    visemes = torch.softmax(logits, 1).sqrt()
    batch, rows = mel.shape[0], code.shape[2]
    pairs = mel.reshape(batch, BANDS, rows, 2).mean(3)
    loudness = torch.logsumexp(pairs * 3.0, 1, keepdim=True) / 3.0 - 1.0
    slope = functional.pad(loudness[..., 2:] - loudness[..., :-2], (1, 1))
    bands = pairs.reshape(batch, 16, BANDS // 16, rows).mean(2)
    return torch.cat([code * 0.5, visemes * 2.0, loudness, slope * 2.0, bands * 0.5 + 0.5], 1)


FEATURES: Final = CODE + len(VISEMES) + 2 + 16
"""Inputs of a mapper."""
TRANSCRIPT_FEATURES: Final = len(VISEMES) + 2
"""Inputs of a transcript mapper."""
