"""What is fuzzed: every parser of our own that reads what a user, a server of theirs or a damaged disk may have written.

Each target takes bytes and raises nothing, or AssertionError where an answer is not valid. Exceptions that a parser documents are caught;
any other one is a crash, and so is an input that takes longer than SLOWEST.
"""

import atexit
import io
import os
import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from heygem_daemon.core.drop import DropLimits, Entry, Kind, items, plan, signature
from heygem_daemon.core.error_catalog import CATALOG, ErrorKind
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.job_options import parse_job_toml, parse_priority
from heygem_daemon.core.names import control_of, escape_name, is_ignored, is_job_id, is_valid_name, new_job_id, output_stems, slug
from heygem_daemon.core.script_files import scripts_of
from heygem_daemon.intake.archive import read_record
from heygem_daemon.intake.inspection_protocol import FileAnswer, FileRequest
from heygem_daemon.ledger.documents import item_document, job_document, read_readable_job
from heygem_daemon.media import riff, still_containers, stills
from heygem_daemon.media.boxes import mov
from heygem_daemon.media.ebml import matroska
from heygem_daemon.media.file_bytes import FileBytes
from heygem_daemon.media.id3 import id3_bytes
from heygem_daemon.media.identify import describe_other
from heygem_daemon.media.parameter_sets import has_fixed_shape
from heygem_daemon.media.plain_wav import describe_wav
from heygem_daemon.media.structure import asf, flv, mp3, mxf, ogg
from heygem_daemon.publishing.retention import FolderRetention
from heygem_daemon.service.counting_log import Counts
from heygem_daemon.service.metrics import exposition
from heygem_daemon.web.files.ranges import Representation, content_disposition, content_type, requested_range
from heygem_daemon.web.jobs.job_record import record_of
from heygem_daemon.web.jobs.status_file import read_daemon_status, read_job_status
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads.stored_names import drop_name, stored_name
from heygem_daemon.web.uploads.tus import parse_checksum, parse_count, parse_metadata
from heygem_daemon.worker import protocol

Target = Callable[[bytes], None]

SLOWEST: Final = 5
"""s of one input, under the instrumentation and on a busy machine."""
LONGEST: Final = 65536
"""Bytes of an input. What is read of larger files is bounded by each parser."""
_MESSAGE: Final = 500
_NAME_BYTES: Final = 255
_LIMITS: Final = DropLimits(items=500, file_bytes=2**30)
_SHORT_SECONDS: Final = 60.0


