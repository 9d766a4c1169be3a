"""The speech that the intake decoded is what the worker would decode, once, and only while the recording is the same file."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.media import kept_speech as module
from heygem_daemon.media.kept_speech import FOLDER, kept_speech, measure_and_keep
from heygem_daemon.media.probe import check_recording
from heygem_daemon.media.run import FfmpegReader
from heygem_daemon.media.speech import decoded_speech, measure_speech
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo, MediaLimits
from tests.media.conftest import MakeFile

Read = tuple[MediaInfo, object, list[float]]


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were started to decode audio."""
    started: list[str] = []

    class Counted(FfmpegReader):
        def __init__(self, command: tuple[str, ...], *, path: Path | None = None) -> None:
            started.append(command[0])
            super().__init__(command, path=path)

    monkeypatch.setattr("heygem_daemon.media.audio_decoder.FfmpegReader", Counted)
    return started


def read(path: Path, cache: Path, options: RenderOptions | None = None, limits: MediaLimits = DEFAULT_LIMITS) -> Read:
    with kept_speech(check_recording(path), cache, limits, options or RenderOptions()) as speech:
        return speech.info, speech.measure, np.concatenate(list(speech.blocks())).tolist()


def decoded(path: Path, cache: Path) -> Read:
    with decoded_speech(check_recording(path), cache) as speech:
        return speech.info, speech.measure, np.concatenate(list(speech.blocks())).tolist()


def keep(path: Path, cache: Path) -> None:
    info = check_recording(path)
    assert measure_and_keep(info, cache, DEFAULT_LIMITS) == measure_speech(info)


@pytest.fixture
def recording(tone: MakeFile, tmp_path: Path) -> Path:
    return Path(shutil.copy(tone("kept.wav"), tmp_path))


OPPOSITE = "aevalsrc=.4*sin(880*t)|-.4*sin(880*t):s={rate}:d={seconds}"


@pytest.mark.parametrize(("name", "options"), [("mono.wav", {}), ("opposite.wav", {"source": OPPOSITE}), ("coded.m4a", {})])
def test_a_worker_reads_what_the_intake_decoded(
    tone: MakeFile, tmp_path: Path, decoders: list[str], name: str, options: dict[str, str]
) -> None:
    path = tone(f"kept {name}", **options)
    expected = decoded(path, tmp_path)
    keep(path, tmp_path)
    decoders.clear()
    assert read(path, tmp_path) == expected
    assert decoders == []
    assert list((tmp_path / FOLDER).iterdir()) == [], "whoever takes it deletes it"
    assert read(path, tmp_path) == expected
    assert decoders


def test_a_drop_that_is_moved_keeps_it(recording: Path, tmp_path: Path, decoders: list[str]) -> None:
    (tmp_path / "drop").mkdir()
    inside = recording.rename(tmp_path / "drop" / "speech.wav")
    keep(inside, tmp_path)
    decoders.clear()
    (tmp_path / "drop").rename(tmp_path / "claimed")
    read(tmp_path / "claimed" / "speech.wav", tmp_path)
    assert decoders == []


@pytest.mark.parametrize("change", ["time", "content", "another file"])
def test_a_recording_that_changed_is_decoded_again(recording: Path, tmp_path: Path, decoders: list[str], change: str) -> None:
    keep(recording, tmp_path)
    if change == "time":
        os.utime(recording, (1, 1))
    elif change == "content":
        recording.write_bytes(recording.read_bytes()[:-4000] + bytes(4000))
    else:
        content = recording.read_bytes()
        recording.with_name("copy").write_bytes(content)
        recording.with_name("copy").replace(recording)
    decoders.clear()
    read(recording, tmp_path)
    assert decoders


@pytest.mark.parametrize("options", [{"track": 1}, {"channel": "left"}, {"first_seconds": 1.0}])
def test_what_a_job_names_is_decoded_for_it(recording: Path, tmp_path: Path, decoders: list[str], options: dict[str, object]) -> None:
    keep(recording, tmp_path)
    decoders.clear()
    read(recording, tmp_path, RenderOptions(**options))  # type: ignore[arg-type]
    assert decoders


def test_a_lowered_limit_holds(recording: Path, tmp_path: Path) -> None:
    keep(recording, tmp_path)
    with pytest.raises(InputError, match="2"):
        read(recording, tmp_path, limits=MediaLimits(recording_seconds=1.0))


@pytest.mark.family(2)
@pytest.mark.parametrize("damage", [b"", b"\0" * 100, None])
def test_a_damaged_file_is_left_aside(recording: Path, tmp_path: Path, decoders: list[str], damage: bytes | None) -> None:
    expected = decoded(recording, tmp_path)
    keep(recording, tmp_path)
    (kept,) = (tmp_path / FOLDER).iterdir()
    kept.write_bytes(kept.read_bytes()[1000:] if damage is None else damage)
    decoders.clear()
    assert read(recording, tmp_path) == expected
    assert decoders


@pytest.mark.parametrize(("limit", "value"), [("KEPT_BYTES", 250_000), ("KEPT_FILES", 2)])
def test_old_files_go_and_what_does_not_fit_is_not_kept(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(module, limit, value)
    folder = tmp_path / FOLDER
    folder.mkdir()
    for name, age in {"days": 2 * 86400, "hour": 3600, "minute": 60}.items():
        (folder / name).write_bytes(b"\0" * 100_000)
        os.utime(folder / name, (time.time() - age,) * 2)
    keep(recording, tmp_path)
    assert {path.name for path in folder.iterdir()} == {"hour", "minute"}
    (folder / "hour").unlink()
    keep(recording, tmp_path)
    assert len(list(folder.iterdir())) == 2


def test_a_silent_recording_is_refused_and_not_kept(tone: MakeFile, tmp_path: Path) -> None:
    with pytest.raises(InputError) as problem:
        measure_and_keep(check_recording(tone("silent.wav", source="anullsrc=r={rate}:d={seconds}")), tmp_path, DEFAULT_LIMITS)
    assert problem.value.code == "audio_silent"
    assert not (tmp_path / FOLDER).exists()


def test_without_a_folder_to_write_in_it_is_measured_all_the_same(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert measure_and_keep(check_recording(recording), tmp_path / "file", DEFAULT_LIMITS).seconds == 2
    (tmp_path / FOLDER).touch()
    assert measure_and_keep(check_recording(recording), tmp_path, DEFAULT_LIMITS).seconds == 2
