"""Tell speech from music, noise and silence: Silero VAD (https://github.com/snakers4/silero-vad, MIT), its 16 kHz network.

The probability of a moment is the largest within REACH of it: consonants and the ends of words score low, mouths move for them too.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.moving_window import moving_maximum
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, SAMPLE_RATE

CHUNK: Final = 512
"""Samples of one step of the network: 32 ms."""
REACH: Final = 10
"""Rows (20 ms) on each side of which the largest probability counts."""
SPEECH: Final = (0.27, 0.47)
"""Probabilities below which nobody speaks, and from which somebody does. At their mean, .37, 54 minutes of recorded music are taken for
speech in .5 % of the time (training/README.md)."""

_CONTEXT: Final = 64
"""Samples before a chunk that the network also sees."""
_FFT, _STEP = 256, 128
_ROW: Final = SAMPLE_RATE // CURVE_RATE

State = tuple[Tensor, Tensor]


class VoiceActivity(nn.Module):
    """Chunks [n, 64 + 512] of consecutive samples at 16 kHz -> probability of speech [n], and the state to go on from."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = nn.Conv1d(1, _FFT + 2, _FFT, stride=_STEP, bias=False)
        shapes = ((_FFT // 2 + 1, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1))
        self.layers = nn.ModuleList(nn.Conv1d(inputs, outputs, 3, stride=stride, padding=1) for inputs, outputs, stride in shapes)
        self.memory = nn.LSTM(128, 128)
        self.exit = nn.Conv1d(128, 1, 1)

    def forward(self, chunks: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        parts = self.spectrum(functional.pad(chunks[:, None], (0, _CONTEXT), mode="reflect"))
        real, imaginary = parts.split(_FFT // 2 + 1, 1)
        x = (real**2 + imaginary**2).sqrt()
        for layer in self.layers:
            x = functional.relu(layer(x))
        x, state = self.memory(x[:, :, 0], state)
        return torch.sigmoid(self.exit(functional.relu(x).T))[0], state


def speech_probability(network: VoiceActivity, blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Yield the probability of speech at CURVE_RATE, float32 [any], without end: after the last sample comes silence.

    blocks: float32, mono 16 kHz, of one size (stream.reblock), so that the result is the same to the last bit. Row k belongs to sample
    320 k.
    """
    chunks, rows = 0, 0
    for found in _chunk_probabilities(network, blocks):
        known = -(-(chunks + len(found)) * CHUNK // _ROW)
        yield found[np.arange(rows, known) * _ROW // CHUNK - chunks]
        chunks, rows = chunks + len(found), known


def _chunk_probabilities(network: VoiceActivity, blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Yield the probability of every chunk, float32 [any], without end."""
    pending = np.zeros(_CONTEXT, np.float32)
    state: State | None = None
    stream = iter(blocks)
    while True:
        block = next(stream, None)
        pending = np.concatenate([pending, np.zeros(SAMPLE_RATE, np.float32) if block is None else block])
        count = (len(pending) - _CONTEXT) // CHUNK
        if count < 1:
            continue
        chunks = np.lib.stride_tricks.sliding_window_view(pending, _CONTEXT + CHUNK)[: count * CHUNK : CHUNK]
        with torch.inference_mode():
            found, state = network(torch.from_numpy(chunks.copy()), state)
        pending = pending[count * CHUNK :]
        yield found.numpy()


def widen(probability: Float32) -> Float32:
    """Return float32 [n]: the largest probability within REACH rows; the first and last REACH rows lack context."""
    return moving_maximum(probability, 2 * REACH + 1)
