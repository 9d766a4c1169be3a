"""Convert the Wav2Lip checkpoints of this server once; list, find and load them.

    <models>/wav2lip/NAME.safetensors   float32 weights, batch norms folded in; their origin is in the metadata
    <models>/*.pth, *.pt                as downloaded: `find` converts them where they are new

torch is imported only where a foreign file is read or a network is made, so that `heygem models list` answers at once.
"""

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.durable import rename_exclusive, sync_folder, write_durably
from heygem_daemon.lipsync.wav2lip.checkpoints import safetensors_header
from heygem_daemon.lipsync.wav2lip.checkpoints.formats import FORMAT, Kind, detect_kind, unreadable

if TYPE_CHECKING:
    from heygem_daemon.lipsync.wav2lip.checkpoints.reader import Contents
    from heygem_daemon.lipsync.wav2lip.network import Wav2Lip

LICENCE: Final = (
    "The checkpoints of Wav2Lip's authors are for research and other non-commercial use only: they were trained on the LRS2 dataset, "
    "whose licence allows no more."
)
_FOLDER: Final = "wav2lip"
_SUFFIX: Final = ".safetensors"
_LOOSE: Final = frozenset({".pth", ".pt"})
_LONGEST_NAME: Final = 64
_ABANDONED_SECONDS: Final = 3600.0
"""Age from which a temporary file was left by a process that died: writing one takes seconds."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One converted checkpoint. sha256, source (file name), size (bytes) and kind (format, in words) are of the file it was made from;
    added: when (ISO 8601, UTC); problem: why it cannot be used, "" where it can; otherwise the other fields may be empty."""

    name: str
    path: Path
    sha256: str = ""
    source: str = ""
    size: int = 0
    kind: str = ""
    added: str = ""
    problem: str = ""

    @property
    def is_usable(self) -> bool:
        return not self.problem

    @property
    def calibration_path(self) -> Path:
        """The file of its calibration: JSON with `offset_ms`."""
        return self.path.with_name(f"{self.name}.json")


def checkpoints(models: Path) -> list[Checkpoint]:
    """Return every converted checkpoint by name, damaged ones too. models: the directory of the model files."""
    paths = sorted((models / _FOLDER).glob(f"[!.]*{_SUFFIX}"))
    return [_read_checkpoint(path) for path in paths]


