"""What the items of a job share is made once while the files stay the same, and anew when they change."""

import gc
import os
import shutil
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.core.render_options import DEFAULT_OPTIONS, RenderOptions
from heygem_daemon.lipsync import shared_inputs
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import Driver
from heygem_daemon.lipsync.shared_inputs import KEPT_SECONDS, SharedInputs
from heygem_daemon.lipsync.transcript_drivers import TranscriptAlignment
from heygem_daemon.media.file_state import FileState
from heygem_daemon.media.types import DEFAULT_LIMITS, VideoStream
from heygem_daemon.media.writer import ORDINARY

RATE = 16000


def write_tone(path: Path, seconds: float, pitch: float = 200.0) -> Path:
    samples = 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def inputs(tmp_path: Path) -> SharedInputs:
    return SharedInputs(directory=tmp_path / "cache", limits=DEFAULT_LIMITS)


class Calls:
    """Counts the calls of a function of the module."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, answer: Callable[..., Any] | None = None) -> None:
        self.count = 0
        self._original = answer or getattr(shared_inputs, name)
        monkeypatch.setattr(shared_inputs, name, self)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.count += 1
        return self._original(*arguments, **options)


class PlainDriver:
    """A driver that keeps nothing of a recording."""

    name = "plain"

    def __init__(self) -> None:
        self.model_hashes: Mapping[str, str] = {}

    def motion(self, speech: Iterable[Float32], frame_rate: Fraction, frames: int) -> Iterator[MouthMotion]:
        raise NotImplementedError


class KeepingDriver(PlainDriver):
    """A driver that can keep what it computes of a recording."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Callable[[], Iterable[Float32]] | None = None

    def for_recording(self, read: Callable[[], Iterable[Float32]], seconds: int) -> Driver:
        own = KeepingDriver()
        own.read = read
        return own


