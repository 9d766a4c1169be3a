"""Read the header of a safetensors file with the standard library alone: the list of checkpoints must not wait for torch.

8 bytes: the length n of the head, little-endian; n bytes of JSON: name -> dtype, shape, where its bytes lie; then the bytes.
https://huggingface.co/docs/safetensors
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import error

_LONGEST: Final = 16 * 2**20
"""Bytes of the longest header that is read; that of Wav2Lip has 30 kB."""
_METADATA: Final = "__metadata__"

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Head:
    """Names and shapes of the tensors in a safetensors file, and its metadata; data_from: the byte where the values begin."""

    shapes: Shapes
    metadata: Mapping[str, str]
    data_from: int


def is_tensor_file(beginning: bytes) -> bool:
    """Return whether the first bytes of a file, 9 or more, are those of a safetensors file."""
    return beginning[8:9] == b"{" and _length(beginning) <= _LONGEST


def read_head(path: Path) -> Head:
    """Read the header. Raises SetupError (`checkpoint_truncated`, `checkpoint_unreadable`), OSError."""
    with path.open("rb") as file:
        beginning = file.read(9)
        if len(beginning) < 9 or not is_tensor_file(beginning):
            raise error("checkpoint_unreadable", name=path.name, problem="it is no safetensors file")
        length = _length(beginning)
        text = beginning[8:] + file.read(length - 1)
    size = path.stat().st_size
    if len(text) < length:
        raise error("checkpoint_truncated", name=path.name, problem="its end is missing")
    try:
        head, end = _parse(json.loads(text), 8 + length)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise error("checkpoint_unreadable", name=path.name, problem="the head of the safetensors file is garbled") from problem
    if size < end:
        raise error("checkpoint_truncated", name=path.name, problem=f"it has {size} of {end} bytes")
    return head


def data_sha256(path: Path, head: Head) -> str:
    """Return the sha256 of all values in the file, without its header."""
    with path.open("rb") as file:
        file.seek(head.data_from)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _length(beginning: bytes) -> int:
    return int.from_bytes(beginning[:8], "little")


def _parse(content: Mapping[str, Any], data_from: int) -> tuple[Head, int]:
    """Return the header, and how many bytes the file must have."""
    tensors = {name: value for name, value in content.items() if name != _METADATA}
    shapes = {name: tuple(int(length) for length in tensor["shape"]) for name, tensor in tensors.items()}
    metadata = {str(key): str(value) for key, value in content.get(_METADATA, {}).items()}
    end = max((int(tensor["data_offsets"][1]) for tensor in tensors.values()), default=0)
    return Head(shapes=shapes, metadata=metadata, data_from=data_from), data_from + end
