"""Read the weights in a TorchScript archive without executing anything in it.

`torch.jit.load` compiles the program in the archive and runs parts of it (`__setstate__`); this reads no code at all. The modules are in
data.pkl, a pickle; the classes and functions that it names are replaced by inert ones: a module is a bag of attributes, a tensor a record
of where its bytes are. Every other name ends the reading. Values are read on demand, each tensor from its own member of the zip.
"""

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

_TYPES: Final = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_MOST: Final = 100_000
_LONGEST: Final = 500
"""Most attributes, and letters of a name; Wav2Lip has some 3,000, and 50. A pickle may contain itself, and few bytes may expand to very
many modules."""
_MOST_AXES: Final = 8
"""Most dimensions of a tensor."""
_LARGEST_PICKLE: Final = 4 * 2**20
"""Bytes of the largest data.pkl; that of Wav2Lip has some 200 kB."""
_MOST_REMEMBERED: Final = 1_000_000
"""The highest number under which a pickle may remember a value: pickle keeps a table as long as the highest one, 8 bytes each, zeroed."""
_REMEMBER: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


class ForeignCodeError(pickle.UnpicklingError):
    """The pickle names a class or function that weights do not need; the message is that name."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A tensor that is not read yet: `count` values in the member `data/key`, and their layout."""

    key: str
    dtype: torch.dtype
    count: int
    offset: int = 0
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()


class TorchScript:
    """An open archive. tensors: those of its modules, by their dotted names.

    Raises ForeignCodeError where its pickle names what weights do not need, KeyError, ValueError, pickle.UnpicklingError and other
    exceptions of pickle where it is garbled.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        name = min((name for name in archive.namelist() if name.endswith("/data.pkl")), key=len)
        if archive.getinfo(name).file_size > _LARGEST_PICKLE:
            raise ValueError(f"{name} is too large")
        self._root = name.removesuffix("data.pkl")
        content = archive.read(name)
        _check_numbers(content)
        self.tensors = _walk(_Modules(io.BytesIO(content)).load())

    def read(self, name: str) -> Tensor:
        """Return the tensor of that name. Raises as the class does, RuntimeError where its layout does not fit its bytes."""
        stored = self.tensors[name]
        content = bytearray(self._archive.read(f"{self._root}data/{stored.key}"))
        if len(content) != stored.count * stored.dtype.itemsize:
            raise ValueError(f"{name} has {len(content)} bytes")
        return torch.frombuffer(content, dtype=stored.dtype).as_strided(stored.shape, stored.stride, stored.offset)


def _check_numbers(content: bytes) -> None:
    """Raise ValueError for a pickle that is cut off, or that a few bytes of would make take all memory."""
    for opcode, number, _ in pickletools.genops(content):
        if opcode.name in _REMEMBER and number is not None and number > _MOST_REMEMBERED:
            raise ValueError(f"it remembers a value as number {number}")


class _Module:
    """Replaces any TorchScript class. It has __setstate__ so that a pickle can set no attribute of it, nor of the class."""

    attributes: dict[str, Any]

    def __new__(cls, *_: object) -> "_Module":
        made = super().__new__(cls)
        made.attributes = {}
        return made

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.attributes = {name: value for name, value in state.items() if isinstance(name, str) and len(name) < _LONGEST}


class _Function:
    """Replaces a function that a pickle may name. It has __setstate__ so that a pickle cannot change it."""

    def __init__(self, do: Callable[..., object]) -> None:
        self._do = do

    def __call__(self, *arguments: object) -> object:
        return self._do(*arguments)

    def __setstate__(self, _: object) -> None:
        raise ForeignCodeError("a change of a function")


class _Modules(pickle.Unpickler):
    """Reads data.pkl with the replaced classes and functions."""

    def find_class(self, module: str, name: str) -> object:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if module == "torch" and name in _TYPES:
            return _StorageType(name)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (do := _FUNCTIONS.get((module, name))) is None:
            raise ForeignCodeError(f"{module}.{name}")
        return _Function(do)

    def persistent_load(self, pid: Any) -> Stored:
        word, kind, key, _, count = pid
        if word != "storage" or not isinstance(kind, _StorageType):
            raise pickle.UnpicklingError("unknown storage")
        return Stored(key=str(key), dtype=_TYPES[kind], count=int(count))


class _StorageType(str):
    """The name of a storage type, as a class of its own so that a text in a pickle is none."""

    __slots__ = ()


def _tensor(stored: Stored, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Stored:
    if not isinstance(stored, Stored) or len(shape) > _MOST_AXES or len(stride) > _MOST_AXES:
        raise pickle.UnpicklingError("no tensor")
    lengths, steps = tuple(map(int, shape)), tuple(map(int, stride))
    return Stored(key=stored.key, dtype=stored.dtype, count=stored.count, offset=int(offset), shape=lengths, stride=steps)


def _return_first(value: object = None, *_: object) -> object:
    return value


_FUNCTIONS: Final[dict[tuple[str, str], Callable[..., object]]] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _return_first,
    ("torch", "device"): _return_first,
    ("torch.jit._pickle", "build_intlist"): _return_first,
    ("torch.jit._pickle", "build_doublelist"): _return_first,
    ("torch.jit._pickle", "build_boollist"): _return_first,
    ("torch.jit._pickle", "build_tensorlist"): _return_first,
    ("torch.jit._pickle", "restore_type_tag"): _return_first,
}


def _walk(root: object) -> dict[str, Stored]:
    """Return the tensors in a tree of modules, "block.0.weight" for the attribute weight of 0 of block."""
    found: dict[str, Stored] = {}
    waiting, seen = [("", root)], 0
    while waiting:
        prefix, module = waiting.pop()
        if not isinstance(module, _Module):
            continue
        seen += 1 + len(module.attributes)
        if seen > _MOST or len(prefix) > _LONGEST:
            raise pickle.UnpicklingError("too many modules")
        found |= {prefix + name: value for name, value in module.attributes.items() if isinstance(value, Stored)}
        waiting += [(f"{prefix}{name}.", value) for name, value in module.attributes.items() if isinstance(value, _Module)]
    return found