def test_a_recording_is_decoded_once_until_it_changes(inputs: SharedInputs, tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wav", 1.0)
    first = inputs.recording(path, DEFAULT_OPTIONS)
    assert inputs.recording(path, DEFAULT_OPTIONS) is first
    write_tone(path, 0.5)
    second = inputs.recording(path, DEFAULT_OPTIONS)
    assert (float(first.speech.measure.seconds), float(second.speech.measure.seconds)) == (1.0, 0.5)


def test_a_change_that_keeps_size_and_time_of_modification_is_noticed(inputs: SharedInputs, tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wav", 1.0)
    before = path.stat()
    first = inputs.recording(path, DEFAULT_OPTIONS)
    write_tone(path, 1.0, pitch=300.0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert inputs.recording(path, DEFAULT_OPTIONS) is not first


def test_what_is_spoken_of_a_recording_belongs_to_the_options(inputs: SharedInputs, tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wav", 1.0)
    whole = inputs.recording(path, DEFAULT_OPTIONS)
    trial = inputs.recording(path, RenderOptions(first_seconds=0.3))
    assert trial.speech.is_cut
    assert not whole.speech.is_cut
    assert inputs.recording(path, RenderOptions(quality=20)) is whole


def test_samples_are_read_again_and_again_also_after_the_file_is_gone(inputs: SharedInputs, tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wav", 1.5)
    recording = inputs.recording(path, DEFAULT_OPTIONS)
    path.unlink()
    first, second = (np.concatenate(list(recording.speech.blocks())) for _ in range(2))
    assert len(first) == 1.5 * RATE
    assert np.array_equal(first, second)


def test_a_recording_that_is_refused_is_refused_every_time(inputs: SharedInputs, tmp_path: Path) -> None:
    (tmp_path / "words.wav").write_text("hello", encoding="ascii")
    for _ in range(2):
        with pytest.raises(InputError):
            inputs.recording(tmp_path / "words.wav", DEFAULT_OPTIONS)


def test_a_link_in_the_place_of_a_file_is_looked_at_anew(inputs: SharedInputs, tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wav", 0.3)
    inputs.recording(path, DEFAULT_OPTIONS)
    path.rename(tmp_path / "b.wav")
    path.symlink_to(tmp_path / "b.wav")
    with pytest.raises(InputError) as caught:
        inputs.recording(path, DEFAULT_OPTIONS)
    assert caught.value.code == "symlink"


def test_only_the_last_recordings_keep_their_files_open(inputs: SharedInputs, tmp_path: Path) -> None:
    def open_files() -> int:
        gc.collect()
        return sum("/cache/" in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if os.path.lexists(link))

    for number in range(4):
        inputs.recording(write_tone(tmp_path / f"{number}.wav", 0.2), DEFAULT_OPTIONS)
    assert open_files() == shared_inputs.KEPT_RECORDINGS
    del inputs._recordings
    assert open_files() == 0


def test_a_driver_that_keeps_something_is_made_once_for_a_recording(inputs: SharedInputs, tmp_path: Path) -> None:
    recording, driver = inputs.recording(write_tone(tmp_path / "a.wav", 0.5), DEFAULT_OPTIONS), KeepingDriver()
    own = recording.driver(driver)
    assert isinstance(own, KeepingDriver)
    assert own is not driver
    assert recording.driver(driver) is own
    assert own.read is not None
    assert len(np.concatenate(list(own.read()))) == 0.5 * RATE
    assert recording.driver(KeepingDriver()) is not own
    plain = PlainDriver()
    assert recording.driver(plain) is plain


def test_nothing_is_kept_of_a_long_recording(inputs: SharedInputs, tmp_path: Path) -> None:
    recording, driver = inputs.recording(write_tone(tmp_path / "a.wav", KEPT_SECONDS + 1), DEFAULT_OPTIONS), KeepingDriver()
    assert recording.driver(driver) is driver


def test_a_transcript_is_aligned_once_until_its_words_its_file_or_its_language_change(
    inputs: SharedInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch, "align_transcript", lambda *_arguments, **_options: TranscriptAlignment())
    recording, driver, script = inputs.recording(write_tone(tmp_path / "a.wav", 0.5), DEFAULT_OPTIONS), PlainDriver(), tmp_path / "a.txt"
    script.write_text("one", encoding="ascii")
    hello = RenderOptions(text="hello")
    for options, path, expected in (
        (DEFAULT_OPTIONS, None, 0),
        (hello, None, 1),
        (hello, None, 1),
        (RenderOptions(text="hello", language="de"), None, 2),
        (DEFAULT_OPTIONS, script, 3),
        (DEFAULT_OPTIONS, script, 3),
    ):
        recording.align(driver, options, path)
        assert calls.count == expected
    script.write_text("two, three", encoding="ascii")
    recording.align(driver, DEFAULT_OPTIONS, script)
    recording.align(PlainDriver(), DEFAULT_OPTIONS, script)
    assert calls.count == 5


def test_a_video_is_inspected_and_hashed_once_until_it_changes(
    inputs: SharedInputs, tmp_path: Path, portrait: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, path = Calls(monkeypatch, "check_video"), tmp_path / f"face{portrait.suffix}"
    shutil.copyfile(portrait, path)
    first = inputs.video(path)
    assert inputs.video(path) is first
    assert calls.count == 1
    path.touch()
    second = inputs.video(path)
    assert calls.count == 2
    assert (second.info, second.key) == (first.info, first.key)


def test_an_encoder_is_tried_once_for_each_kind_of_video_and_quality(inputs: SharedInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, "check_encoder", lambda *_arguments, **_options: None)
    other = VideoStream(**{**vars(ORDINARY), "pixel_format": "yuv422p", "width": 128})
    for like, quality, expected in ((ORDINARY, 16, 1), (ORDINARY, 16, 1), (ORDINARY, 17, 2), (other, 16, 3), (ORDINARY, 16, 3)):
        inputs.check_encoder(like, quality=quality, name="a.mp4")
        assert calls.count == expected


@pytest.mark.slow  # tests/media/test_colours.py has the refusal
def test_what_an_encoder_refuses_it_refuses_again(inputs: SharedInputs) -> None:
    odd = VideoStream(**{**vars(ORDINARY), "width": 65})
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            inputs.check_encoder(odd, quality=16, name="a.mp4")
        assert caught.value.code == "video_not_encodable"


def test_only_regular_files_have_a_state(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [FileState.of(tmp_path / name) for name in ("pipe", "absent", ".")] == [None, None, None]