def verified(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint, with a `problem` where the values in the file are not those that were written."""
    try:
        head = safetensors_header.read_head(checkpoint.path)
        is_valid = safetensors_header.data_sha256(checkpoint.path, head) == head.metadata.get("weights_sha256")
    except (HeygemError, OSError):
        is_valid = False
    return checkpoint if is_valid or checkpoint.problem else _damaged_checkpoint(checkpoint.path)


def measured_offset(checkpoint: Checkpoint) -> float | str:
    """Return how much later than the audio its mouths are, ms, from its calibration; else the reason in words why it is not known."""
    try:
        offset = json.loads(checkpoint.calibration_path.read_text(encoding="utf-8"))["offset_ms"]
        return "none found" if offset is None else float(offset)
    except (OSError, ValueError, LookupError, TypeError):
        return "not measured"


def find(models: Path, name: str = "") -> Checkpoint:
    """Return the checkpoint called `name` (or made from a file of that name); without a name the only one, else the one added last.

    Converts the files in `models` that are not converted first, unless the named one is there. One that cannot be used is ignored where
    another checkpoint can be. Raises SetupError: `checkpoint_missing`, `checkpoint_not_saved`, or what `reader.read` raises for the file.
    """
    if name and (chosen := _newest(models, name)):
        return chosen
    refused = _convert_loose(models)
    if chosen := _newest(models, name):
        return chosen
    for file, problem in refused:
        if not name or name in _names_of(file):
            raise problem
    for checkpoint in checkpoints(models):
        if not name or checkpoint.name in {name, _plain_name(name)}:
            raise error("checkpoint_damaged", name=checkpoint.name, problem=checkpoint.problem)
    raise error("checkpoint_missing", named=f" named {name}" if name else "", path=models)


def add(models: Path, file: Path, name: str | None = None, *, on_step: Callable[[str], None] = lambda _: None) -> Checkpoint:
    """Convert a checkpoint in any format into `models`/wav2lip; where its content is there already, nothing is done.

    name: of the result, else that of the file; on_step: called with sentences for a terminal. Raises SetupError: `checkpoint_name_taken`,
    `checkpoint_not_saved`, and what `reader.read` raises.
    """
    on_step(f"Reading {file.name}")
    metadata = _origin(file)
    if known := _find_content(models, metadata["sha256"]):
        on_step(f"{file.name} is installed already, as {known.name}")
        return known
    path = models / _FOLDER / f"{_plain_name(name or file.stem)}{_SUFFIX}"
    if path.exists():
        _remove_damaged(path)
    return _install(path, file, metadata)


def load(checkpoint: Checkpoint, device: str = "cpu") -> "Wav2Lip":
    """Return the network of a converted checkpoint, ready for use. Raises as `load_network`."""
    return load_network(checkpoint.path, device)


def load_network(path: str | Path, device: str = "cpu") -> "Wav2Lip":
    """Return the network of a checkpoint in any format: see `wav2lip.load_network`. Raises SetupError as `reader.read`."""
    from heygem_daemon.lipsync.wav2lip.network import Wav2Lip  # noqa: PLC0415  (torch is slow to import)

    network = Wav2Lip()
    network.load_state_dict(dict(_read(Path(path)).weights))
    return network.to(device).eval()


def _read(path: Path) -> "Contents":
    from heygem_daemon.lipsync.wav2lip.checkpoints.reader import read  # noqa: PLC0415  (torch is slow to import)

    return read(path)


# -- listing -------------------------------------------------------------------------------------------------------------------------------


def _read_checkpoint(path: Path) -> Checkpoint:
    try:
        metadata = safetensors_header.read_head(path).metadata
        if metadata.get("format") != FORMAT:
            return _damaged_checkpoint(path, "it was converted by another version of this program")
        origin = {key: metadata[key] for key in ("sha256", "source", "kind", "added")}
        return Checkpoint(name=path.name.removesuffix(_SUFFIX), path=path, size=int(metadata["size"]), **origin)
    except (HeygemError, OSError, LookupError, ValueError):
        return _damaged_checkpoint(path)


def _damaged_checkpoint(path: Path, problem: str = "its content has changed since it was converted") -> Checkpoint:
    return Checkpoint(name=path.name.removesuffix(_SUFFIX), path=path, problem=problem)


def _newest(models: Path, name: str) -> Checkpoint | None:
    """Return the usable checkpoint that was added last, of those whose name or source is `name`."""
    usable = [each for each in checkpoints(models) if each.is_usable]
    chosen = [each for each in usable if not name or each.name in {name, _plain_name(name)}] or [
        each for each in usable if each.source == name
    ]
    return max(chosen, key=lambda each: each.added, default=None)


def _find_content(models: Path, digest: str) -> Checkpoint | None:
    """Return the intact checkpoint that was made from the content with this sha256."""
    same = (each for each in checkpoints(models) if each.sha256 == digest)
    return next((each for each in same if verified(each).is_usable), None)


# -- unconverted files ---------------------------------------------------------------------------------------------------------------------


def _convert_loose(models: Path) -> list[tuple[Path, HeygemError]]:
    """Convert the new files among those as downloaded; return those that cannot be used, with the error.

    A new file with the name of another checkpoint gets part of its sha256 added to its name.
    """
    refused = []
    present = {each.sha256 for each in checkpoints(models) if each.is_usable}
    taken = {each.name for each in checkpoints(models) if each.is_usable}
    for file in sorted(models.glob("*")):
        if file.suffix.lower() not in _LOOSE:
            continue
        try:
            digest = _origin(file)["sha256"]
            if digest not in present:
                name = _plain_name(file.stem)
                add(models, file, f"{name}-{digest[:6]}" if name in taken else name)
        except HeygemError as problem:
            if problem.code == "checkpoint_not_saved":
                raise
            refused.append((file, problem))
    return refused


def _names_of(file: Path) -> set[str]:
    return {file.name, file.stem, _plain_name(file.stem)}


def _plain_name(name: str) -> str:
    """Return a name of letters, digits and _.- that is neither hidden nor a path."""
    plain = re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip(".-")[:_LONGEST_NAME]
    return plain or "checkpoint"


# -- converting ----------------------------------------------------------------------------------------------------------------------------


def _origin(file: Path) -> dict[str, str]:
    """Return the metadata on the origin of a file; a checkpoint converted elsewhere keeps its own."""
    kind = detect_kind(file)
    try:
        if kind is Kind.CONVERTED:
            return _origin_of_converted(file)
        state = file.stat()
        digest = _sha256(file, state.st_mtime_ns, state.st_size)
    except OSError as problem:
        raise unreadable(file, problem) from problem
    return {"sha256": digest, "source": file.name, "size": str(state.st_size), "kind": kind}


def _origin_of_converted(file: Path) -> dict[str, str]:
    converted = _read_checkpoint(file)
    if not converted.is_usable:
        raise error("checkpoint_damaged", name=file.name, problem=converted.problem)
    return {"sha256": converted.sha256, "source": converted.source, "size": str(converted.size), "kind": converted.kind}


@lru_cache(maxsize=32)
def _sha256(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_damaged(path: Path) -> None:
    """Remove a damaged checkpoint. Raises SetupError (`checkpoint_name_taken`) where it is intact."""
    if verified(_read_checkpoint(path)).is_usable:
        raise error("checkpoint_name_taken", name=path.name.removesuffix(_SUFFIX), path=path)
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise _not_saved_error(path, problem) from problem


def _install(path: Path, file: Path, metadata: dict[str, str]) -> Checkpoint:
    contents = _read(file)
    if _origin(file)["sha256"] != metadata["sha256"]:
        raise error("checkpoint_truncated", name=file.name, problem="it changed while it was read")
    added = datetime.now(UTC).isoformat(timespec="microseconds")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        write_durably(temporary, _serialised(contents, metadata | {"format": FORMAT, "added": added}))
        _read_checkpoint(path).calibration_path.unlink(missing_ok=True)  # of another checkpoint that had this name
        try:
            rename_exclusive(temporary, path)
        except FileExistsError:  # another process was faster
            temporary.unlink()
        sync_folder(path.parent)
    except OSError as problem:
        raise _not_saved_error(path, problem) from problem
    installed = _read_checkpoint(path)
    if installed.sha256 != metadata["sha256"]:
        raise error("checkpoint_name_taken", name=installed.name, path=path)
    return installed


def _serialised(contents: "Contents", metadata: dict[str, str]) -> bytes:
    """Return the bytes of the file. safetensors writes tensors of one type in the order of their names, after the header."""
    import safetensors.torch  # noqa: PLC0415  (brings torch with it)

    digest = hashlib.sha256()
    for name in sorted(contents.weights):
        digest.update(contents.weights[name].numpy().data)
    return safetensors.torch.save(dict(contents.weights), metadata | {"weights_sha256": digest.hexdigest()})


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of processes that died while they wrote."""
    for path in folder.glob(".*"):
        with suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def _not_saved_error(path: Path, problem: OSError) -> HeygemError:
    name = path.name.removesuffix(_SUFFIX)
    return error("checkpoint_not_saved", name=name, path=path.parent, problem=problem.strerror or os.fspath(path))
