"""Checkpoints in the forms they go about in, written once; a network at work, and somebody for it to look at."""

import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.lipsync.wav2lip import generator as generator_module
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurer
from heygem_daemon.lipsync.wav2lip.network import Wav2Lip, fold_batch_norms
from heygem_daemon.media.probe import probe
from tests.lipsync.conftest import Clip
from tests.lipsync.wav2lip.recipe import compact_weights, untrained_weights
from tests.lipsync.wav2lip.talker import Mouths, drawn_mouths
from training.espeak import espeak

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
    return compact_weights()


@pytest.fixture(scope="session")
def light_file(light: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the authors publish it, but small."""
    path = tmp_path_factory.mktemp("light") / "Wav2Lip GAN.pth"
    wrapped = {f"module.{name}": value for name, value in light.items()}
    save_old_torch(path, {"state_dict": wrapped, "optimizer": {"state": {}}, "global_step": 1, "global_epoch": 1})
    return path


# -- a network at work --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="package", autouse=True)
def _same_arithmetic_on_every_machine() -> Iterator[None]:
    """Let torch compute in one thread and in float32, whatever number of cores and short types the CPU has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_module, "_native", lambda _: ())
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def recipe() -> Weights:
    """The weights of the recipe, by their published names."""
    return untrained_weights()


@pytest.fixture(scope="session")
def untrained_models(weights: Path, recipe: Weights, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of model files into which somebody has dropped an untrained checkpoint; converted, not yet measured."""
    directory = tmp_path_factory.mktemp("untrained")
    for path in (*weights.glob("*.tflite"), *weights.glob("*.safetensors")):
        (directory / path.name).symlink_to(path)
    save_torch(directory / "wav2lip_gan.pth", {"state_dict": {f"module.{name}": value for name, value in recipe.items()}})
    store.find(directory)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def network(recipe: Weights) -> Wav2Lip:
    """An untrained network. Not to be changed."""
    network = Wav2Lip()
    network.load_state_dict(fold_batch_norms(recipe))
    return network.eval()


@pytest.fixture(scope="session")
def generator(network: Wav2Lip) -> FaceGenerator:
    """The untrained network at work: what it draws is noise."""
    return FaceGenerator(network)


# -- somebody to look at ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def reference(clip: Clip) -> np.ndarray:
    """The mean canonical face of the portrait, [468, 3]."""
    return mean_face(clip.tracks)


@pytest.fixture(scope="session")
def reader(weights: Path) -> MouthMeasurer:
    return MouthMeasurer(weights)


@pytest.fixture(scope="session")
def fallback_driver() -> PhoneticDriver:
    """The driver that hears what a checkpoint is compared with, with the weights that are shipped."""
    return PhoneticDriver(load(shipped_weights()))


@pytest.fixture(scope="session")
def voice() -> np.ndarray:
    """Some 8 s of English, float32 [n] at 16 kHz."""
    wave, _ = espeak().speak(
        "People pay both bills by May, but papa may be home before five. Why do we move the whole show so far away?", "en-us"
    )
    assert len(wave) > 6 * 16000
    return wave


@pytest.fixture(scope="session")
def prepared(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> PreparedAtlas:
    """What the paste renderer learned of the portrait."""
    return AtlasRenderer().prepare(probe(clip.path), clip.tracks, tmp_path_factory.mktemp("presenter"), lambda _: None)


@pytest.fixture(scope="session")
def mouths(clip: Clip, prepared: PreparedAtlas, reference: np.ndarray) -> Mouths:
    """Her mouth, opening."""
    return drawn_mouths(clip, prepared, reference)