def _text(data: bytes) -> str:
    """Return bytes as Python gives names that are not UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def _check_problem(problem: HeygemError, kind: ErrorKind | None = ErrorKind.INPUT, prefix: str = "") -> None:
    assert problem.code in CATALOG
    assert problem.code.startswith(prefix)
    assert problem.code != "internal"
    assert kind is None or CATALOG[problem.code].kind is kind, problem.code
    for text in (problem.message, problem.hint):
        assert len(text) < _MESSAGE
        assert not any(unicodedata.category(sign) in {"Cc", "Cf", "Cs"} for sign in text), text


@cache
def _folder() -> Path:
    path = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _file(data: bytes, name: str) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def job_toml(data: bytes) -> None:
    options, problem = parse_job_toml(data.decode(errors="replace"))
    if problem is not None:
        _check_problem(problem)
    options.for_video("a.mp4")
    options.unknown_video(("a.mp4",))


def names(data: bytes) -> None:
    lines = [line[:_NAME_BYTES] for line in _text(data[:4000]).split("\n")]
    for name in lines:
        shown = escape_name(name)
        assert not any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in shown)
        assert set(slug(name)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert is_job_id(new_job_id(name, 1.8e9, "abcdef"))
        is_valid_name(name), is_ignored(name), is_ignored(name, is_folder=True), control_of(name)
        try:
            assert len(os.fsencode(drop_name(name))) <= _NAME_BYTES
            assert "/" not in stored_name(name, "recording", ())
        except WebProblem:
            pass
    paths = [name for name in dict.fromkeys(lines) if name and "\0" not in name and name[-1] != "/"]
    stems = output_stems(paths)
    assert stems.keys() == set(paths)
    assert len({unicodedata.normalize("NFC", stem).casefold() for stem in stems.values()}) == len(stems)
    for stem in stems.values():
        assert stem not in {"", ".", ".."}
        assert not set("/\0") & set(stem)
        assert len(os.fsencode(stem)) <= _NAME_BYTES


def recogniser(data: bytes) -> None:
    """Plan a drop: a line of the input is an entry (kind, size, path); behind a NUL line is its job.toml."""
    listed, _, toml = data[:8000].partition(b"\n\0\n")
    kinds, entries = list(Kind), {}
    for line in listed.split(b"\n"):
        path = _text(line[2:])
        parts = path.split("/")
        if len(line) > 2 and "\0" not in path and not {"", ".", ".."} & set(parts):
            entries[path] = Entry(path=path, size=line[1] * 10**7, mtime_ns=1, ctime_ns=1, kind=kinds[line[0] % len(kinds)])
    for is_flat in (False, True):
        drop = plan(entries.values(), job_toml=toml.decode(errors="replace") if toml else None, flat=is_flat, limits=_LIMITS)
        for problem in (drop.incomplete, drop.rejected, *drop.problems.values()):
            if problem is not None:
                _check_problem(problem)
        assert {*drop.recordings, *drop.videos, *drop.scripts.values()} <= entries.keys()
        if drop.rejected is None and drop.incomplete is None:
            made = items(drop, {})
            assert 0 < len(made) <= _LIMITS.items
            assert len({item.key for item in made}) == len(made)
        for warning in drop.warnings:
            assert len(warning.message) < 2 * _MESSAGE
    signature(entries.values())
    scripts_of(sorted(entries)[:5], entries)


def control_files(data: bytes) -> None:
    name, _, content = data.partition(b"\n")
    found = control_of(_text(name[:_NAME_BYTES]))
    assert found is None or all(found)
    priority = parse_priority(content.decode(errors="replace"))
    assert priority is None or -100 <= priority <= 100


def status(data: bytes) -> None:
    for is_genuine in (False, True):
        found = read_job_status(data, is_genuine=is_genuine)
        if found is not None:
            assert is_genuine or found.owner is None
            record = record_of(found, "lesson", is_genuine=is_genuine)
            assert isinstance(record.began, float)
            found.to_json()
    read_daemon_status(data)


def metrics(data: bytes) -> None:
    found = read_daemon_status(data)
    if found is not None:
        list(text_string_to_metric_families(exposition(found, Counts()).decode()))


def ledger(data: bytes) -> None:
    """Read the row of a job: behind a line end are its items."""
    document, *rows = _text(data).split("\n")
    job = read_readable_job("lesson-1", document, rows)
    if job is not None:
        again = read_readable_job("lesson-1", job_document(job), [item_document(item) for item in job.items])
        assert again is not None


def records(data: bytes) -> None:
    """Read what lies in a folder of inputs."""
    folder = _folder() / "inbox" / "_done" / "lesson"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".heygem-job.json").write_bytes(data)
    record = read_record(folder)
    assert record is None or ("/" not in record.name and isinstance(record.name, str))
    (folder.parents[1] / ".heygem-inbox").touch()
    (_folder() / "outputs" / ".heygem" / "staging").mkdir(parents=True, exist_ok=True)
    FolderRetention(inboxes=[folder.parents[1]], outputs=_folder() / "outputs").sweep(4e9, ())


def protocols(data: bytes) -> None:
    for decode in (FileRequest.decode, FileAnswer.decode):
        try:
            found = decode(data)
        except (ValueError, TypeError):
            continue
        if isinstance(found, FileAnswer):
            with suppress(HeygemError):
                assert found.result() >= 0
    for read in (protocol.decode, protocol.decode_order):
        with suppress(protocol.ProtocolError):
            read(data)


def headers(data: bytes) -> None:
    lines = [*data.decode("latin-1").split("\n"), "", "", "", ""]
    size = len(data) * 1000
    for parse in (parse_metadata, parse_checksum, lambda value: parse_count(value, "Upload-Offset")):
        with suppress(WebProblem):
            parse(lines[0])
    try:
        part = requested_range(lines[0], size)
        assert part is None or (0 <= part[0] < size and 0 < part[1] <= size - part[0])
    except ValueError:
        pass
    file = Representation(size=size, mtime_ns=1_800_000_000 * 10**9)
    conditions = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
    given = {name: line for name, line in zip(conditions, lines[1:], strict=False) if line}
    assert file.precondition(given, is_read=True) in {None, 304, 412}
    file.is_current(lines[4] or None)
    disposition = content_disposition(_text(data[:200]), download=True)
    assert disposition.isascii()
    assert disposition.isprintable()
    content_type(_text(data[:200]))


def containers(data: bytes) -> None:
    """Read what containers declare; the first byte chooses nothing, all of them are asked."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, data)
        file = FileBytes(path=Path("a.bin"), size=len(data), descriptor=descriptor)
        for declare in (riff.wav, riff.w64, riff.aiff, riff.au, riff.caf):
            declare(file, 10_800.0)
        for describe in (mov, matroska, riff.avi, asf, flv, mxf, ogg, mp3, describe_wav):
            describe(file)
        for codec in ("h264", "hevc"):
            has_fixed_shape(file, {"codec_name": codec, "id": "0x1", "index": 0, "nb_frames": "3"})
    finally:
        os.close(descriptor)
    still_type = stills.recognise(data[:4096])
    described = describe_other(data[:4096])
    assert described is None or (len(described) < _MESSAGE and described.isprintable())
    assert id3_bytes(data[:10]) >= 0
    for image_type in dict.fromkeys((still_type or "PNG", "PNG", "JPEG", "TIFF", "WebP", "HEIF", "JPEG 2000")):
        still_containers.is_truncated(io.BytesIO(data), image_type)
        still_containers.colour_codes(io.BytesIO(data), image_type)
    for ask in (still_containers.is_animated_heif, still_containers.wavelet_levels, still_containers.is_raw_photo):
        ask(io.BytesIO(data))


