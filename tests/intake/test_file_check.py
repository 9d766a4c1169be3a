"""A verdict on a file counts only if the file was there all the time: a share may go away while it is opened."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon.core.errors import InputError, TransientError, error
from heygem_daemon.intake import file_check
from heygem_daemon.intake.file_check import FileChecks
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo, MediaLimits


def gone(path: Path) -> None:
    path.unlink()


def mounted_anew(path: Path) -> None:
    shutil.copyfile(path, path.with_name("other"))
    path.with_name("other").replace(path)


def still_there(_path: Path) -> None: ...


@pytest.mark.parametrize(("happens", "kind"), [(gone, TransientError), (mounted_anew, TransientError), (still_there, InputError)])
def test_a_file_is_not_condemned_that_went_away_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Path], None], kind: type[Exception]
) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(b"whatever")

    def check(found: Path, _limits: MediaLimits) -> MediaInfo:
        happens(found)
        raise error("audio_unreadable", name=found.name, type="a damaged file")

    monkeypatch.setattr(file_check, "check_recording", check)
    with pytest.raises(kind):
        FileChecks(tmp_path / "cache").seconds(path, DEFAULT_LIMITS, is_video=False)


def test_a_file_that_is_not_there_at_all_is_not_condemned(tmp_path: Path) -> None:
    with pytest.raises(TransientError):
        FileChecks(tmp_path / "cache").seconds(tmp_path / "speech.wav", DEFAULT_LIMITS, is_video=False)


@pytest.mark.parametrize(
    ("number", "code", "named"),
    [
        (errno.EMFILE, "server_short", "the inspection"),
        (errno.ENOMEM, "server_short", "the inspection"),
        (errno.ENOSPC, "disk_full", "cache"),
        (errno.EDQUOT, "quota_full", "cache"),
        (errno.EIO, "io_error", "speech.wav"),
        (errno.ESTALE, "io_error", "speech.wav"),
    ],
    ids=str,
)
def test_what_the_machine_refuses_is_named_and_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, named: str
) -> None:
    def refuse(_path: Path, _limits: MediaLimits) -> MediaInfo:
        raise OSError(number, os.strerror(number))

    (tmp_path / "speech.wav").write_bytes(b"whatever")
    monkeypatch.setattr(file_check, "check_recording", refuse)
    with pytest.raises(TransientError, match=named) as caught:
        FileChecks(tmp_path / "cache").seconds(tmp_path / "speech.wav", DEFAULT_LIMITS, is_video=False)
    assert caught.value.code == code


def test_a_stream_that_crashed_is_decoded_again_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    def crash(_path: Path, _limits: MediaLimits) -> MediaInfo:
        happened.append("crash")
        raise error("tool_crashed", program="ffmpeg", name="speech.wav", how="SIGSEGV")

    (tmp_path / "speech.wav").write_bytes(b"whatever")
    monkeypatch.setattr(file_check, "check_recording", crash)
    monkeypatch.setattr(file_check, "pause", lambda: happened.append("pause"))
    with pytest.raises(InputError) as caught:
        FileChecks(tmp_path / "cache").seconds(tmp_path / "speech.wav", DEFAULT_LIMITS, is_video=False)
    assert caught.value.code == "file_crashes_tool"
    assert happened == ["crash", "pause", "crash", "pause", "crash"]
