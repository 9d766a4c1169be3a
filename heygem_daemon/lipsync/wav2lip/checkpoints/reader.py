"""Read a checkpoint of Wav2Lip in any of the formats it is distributed in; nothing in the file is executed.

    detect_kind -> a reader per kind -> compare names and shapes with the published ones -> check values -> fold batch norms

A file of torch.save is read by torch's own reader of plain weights (`weights_only`), a TorchScript archive by `torchscript`. What is not a
whole generator of Wav2Lip is refused with an error of its own.
"""

import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import escape_name
from heygem_daemon.lipsync.wav2lip.checkpoints import safetensors_header
from heygem_daemon.lipsync.wav2lip.checkpoints.formats import FORMAT, Kind, detect_kind, unreadable
from heygem_daemon.lipsync.wav2lip.checkpoints.identify import describe_network
from heygem_daemon.lipsync.wav2lip.checkpoints.safetensors_header import Shapes
from heygem_daemon.lipsync.wav2lip.checkpoints.torchscript import ForeignCodeError, TorchScript
from heygem_daemon.lipsync.wav2lip.network import Wav2Lip, fold_batch_norms, published_layout

_ANCHOR: Final = "face_encoder_blocks.0.0.conv_block.0.weight"
"""A name that every generator has: its prefix ("module.") is that of all names."""
_COUNTER: Final = "num_batches_tracked"
"""The end of names that only training needs; some files lack them."""
_GARBLED: Final = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, MemoryError, NotImplementedError),
    *(RuntimeError, TypeError, ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""Raised by the readers of pickles and zips for garbled bytes: they document no errors of their own."""
_FOREIGN: Final = re.compile(r"(?:GLOBAL|[Cc]lass) ([\w.]+\.\w+)")
"""The name in the message of torch when a pickle asks for a class or function that weights do not need."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """The content of a file: the weights of `Wav2Lip`, batch norms folded in; metadata: of a converted checkpoint."""

    kind: Kind
    weights: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> Contents:
    """Return the weights in a file.

    Raises SetupError: `checkpoint_web_page`, `checkpoint_truncated`, `checkpoint_unsafe`, `checkpoint_other_network`,
    `checkpoint_damaged`, `checkpoint_unreadable`.
    """
    kind = detect_kind(path)
    try:
        if kind is Kind.CONVERTED:
            return _converted(path)
        weights = _READERS[kind](path)
    except OSError as problem:
        raise unreadable(path, problem) from problem
    return Contents(kind=kind, weights=fold_batch_norms(_check_values(path, weights)))


def _converted(path: Path) -> Contents:
    head = safetensors_header.read_head(path)
    found = head.metadata.get("format", "")
    if found != FORMAT:
        raise error(
            "checkpoint_unreadable", name=path.name, problem=f"it is of the format {escape_name(found)}, this version reads {FORMAT}"
        )
    expected = {name: tuple(value.shape) for name, value in _bare_network().state_dict().items()}
    if head.shapes != expected or safetensors_header.data_sha256(path, head) != head.metadata.get("weights_sha256"):
        raise error("checkpoint_damaged", name=path.name, problem="its content has changed since it was converted")
    return Contents(kind=Kind.CONVERTED, weights=_tensors(path, {name: name for name in expected}), metadata=head.metadata)


def _bare_network() -> Wav2Lip:
    """Return a network without values, for its names and shapes."""
    with torch.device("meta"):
        return Wav2Lip()


# -- the readers: each returns published names with their tensors --------------------------------------------------------------------------


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    return _tensors(path, _names(path, safetensors_header.read_head(path).shapes))


def _tensors(path: Path, names: Mapping[str, str]) -> dict[str, Tensor]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(inside) for name, inside in names.items()}
    except safetensors.SafetensorError as problem:
        raise error(
            "checkpoint_unreadable", name=path.name, problem=f"the safetensors file is garbled ({escape_name(str(problem))})"
        ) from problem


def _of_torchscript(path: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            script = TorchScript(archive)
            names = _names(path, {name: stored.shape for name, stored in script.tensors.items()})
            return {name: script.read(inside) for name, inside in names.items()}
    except ForeignCodeError as problem:
        raise error("checkpoint_unsafe", name=path.name, what=escape_name(str(problem))) from problem
    except _GARBLED as problem:
        raise _refusal(path, problem) from problem


def _of_torch(path: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:  # torch ignores the checksums; a wrong value would go unnoticed
            wrong = archive.testzip()
        if wrong is not None:
            raise error("checkpoint_damaged", name=path.name, problem=f"the checksum of {escape_name(wrong)} in it is wrong")
        content = _load(path)
    except _GARBLED as problem:
        raise _refusal(path, problem) from problem
    return _find_weights(path, content)


def _of_old_torch(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        try:
            content = _load(file)
        except _GARBLED as problem:
            if "unexpected EOF" in str(problem) or not file.read(1):
                raise error("checkpoint_truncated", name=path.name, problem="its end is missing") from problem
            raise _refusal(path, problem) from problem
    return _find_weights(path, content)


def _load(file: Path | BinaryIO) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the warnings of torch (old types and pickles) are for programmers
        return torch.load(file, map_location="cpu", weights_only=True)


_READERS: Final[Mapping[Kind, Callable[[Path], dict[str, Tensor]]]] = {
    Kind.TORCH: _of_torch,
    Kind.TORCH_OLD: _of_old_torch,
    Kind.TORCHSCRIPT: _of_torchscript,
    Kind.SAFETENSORS: _of_safetensors,
}


def _refusal(path: Path, problem: Exception) -> HeygemError:
    """Return the error for the exception of a reader, for a file that is not truncated."""
    if foreign := _FOREIGN.search(str(problem)):
        return error("checkpoint_unsafe", name=path.name, what=foreign[1])
    return error("checkpoint_unreadable", name=path.name, problem=f"its content is garbled ({type(problem).__name__})")


# -- from what is in a file to the weights -------------------------------------------------------------------------------------------------


def _find_weights(path: Path, content: object) -> dict[str, Tensor]:
    """Return the weights in the content of torch.save: a state dict, or a dict that has one as a value."""
    parts = [_tensors_in(part) for part in (content, *(content.values() if isinstance(content, Mapping) else ()))]
    state = next((part for part in parts if any(name.endswith(_ANCHOR) for name in part)), None) or max(parts, key=len)
    names = _names(path, {name: tuple(value.shape) for name, value in state.items()})
    return {name: state[inside] for name, inside in names.items()}


def _tensors_in(part: Any) -> dict[str, Tensor]:
    entries = part.items() if isinstance(part, Mapping) else ()
    return {name: value for name, value in entries if isinstance(name, str) and isinstance(value, Tensor)}


def _names(path: Path, shapes: Shapes) -> dict[str, str]:
    """Return for every published name, less the counters, the name in the file. Raises SetupError (`checkpoint_other_network`)."""
    layout = {name: shape for name, shape in published_layout().items() if not name.endswith(_COUNTER)}
    prefix = next((name.removesuffix(_ANCHOR) for name in shapes if name.endswith(_ANCHOR)), "")
    inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    if {name: shape for name, shape in inside.items() if not name.endswith(_COUNTER)} != layout:
        raise error("checkpoint_other_network", name=path.name, what=describe_network(inside or shapes))
    return {name: prefix + name for name in layout}


def _check_values(path: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights as float32, with counters. Raises SetupError where they are quantised or have impossible values."""
    if not all(_is_plain(value) for value in weights.values()):
        raise error("checkpoint_other_network", name=path.name, what="a generator whose weights were quantised")
    numbers = {name: value.detach().float() for name, value in weights.items()}
    for name, value in numbers.items():
        if not torch.isfinite(value).all() or (name.endswith("running_var") and (value < 0).any()):
            raise error("checkpoint_damaged", name=path.name, problem=f"there are impossible numbers in it ({escape_name(name)})")
    return numbers | {name: torch.zeros(()) for name in published_layout() if name.endswith(_COUNTER)}


def _is_plain(value: Tensor) -> bool:
    """Return whether these are plain values in memory: not quantised, not sparse, not missing."""
    return value.is_floating_point() and value.layout is torch.strided and value.device.type == "cpu"