def scripts(data: bytes) -> None:
    """Read a script, whatever it is, and clean it."""
    from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem  # noqa: PLC0415
    from heygem_daemon.lipsync.speech.transcript.speakable import require_speakable_text  # noqa: PLC0415
    from heygem_daemon.lipsync.speech.transcript.text import plain_text, read_transcript  # noqa: PLC0415

    for name in ("speech.txt", "speech.md"):
        try:
            text = read_transcript(_file(data, name))
            require_speakable_text(text, _SHORT_SECONDS)
        except TranscriptProblem:
            continue
        assert len(plain_text(text)) <= 4 * len(text) + 4


def checkpoints(data: bytes) -> None:
    """Read a file that pretends to be a checkpoint: as it is, and as the pickle of a TorchScript and of a PyTorch archive."""
    from heygem_daemon.lipsync.wav2lip.checkpoints import reader  # noqa: PLC0415

    contents = [data]
    for members in (
        {"a/data.pkl": data, "a/code/x.py": b"", "a/constants.pkl": b"", "a/data/0": bytes(64)},
        {"a/data.pkl": data, "a/data/0": b""},
    ):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        contents.append(packed.getvalue())
    for content in contents:
        try:
            reader.read(_file(content, "model.pth"))
        except HeygemError as problem:
            _check_problem(problem, None, "checkpoint_")


TARGETS: Final[Mapping[str, Target]] = {
    target.__name__: target
    for target in (
        job_toml, names, recogniser, control_files, status, metrics, ledger, records, protocols, headers, containers, scripts, checkpoints,
    )
}  # fmt: skip


__all__ = ["LONGEST", "SLOWEST", "TARGETS", "Target"]
