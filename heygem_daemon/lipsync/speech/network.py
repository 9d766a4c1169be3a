"""The small networks of the speech driver: sound to visemes (Encoder), whether anybody speaks (SpeechDetector), and visemes to the
motion of a mouth (Mapper)."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.mel import BANDS

CODE: Final = 64
"""Numbers of the encoder's bottleneck."""
COMPONENTS: Final = 6
"""Principal components of the 40 lip points that the mapper also gives."""
OUTPUTS: Final = 3 + COMPONENTS
"""Of the mapper: opening, width, logit of "lips shut", components."""


class Encoder(nn.Module):
    """Levelled mel [B, 80, 2 n] at 100 Hz -> code [B, 64, n] and viseme logits [B, 16, n] at 50 Hz; sees 230 ms on each side.

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
    """Levelled mel [B, 80, 4 n] at 100 Hz -> logit of "somebody speaks hereabouts" [B, n] at 25 Hz; sees 1 s on each side.

    What tells speech from music and noise is the rhythm of a second, not the sound of an instant (Scheirer and Slaney 1997): a held
    note of a saxophone is a vowel to the encoder.
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
    """Return [B, FEATURES, n] for the mapper: the encoder's code, its visemes, the loudness and how it changes.

    code [B, 64, n], logits [B, 16, n] (or log probabilities), mel [B, 80, 2 n] of the same stretch.
    """
    visemes = torch.softmax(logits, 1).sqrt()
    batch, rows = mel.shape[0], code.shape[2]
    pairs = mel.reshape(batch, BANDS, rows, 2).mean(3)
    loud = torch.logsumexp(pairs * 3.0, 1, keepdim=True) / 3.0 - 1.0
    slope = functional.pad(loud[..., 2:] - loud[..., :-2], (1, 1))
    bands = pairs.reshape(batch, 16, BANDS // 16, rows).mean(2)
    return torch.cat([code * 0.5, visemes * 2.0, loud, slope * 2.0, bands * 0.5 + 0.5], 1)


FEATURES: Final = CODE + len(VISEMES) + 2 + 16
GUIDE_FEATURES: Final = len(VISEMES) + 2
