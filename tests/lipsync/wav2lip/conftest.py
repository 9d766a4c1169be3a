"""Checkpoints in the formats they are distributed in, an untrained network, and a face with a fake generator of its mouth."""

import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from heygem_daemon.lipsync.atlas.renderer import PreparedAtlas
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.lipsync.wav2lip import generator as generator_module
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurer
from heygem_daemon.lipsync.wav2lip.network import Wav2Lip, fold_batch_norms
from tests.disk_cache import cached
from tests.lipsync.conftest import Clip
from tests.lipsync.wav2lip.fake_generator import MouthImages, rendered_mouths
from tests.lipsync.wav2lip.synthetic_weights import compact_weights, untrained_weights
from tests.synthetic_speech import synthesise

Weights = Mapping[str, Tensor]


class _Empty(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1


def tree(weights: Weights) -> nn.Module:
    """Return modules whose state dict has these names: convolutions and batch norms, by the names."""
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
        warnings.simplefilter("ignore")  # torch.jit is deprecated; files made with it exist
        torch.jit.save(torch.jit.script(tree(weights)), str(path))


def save_traced(path: Path, weights: Weights) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(tree(weights), torch.zeros(1)), str(path))  # type: ignore[no-untyped-call]


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
def compact() -> Weights:
    """Weights whose files are small."""
    return compact_weights()


@pytest.fixture(scope="session")
def compact_file(compact: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file in the format of the published checkpoints."""
    path = tmp_path_factory.mktemp("compact") / "Wav2Lip GAN.pth"
    wrapped = {f"module.{name}": value for name, value in compact.items()}
    save_old_torch(path, {"state_dict": wrapped, "optimizer": {"state": {}}, "global_step": 1, "global_epoch": 1})
    return path


# -- an untrained network ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="package", autouse=True)
def _float32_on_every_machine() -> Iterator[None]:
    """Let generators compute in float32, also on a CPU with 16-bit types; the tests of the choice replace this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_module, "_native", lambda _: ())
        yield


@pytest.fixture(scope="session")
def untrained_file() -> Path:
    """Safetensors of full size with untrained weights by their published names. Read-only."""

    def write(folder: Path) -> None:
        safetensors.torch.save_file(untrained_weights(), folder / "w.safetensors")

    return cached("untrained-weights", write) / "w.safetensors"


@pytest.fixture(scope="session")
def untrained(untrained_file: Path) -> Weights:
    """Untrained weights by their published names."""
    return safetensors.torch.load_file(untrained_file)


@pytest.fixture(scope="session")
def untrained_models(weights: Path, untrained: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of model files with an untrained checkpoint that was put there as downloaded; it is converted, but not calibrated."""

    def convert(folder: Path) -> None:
        save_torch(folder / "wav2lip_gan.pth", {"state_dict": {f"module.{name}": value for name, value in untrained.items()}})
        store.find(folder)

    kept, directory = cached("untrained-models", convert), tmp_path_factory.mktemp("untrained")
    for path in (*weights.glob("*.tflite"), *weights.glob("*.safetensors"), kept / "wav2lip_gan.pth"):
        (directory / path.name).symlink_to(path)
    (directory / "wav2lip").mkdir()
    for path in (kept / "wav2lip").iterdir():
        (directory / "wav2lip" / path.name).symlink_to(path)
    return directory


@pytest.fixture(scope="session")
def network(untrained: Weights) -> Wav2Lip:
    """An untrained network. Not to be changed."""
    network = Wav2Lip()
    network.load_state_dict(fold_batch_norms(untrained))
    return network.eval()


@pytest.fixture(scope="session")
def generator(network: Wav2Lip) -> FaceGenerator:
    """A generator with the untrained network: its output is noise."""
    return FaceGenerator(network)


# -- a face and a voice --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def reference(clip: Clip) -> np.ndarray:
    """The mean canonical face of the portrait, [468, 3]."""
    return mean_face(clip.tracks)


@pytest.fixture(scope="session")
def measurer(weights: Path) -> MouthMeasurer:
    """The face mesh that measures generated mouths."""
    return MouthMeasurer(weights)


@pytest.fixture(scope="session")
def fallback_driver() -> PhoneticDriver:
    """The driver `phonetic` with the shipped weights, which a checkpoint is compared with."""
    return PhoneticDriver(load(shipped_weights()))


@pytest.fixture(scope="session")
def voice() -> np.ndarray:
    """Some 8 s of English, float32 [n] at 16 kHz."""
    wave, _ = synthesise(
        "People pay both bills by May, but papa may be home before five. Why do we move the whole show so far away?", "en-us"
    )
    assert len(wave) > 6 * 16000
    return wave


@pytest.fixture(scope="session")
def mouths(clip: Clip, prepared: PreparedAtlas, reference: np.ndarray) -> MouthImages:
    """The mouth of the portrait, opening."""

    def render(folder: Path) -> None:
        np.save(folder / "lower.npy", rendered_mouths(clip, prepared, reference).lower)

    return MouthImages(lower=np.load(cached("mouths", render) / "lower.npy"))
