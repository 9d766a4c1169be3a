"""The generator of Wav2Lip (Prajwal et al. 2020, "A Lip Sync Expert Is All You Need for Speech to Lip Generation In The Wild").

mel [B, 1, 80, 16] -> audio encoder -> 512 numbers -> decoder, with the features of the face encoder at every size -> [B, 3, 96, 96]
                                      face [B, 6, 96, 96] -> face encoder

The layers, their order and their names are those of the published checkpoints. A convolution and its batch norm
there are one convolution here: in inference a batch norm is a scale and a shift, which go into the weights (`fold_batch_norms`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE: Final = 96
"""Pixels of a side of the face."""
BANDS: Final = 80
"""Mel bands."""
COLUMNS: Final = 16
"""Mel columns that belong to one frame."""
_EPSILON: Final = 1e-5
"""Added to the variance by nn.BatchNorm2d."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class _Layer:
    """A convolution with its batch norm. inputs, outputs: channels; is_residual: the input is added to the output."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: Pair = (1, 1)
    padding: int = 1
    is_residual: bool = False
    is_transposed: bool = False
    output_padding: int = 0


def _down(inputs: int, outputs: int, stride: int | Pair = 2) -> _Layer:
    return _Layer(inputs, outputs, stride=stride if isinstance(stride, tuple) else (stride, stride))


def _up(inputs: int, outputs: int) -> _Layer:
    return _Layer(inputs, outputs, stride=(2, 2), is_transposed=True, output_padding=1)


def _same(channels: int, count: int) -> tuple[_Layer, ...]:
    return (_Layer(channels, channels, is_residual=True),) * count


def _point(channels: int) -> _Layer:
    return _Layer(channels, channels, kernel=1, padding=0)


_FACE: Final = (
    (_Layer(6, 16, kernel=7, padding=3),),
    (_down(16, 32), *_same(32, 2)),
    (_down(32, 64), *_same(64, 3)),
    (_down(64, 128), *_same(128, 2)),
    (_down(128, 256), *_same(256, 2)),
    (_down(256, 512), *_same(512, 1)),
    (_Layer(512, 512, padding=0), _point(512)),
)
_AUDIO: Final = (
    *(_Layer(1, 32), *_same(32, 2)),
    *(_down(32, 64, (3, 1)), *_same(64, 2)),
    *(_down(64, 128, 3), *_same(128, 2)),
    *(_down(128, 256, (3, 2)), *_same(256, 1)),
    *(_Layer(256, 512, padding=0), _point(512)),
)
_DECODER: Final = (
    (_point(512),),
    (_Layer(1024, 512, padding=0, is_transposed=True), *_same(512, 1)),
    (_up(1024, 512), *_same(512, 2)),
    (_up(768, 384), *_same(384, 2)),
    (_up(512, 256), *_same(256, 2)),
    (_up(320, 128), *_same(128, 2)),
    (_up(160, 64), *_same(64, 2)),
)
_LAST: Final = _Layer(80, 32)


class _Convolution(nn.Module):
    """A layer whose batch norm is folded in."""

    def __init__(self, layer: _Layer) -> None:
        super().__init__()
        self._layer = layer
        channels = (layer.inputs, layer.outputs) if layer.is_transposed else (layer.outputs, layer.inputs)
        self.weight = nn.Parameter(torch.empty(*channels, layer.kernel, layer.kernel), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(layer.outputs), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        layer = self._layer
        if layer.is_transposed:
            y = functional.conv_transpose2d(x, self.weight, self.bias, layer.stride, layer.padding, layer.output_padding)
        else:
            y = functional.conv2d(x, self.weight, self.bias, layer.stride, layer.padding)
        return functional.relu_(y.add_(x) if layer.is_residual else y)


def _chain(layers: tuple[_Layer, ...]) -> nn.Sequential:
    return nn.Sequential(*map(_Convolution, layers))


class Wav2Lip(nn.Module):
    """The generator, for inference only: it has no gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder_blocks = nn.ModuleList(map(_chain, _FACE))
        self.audio_encoder = _chain(_AUDIO)
        self.face_decoder_blocks = nn.ModuleList(map(_chain, _DECODER))
        self.output_block = nn.Sequential(_Convolution(_LAST), nn.Conv2d(_LAST.outputs, 3, 1), nn.Sigmoid()).requires_grad_(False)

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """Return faces [B, 3, 96, 96] in 0-1, blue first.

        mel: [B, 1, 80, 16], see `mel`; face: [B, 6, 96, 96] in 0-1, blue first: the frame with its lower half zero, and a frame of the
        same person whole.
        """
        return self.rows_from(0, mel, face)

    def rows_from(self, row: int, mel: Tensor, face: Tensor) -> Tensor:
        """Return the rows `row` to 95 of what `forward` returns, [B, 3, 96 - row, 96], without computing the rows above.

        Seven eighths of the work are in the decoder. From row 44 on a quarter of all work is saved; the values are the same.
        """
        encoded = []
        for block in self.face_encoder_blocks:
            face = block(face)
            encoded.append(face)
        x, first = self.audio_encoder(mel), 0
        for block, top in zip(self.face_decoder_blocks, _first_rows(row), strict=True):
            height = encoded[-1].shape[2]
            x = block(x)
            first = 2 * first if x.shape[2] > 3 else 0  # the row of the whole image at which x begins, at this size
            x = torch.cat([x[:, :, top - first :], encoded.pop()[:, :, top:height]], dim=1)
            first = top
        result: Tensor = self.output_block(x)
        return result[:, :, row - first :]


