"""Checkpoints in the forms they go about in, written once."""

import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from torch import Tensor, nn

from tests.lipsync.wav2lip.recipe import light_weights

Weights = Mapping[str, Tensor]


class _Empty(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1


def tree(weights: Weights) -> nn.Module:
    """Return modules whose state dict has these names: convolutions and batch norms where the names say so."""
    root = _Empty()
    for name in weights:
        *path, _ = name.split(".")
        module: nn.Module = root
        for depth, part in enumerate(path):
            if part not in dict(module.named_children()):
                module.add_module(part, _leaf(weights, ".".join(path)) if depth == len(path) - 1 else nn.Sequential())
            module = dict(module.named_children())[part]
    root.load_state_dict(weights, assign=True)
    return root.eval()


def _leaf(weights: Weights, name: str) -> nn.Module:
    with torch.device("meta"):
        if f"{name}.running_var" in weights:
            return nn.BatchNorm2d(len(weights[f"{name}.running_var"]))
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        if len(bias) == weight.shape[0]:
            return nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2])
        return nn.ConvTranspose2d(weight.shape[0], weight.shape[1], weight.shape[2])


def save_torch(path: Path, content: Any) -> None:
    torch.save(content, path)


def save_old_torch(path: Path, content: Any) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_scripted(path: Path, weights: Weights) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the files made with it stay
        torch.jit.save(torch.jit.script(tree(weights)), str(path))


def save_traced(path: Path, weights: Weights) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(tree(weights), torch.zeros(1)), str(path))


def save_zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    return path


SAVERS: Final[Mapping[str, Callable[[Path, Any], None]]] = {
    "zip": save_torch,
    "old": save_old_torch,
    "scripted": save_scripted,
    "traced": save_traced,
}


@pytest.fixture(scope="session")
def light() -> Weights:
    return light_weights()


@pytest.fixture(scope="session")
def light_file(light: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the authors publish it, but small."""
    path = tmp_path_factory.mktemp("light") / "Wav2Lip GAN.pth"
    wrapped = {f"module.{name}": value for name, value in light.items()}
    save_old_torch(path, {"state_dict": wrapped, "optimizer": {"state": {}}, "global_step": 1, "global_epoch": 1})
    return path
