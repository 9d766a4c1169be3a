"""The network computes the same as the published ones."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from heygem_daemon.lipsync.wav2lip.network import SIDE, Wav2Lip, _Convolution, fold_batch_norms, published_layout
from tests.lipsync.wav2lip.conftest import Weights

ROWS = (1, 2, 7, 24, 44, 47, 63, 95)
FROZEN = (0.570767, 0.375022, 0.687255, 0.484251, 0.434192, 0.599459)


@pytest.fixture(scope="module")
def shared(root: Path) -> Path:
    directory = root.parent / "shared" / "wav2lip"
    if not directory.is_dir():
        pytest.skip("the reference vectors (../shared/wav2lip) are not on this machine")
    return directory


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor]:
    """Mel windows [2, 1, 80, 16] and faces [2, 6, 96, 96] of noise."""
    noise = np.random.default_rng(7)
    return (
        torch.from_numpy(noise.normal(-1, 2, (2, 1, 80, 16)).clip(-4, 4).astype(np.float32)),
        torch.from_numpy(noise.uniform(0, 1, (2, 6, SIDE, SIDE)).astype(np.float32)),
    )


@pytest.fixture(scope="module")
def output(network: Wav2Lip, inputs: tuple[Tensor, Tensor]) -> Tensor:
    return network.forward(*inputs)


class Unfolded(nn.Module):
    """A convolution and a batch norm one after the other, as they were trained."""

    def __init__(self, convolution: _Convolution) -> None:
        super().__init__()
        layer = convolution._layer
        first: nn.Module = (
            nn.ConvTranspose2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding, layer.output_padding)
            if layer.is_transposed
            else nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding)
        )
        self.conv_block = nn.Sequential(first, nn.BatchNorm2d(layer.outputs))
        self.is_residual = layer.is_residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        return torch.relu(y + x if self.is_residual else y)


def as_trained(weights: Mapping[str, Tensor]) -> Wav2Lip:
    """Return the network with its batch norms, with the weights as they are published."""
    network = Wav2Lip()
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _Convolution):
                setattr(parent, name, Unfolded(child))
    network.load_state_dict(weights)
    return network.eval()


# -- against the reference -----------------------------------------------------------------------------------------------------------------


def test_names_and_shapes_are_those_of_the_published_checkpoints(shared: Path) -> None:
    published = {name: tuple(shape) for name, shape in json.loads((shared / "layout.json").read_text(encoding="utf-8")).items()}
    assert published_layout() == published


def test_the_output_is_that_of_the_reference_network(network: Wav2Lip, shared: Path) -> None:
    with np.load(shared / "vectors.npz") as vectors:
        mel, face, expected = (torch.from_numpy(vectors[name]) for name in ("mel", "face", "output"))
    difference = float((network(mel, face) - expected).abs().max())
    print(f"largest difference to the reference network: {difference:.1e}")  # noqa: T201
    assert difference <= 1e-4


# -- by itself -----------------------------------------------------------------------------------------------------------------------------


def test_the_output_has_not_changed(output: Tensor) -> None:
    """Values of the version that agreed with the reference vectors to 1e-6, where these are not on the machine."""
    places = output[[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], [0, 30, 50, 64, 80, 95], [0, 95, 48, 17, 80, 95]]
    np.testing.assert_allclose(places, FROZEN, atol=1e-4)


def test_a_folded_batch_norm_computes_the_same_as_a_batch_norm(untrained: Weights, output: Tensor, inputs: tuple[Tensor, Tensor]) -> None:
    with torch.inference_mode():
        expected = as_trained(untrained)(*inputs)
    assert float(expected.std()) > 0.02
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_every_published_tensor_has_its_place_and_nothing_else_has(untrained: Weights, network: Wav2Lip) -> None:
    assert set(untrained) == set(published_layout())
    assert set(fold_batch_norms(untrained)) == set(network.state_dict())
    assert sum(weight.numel() for name, weight in untrained.items() if "running" not in name and "batches" not in name) == 36_298_035


def test_the_output_is_as_large_as_the_face_and_within_0_and_1(output: Tensor) -> None:
    assert output.shape == (2, 3, SIDE, SIDE)
    assert 0 <= float(output.min()) < float(output.max()) <= 1


@pytest.mark.family(2)
@pytest.mark.parametrize("row", ROWS)
def test_the_lower_rows_alone_are_those_of_the_whole_face(
    network: Wav2Lip, inputs: tuple[Tensor, Tensor], output: Tensor, row: int
) -> None:
    part = network.rows_from(row, *(one[:1] for one in inputs))
    assert part.shape == (1, 3, SIDE - row, SIDE)
    np.testing.assert_allclose(part, output[:1, :, row:], atol=1e-5)


@pytest.mark.slow
def test_the_lower_rows_alone_are_less_work() -> None:
    assert values_computed(row=44) < 0.85 * values_computed(row=0)


def values_computed(row: int) -> int:
    """Return how many values all layers give together."""
    counts: list[int] = []
    with torch.device("meta"):
        network = Wav2Lip()
        for module in network.modules():
            if isinstance(module, _Convolution):
                module.register_forward_hook(lambda _, __, output: counts.append(output.numel()))
        network.rows_from(row, torch.empty(1, 1, 80, 16), torch.empty(1, 6, SIDE, SIDE))
    return sum(counts)


def test_audio_and_face_both_matter_and_faces_of_a_batch_are_independent(
    network: Wav2Lip, inputs: tuple[Tensor, Tensor], output: Tensor
) -> None:
    mel, face = inputs
    for other in (network(mel[:1], face[1:]), network(mel[1:], face[:1])):
        assert float((other - output[:1]).abs().max()) > 1e-3
        assert float((other - output[1:]).abs().max()) > 1e-3
    np.testing.assert_allclose(network(mel[1:], face[1:]), output[1:], atol=1e-5)


def test_it_has_no_gradients(network: Wav2Lip) -> None:
    assert not any(weight.requires_grad for weight in network.parameters())
