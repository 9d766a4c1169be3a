"""Define the pretrained speech encoder: the lower blocks of the encoders of two Whisper models (Radford et al. 2022, MIT).

What the lower blocks compute is phonetic rather than lexical, and comes from 680,000 hours of real speech in 99 languages.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.speech.mel import BANDS

LONGEST: Final = 1500
"""Rows of the longest window (30 s): the positions that the models were trained with."""
BASE: Final = (512, 8, (3,))
TINY: Final = (384, 6, (2, 3))
"""Values of a row, heads, and the blocks, counted from 1, after which the residual stream is read: of Whisper base (multilingual), and of
Whisper tiny.en. Opening r on people held out (cross-validation, one mapper): base after block 2, 3, 5, 6 .710, .735, .686, .666; after 2
and 3 .725; tiny.en after 3 .716, after 2 and 3 .733."""
BASE_STREAM: Final = BASE[0] * len(BASE[2])
STREAM: Final = BASE_STREAM + TINY[0] * len(TINY[2])
"""Values of one row of what is read: of Whisper base, and of both."""


class Block(nn.Module):
    """A transformer block with its normalisation before each part: self-attention, then two linear layers (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_exit = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_entry = nn.Linear(width, 4 * width)
        self.feed_exit = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, rows, width = x.shape
        parts = self.query_key_value(self.attention_norm(x)).view(batch, rows, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.attention_exit(attended.transpose(1, 2).reshape(batch, rows, width))
        fed: Tensor = self.feed_exit(functional.gelu(self.feed_entry(self.feed_norm(x))))
        return x + fed


class LowerBlocks(nn.Module):
    """Log-mel [B, 80, 2 n] at 100 Hz -> residual stream after the blocks `read`, side by side, [B, n, width x blocks] at 50 Hz."""

    positions: Tensor

    def __init__(self, width: int, heads: int, read: tuple[int, ...]) -> None:
        super().__init__()
        self.read = read
        self.entry = nn.Conv1d(BANDS, width, 3, padding=1)
        self.halving = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(max(read)))
        self.register_buffer("positions", sinusoids(LONGEST, width), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        x = functional.gelu(self.entry(mel))
        x = functional.gelu(self.halving(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        found = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in self.read:
                found.append(x)
        return torch.cat(found, 2)


class SpeechEncoder(nn.Module):
    """Log-mel [B, 80, 2 n] at 100 Hz -> residual streams of both models, side by side, [B, n, STREAM] at 50 Hz. n <= LONGEST.

    On a CPU that multiplies in bfloat16, it does: twice as fast (95 against 42 times real time on one core), and the result moves by .8 %.
    A card multiplies in float16, by which the result moves by .1 %; its largest value is 23, that of float16 65,504.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base = LowerBlocks(*BASE)
        self.tiny = LowerBlocks(*TINY)

    def forward(self, mel: Tensor) -> Tensor:
        kind = mel.device.type
        dtype = arithmetic(kind)
        with torch.autocast(kind, dtype, enabled=dtype is not torch.float32):
            streams = torch.cat([self.base(mel), self.tiny(mel)], 2)
        return streams.float()


def rounded_as_used(encoder: SpeechEncoder) -> SpeechEncoder:
    """Return the encoder with its matrices in bfloat16, where this CPU multiplies in that; else the encoder itself.

    The result is the same to the last bit: they would be rounded for every window. It takes half of the memory.
    """
    if not multiplies_bfloat16():
        return encoder
    with torch.device("meta"):  # no weights are made that would be replaced
        rounded = SpeechEncoder()
    state = encoder.state_dict()
    rounded.load_state_dict({name: value if "norm" in name else value.bfloat16() for name, value in state.items()}, assign=True)
    return rounded.train(encoder.training)


def arithmetic(device: str) -> torch.dtype:
    """Return what a kind of device (cpu, cuda) multiplies in."""
    if device == "cpu":
        return torch.bfloat16 if multiplies_bfloat16() else torch.float32
    return torch.float16


@lru_cache(maxsize=1)
def multiplies_bfloat16() -> bool:
    """Return whether this CPU has instructions for it (AVX512-BF16, AMX, Arm's BF16); where it has not, bfloat16 is slow."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"^(?:flags|Features)\s*:.*\b(?:avx512_bf16|amx_bf16|bf16)\b", flags, flags=re.MULTILINE) is not None


def sinusoids(rows: int, width: int) -> Tensor:
    """Return [rows, width]: sines, then cosines, of wavelengths from 2 pi to 20,000 pi rows (Vaswani et al. 2017)."""
    rates = np.exp(-np.log(10000.0) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(rows)[:, None] * rates
    return torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32))
