"""Detect the format of a checkpoint from its first and last bytes, not from its name. Loads no torch and executes nothing."""

import re
import stat
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.lipsync.wav2lip.checkpoints import safetensors_header

FORMAT: Final = "heygem wav2lip 1"
"""Format in the metadata of a converted checkpoint."""
LARGEST: Final = 4 * 2**30
"""Bytes of the largest file that is opened. The largest known one, with the state of its training, has 436 MB."""
SMALLEST: Final = 64
"""Bytes of the smallest file whose format is detected; a smaller one is the begin of a download."""
_BEGINNING: Final = 4096
"""Bytes that are read from the beginning."""
_OLD_TORCH: Final = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""A pickle of the magic number with which files of torch.save before version 1.6 begin."""
_ZIP: Final = b"PK\x03\x04"
_OTHERS: Final = (
    (b"\x80", "it is a pickle of Python but not of PyTorch; that may run any program, and is not opened"),
    (b"\x1f\x8b", "it is a gzip archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive: unpack it first"),
    (b"Rar!", "it is a RAR archive: unpack it first"),
    (b"\x89HDF", "it is a file of Keras"),
    (b"GGUF", "it is a GGUF file"),
)
"""First bytes of other formats, and the reason in words."""


class Kind(StrEnum):
    """The formats that are read, in words."""

    TORCH = "PyTorch file"
    TORCH_OLD = "PyTorch file in the old format"
    TORCHSCRIPT = "TorchScript archive"
    SAFETENSORS = "safetensors file"
    CONVERTED = "converted checkpoint"


def detect_kind(path: Path) -> Kind:
    """Return the format of a file.

    Raises SetupError (`checkpoint_web_page`, `checkpoint_truncated`, `checkpoint_unreadable`) where it is none of them.
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise error("checkpoint_unreadable", name=path.name, problem="it is not an ordinary file")
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
        return _kind(path, beginning, state.st_size)
    except OSError as problem:
        raise unreadable(path, problem) from problem


def unreadable(path: Path, problem: OSError) -> HeygemError:
    """Return the error for a file that the system cannot read."""
    return error("checkpoint_unreadable", name=path.name, problem=problem.strerror or str(problem))


def _kind(path: Path, beginning: bytes, size: int) -> Kind:
    if not size:
        raise error("checkpoint_truncated", name=path.name, problem="it is empty")
    if size > LARGEST:
        raise error("checkpoint_unreadable", name=path.name, problem=f"with {size / 2**30:.1f} GiB it is larger than any checkpoint")
    if safetensors_header.is_tensor_file(beginning):  # its length may begin like any of the others
        return Kind.CONVERTED if _is_converted(path) else Kind.SAFETENSORS
    if beginning.startswith(_ZIP):
        return _kind_of_zip(path)
    if beginning.startswith(_OLD_TORCH):
        return Kind.TORCH_OLD
    if what := _describe_text(beginning):
        raise error("checkpoint_web_page", name=path.name, what=what)
    if size < SMALLEST:
        raise error("checkpoint_truncated", name=path.name, problem=f"it has {size} bytes")
    raise error("checkpoint_unreadable", name=path.name, problem=_describe_other(beginning))


def _is_converted(path: Path) -> bool:
    return safetensors_header.read_head(path).metadata.get("format", "").startswith("heygem wav2lip ")


def _kind_of_zip(path: Path) -> Kind:
    """Distinguish the two zip formats of torch. The directory of a zip is at its end: a truncated file has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as problem:
        raise error("checkpoint_truncated", name=path.name, problem="its end is missing or garbled") from problem
    if sum(entry.file_size for entry in entries) > LARGEST:
        raise error("checkpoint_unreadable", name=path.name, problem="unpacked it would be larger than any checkpoint")
    if not {entry.compress_type for entry in entries} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise error("checkpoint_unreadable", name=path.name, problem="it is packed in a way that PyTorch does not use")
    names = [entry.filename for entry in entries]
    if not any(name.endswith("/data.pkl") for name in names):
        inside = next((name for name in names if re.search(r"\.(pth|pt|safetensors)$", name)), "")
        what = f"it is an archive with {inside} in it: unpack it first" if inside else "it is an archive without weights in it"
        raise error("checkpoint_unreadable", name=path.name, problem=what)
    return Kind.TORCHSCRIPT if any(name.endswith("/constants.pkl") for name in names) else Kind.TORCH


def _describe_text(beginning: bytes) -> str:
    """Return what a file of plain text is, "" for any other."""
    if re.search(rb"[\x00-\x08\x0e-\x1a]", beginning):
        return ""
    try:
        text = beginning.decode("utf-8-sig").lstrip()
    except UnicodeDecodeError as problem:
        if problem.start < len(beginning) - 3:  # else the beginning ended within a letter
            return ""
        text = beginning[: problem.start].decode("utf-8-sig").lstrip()
    if text.startswith("<"):
        return "a web page"
    if text.startswith("version https://git-lfs"):
        return "a git-lfs pointer"
    if text.startswith("{"):
        return "an answer of a server"
    return "a text" if len(beginning) >= SMALLEST else ""


def _describe_other(beginning: bytes) -> str:
    if b"pytorch" in beginning[:64] and beginning[:1] == b"\x08":
        return "it is an ONNX file"
    return next((what for mark, what in _OTHERS if beginning.startswith(mark)), "it is of no known kind")
