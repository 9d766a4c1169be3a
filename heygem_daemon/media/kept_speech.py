"""Hand the decoded speech of a recording from the intake, which has to decode all of it, to the worker that renders it.

A file in `decoded/` of the cache holds the samples, then what was measured and chosen as JSON, then the length of that. It is named after
the state of the recording (device, inode, size, times), which no move of a drop's folder changes, and is deleted by whoever takes it. What
nobody takes is deleted after a day. Whatever fails here costs only that the recording is decoded again.
"""

import hashlib
import json
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from heygem_daemon.core.render_options import DEFAULT_OPTIONS, RenderOptions
from heygem_daemon.media.audio_decoder import audio_of
from heygem_daemon.media.file_state import FileState
from heygem_daemon.media.speech import SPEECH_RATE, DecodedSpeech, SpeechMeasure, decoded_speech
from heygem_daemon.media.types import MediaInfo, MediaLimits

FOLDER: Final = "decoded"
KEPT_BYTES: Final = 256 * 2**20
KEPT_FILES: Final = 256
"""All files together: two hours of speech. What comes behind that in the queue is decoded again."""
LONGEST_SECONDS: Final = 20 * 60
"""s of one recording (38 MB): to decode a longer one again is little of its rendering."""
KEPT_SECONDS: Final = 24 * 3600.0
_VERSION: Final = 1
_SAMPLE_BYTES: Final = 2
_LENGTH: Final = struct.Struct("<I")
_LONGEST_NOTE: Final = 65536


def measure_and_keep(info: MediaInfo, directory: Path, limits: MediaLimits, decoded: BinaryIO | None = None) -> SpeechMeasure:
    """Return what `measure_speech` returns, and keep the samples in `directory` for `kept_speech`. Raises what measure_speech raises.

    decoded: see `decoded_speech`."""
    before = _name(info.path)
    with decoded_speech(info, directory, limits, decoded=decoded) as speech:
        if before and before == _name(info.path) and speech.file is not None and speech.measure.seconds <= LONGEST_SECONDS:
            with suppress(OSError):
                _keep(speech, speech.file, directory / FOLDER, before)
        return speech.measure


@contextmanager
def kept_speech(info: MediaInfo, directory: Path, limits: MediaLimits, options: RenderOptions = DEFAULT_OPTIONS) -> Iterator[DecodedSpeech]:
    """Yield what `decoded_speech` yields, without decoding where the intake has just done so. Raises what decoded_speech raises."""
    kept = _take(info, directory / FOLDER, limits) if _is_usual(options) else None
    if kept is not None and kept.file is not None:
        with kept.file:
            yield kept
        return
    with decoded_speech(info, directory, limits, options) as speech:
        yield speech


def _is_usual(options: RenderOptions) -> bool:
    """Return whether the options name nothing of what is spoken: the intake does not know them."""
    names = ("track", "channel", "channels", "first_seconds")
    return all(getattr(options, name) == getattr(DEFAULT_OPTIONS, name) for name in names)


def _name(path: Path) -> str:
    """Return the name of the file for a recording in its present state, "" where it cannot be looked at."""
    state = FileState.of(path)
    return "" if state is None else hashlib.sha256(repr((_VERSION, SPEECH_RATE, state)).encode()).hexdigest()


def _keep(speech: DecodedSpeech, samples: BinaryIO, folder: Path, name: str) -> None:
    """Raises OSError."""
    audio, size = audio_of(speech.info), speech.measure.samples * _SAMPLE_BYTES
    folder.mkdir(parents=True, exist_ok=True)
    if not _has_room(folder, size):
        return
    choice = {"track": audio.number, "spoken": audio.spoken, "downmix": audio.downmix, "warnings": dict(speech.info.warnings)}
    note = json.dumps({"measure": asdict(speech.measure), **choice}).encode()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as file:
        try:
            samples.seek(0)
            shutil.copyfileobj(samples, file, 2**20)
            file.write(note + _LENGTH.pack(len(note)))
            file.flush()
            Path(file.name).replace(folder / name)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _has_room(folder: Path, size: int) -> bool:
    """Return whether `size` bytes more are not too much, after deleting what is too old. What came first is rendered first, and stays.

    Raises OSError."""
    count, total = 0, size
    with os.scandir(folder) as found:
        for entry in found:
            state = entry.stat(follow_symlinks=False)
            if state.st_mtime < time.time() - KEPT_SECONDS:
                Path(entry.path).unlink(missing_ok=True)
            else:
                count, total = count + 1, total + state.st_size
    return count < KEPT_FILES and total <= KEPT_BYTES


def _take(info: MediaInfo, folder: Path, limits: MediaLimits) -> DecodedSpeech | None:
    """Return the kept speech of a recording and delete its file, which stays open; None where there is none that can be used."""
    name = _name(info.path)
    if not name:
        return None
    try:
        file = (folder / name).open("rb", buffering=0)
    except OSError:
        return None
    try:
        (folder / name).unlink(missing_ok=True)
        note = _read_note(file)
        measure = SpeechMeasure(**note["measure"])
        chosen = next(track for track in info.audio_tracks if track.number == note["track"])
    except (OSError, ValueError, TypeError, KeyError, StopIteration):
        file.close()
        return None
    if measure.seconds > limits.recording_seconds:
        file.close()
        return None
    audio = replace(chosen, spoken=tuple(note["spoken"]), downmix=tuple(note["downmix"]))
    return DecodedSpeech(info=replace(info, audio=audio, warnings=note["warnings"]), measure=measure, file=file)


def _read_note(file: BinaryIO) -> Any:
    """Return what is written behind the samples. Raises OSError, ValueError or KeyError for a file that is not whole."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(os.pread(file.fileno(), _LENGTH.size, size - _LENGTH.size), "little") if size > _LENGTH.size else 0
    if not 0 < length <= min(_LONGEST_NOTE, size):
        raise ValueError("no note")
    note = json.loads(os.pread(file.fileno(), length, size - _LENGTH.size - length))
    if note["measure"]["samples"] * _SAMPLE_BYTES + length + _LENGTH.size != size:
        raise ValueError("not all samples")
    return note