def _first_rows(row: int) -> tuple[int, ...]:
    """Return the first row that each block of the decoder must give, so that rows from `row` on are exact.

    A convolution of 3 makes one row wrong at the edge where the image was cut; a transposed one of stride 2 makes none wrong.
    """
    tops = [max(0, row - 1)]  # input of the last convolution, at 96 rows
    for block in (*_DECODER[:2:-1],):
        read = max(0, tops[-1] - sum(layer.is_residual for layer in block))
        tops.append(read // 2)
    return tuple(reversed(tops + [0] * (len(_DECODER) - len(tops))))


def fold_batch_norms(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of `Wav2Lip` (float32, contiguous) from those of a published checkpoint: batch norms folded in.

    A convolution and a batch norm (weight g, bias b, mean m, variance v) are one convolution with weight w g / sqrt(v + 1e-5) and bias
    (c - m) g / sqrt(v + 1e-5) + b. Computed in float64. weights: exactly the names and shapes of `published_layout`.
    """
    result = {}
    for name, layer in _layers():
        part = {key: weights[f"{name}.conv_block.{key}"].double() for key in _published_shapes(layer)}
        scale = part["1.weight"] / torch.sqrt(part["1.running_var"] + _EPSILON)
        along = scale[None, :, None, None] if layer.is_transposed else scale[:, None, None, None]
        result[f"{name}.weight"] = (part["0.weight"] * along).float().contiguous()
        result[f"{name}.bias"] = ((part["0.bias"] - part["1.running_mean"]) * scale + part["1.bias"]).float().contiguous()
    for key in ("output_block.1.weight", "output_block.1.bias"):
        result[key] = weights[key].float().contiguous()
    return result


def published_layout() -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor in the state dict of a published checkpoint."""
    layout: dict[str, tuple[int, ...]] = {}
    for name, layer in _layers():
        layout |= {f"{name}.conv_block.{key}": shape for key, shape in _published_shapes(layer).items()}
    return layout | {"output_block.1.weight": (3, _LAST.outputs, 1, 1), "output_block.1.bias": (3,)}


def _published_shapes(layer: _Layer) -> dict[str, tuple[int, ...]]:
    channels = (layer.inputs, layer.outputs) if layer.is_transposed else (layer.outputs, layer.inputs)
    each = (layer.outputs,)
    norm = {"1.weight": each, "1.bias": each, "1.running_mean": each, "1.running_var": each, "1.num_batches_tracked": ()}
    return {"0.weight": (*channels, layer.kernel, layer.kernel), "0.bias": each, **norm}


def _layers() -> Iterator[tuple[str, _Layer]]:
    """Yield every layer that has a batch norm, with its name."""
    for part, blocks in (("face_encoder_blocks", _FACE), ("face_decoder_blocks", _DECODER)):
        for i, block in enumerate(blocks):
            yield from ((f"{part}.{i}.{j}", layer) for j, layer in enumerate(block))
    yield from chain(((f"audio_encoder.{i}", layer) for i, layer in enumerate(_AUDIO)), [("output_block.0", _LAST)])
