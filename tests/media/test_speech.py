"""Decode speech into blocks, and measure its exact length."""

import errno
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError, TransientError
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.media import run
from heygem_daemon.media.probe import check_recording, probe
from heygem_daemon.media.speech import decoded_speech, frame_count, measure_speech, speech_blocks
from heygem_daemon.media.types import MediaLimits
from tests.media.conftest import MakeFile


def refusal(path: Path, **limits: Any) -> str:
    with pytest.raises(InputError) as caught:
        measure_speech(check_recording(path), MediaLimits(**limits))
    return caught.value.code


def test_blocks_are_the_recording_cut_anywhere(tone: MakeFile) -> None:
    path = tone("plain.wav")
    whole = np.concatenate(list(speech_blocks(probe(path))))
    small = list(speech_blocks(probe(path), block=777))
    assert {len(block) for block in small[:-1]} == {777}
    assert np.array_equal(np.concatenate(small), whole)
    assert whole.dtype == np.float32
    assert len(whole) == 32000


def test_blocks_come_at_the_wanted_rate_and_mixed_to_one_channel(tone: MakeFile) -> None:
    stereo = tone("stereo.wav", source="aevalsrc=.5*sin(880*t)|.1*sin(880*t):s={rate}:d={seconds}")
    audio = np.concatenate(list(speech_blocks(probe(stereo), rate=8000)))
    assert len(audio) == 16000
    assert np.abs(audio).max() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kind.flac", ()),
        ("kind.mp3", ()),
        ("kind.m4a", ()),
        ("kind.opus", ("-c:a", "libopus", "-ar", 48000)),
        ("kind.ogg", ("-c:a", "libopus", "-ar", 48000)),
    ],
)
def test_encoder_delay_is_no_part_of_the_speech(tone: MakeFile, name: str, options: tuple[object, ...]) -> None:
    assert float(measure_speech(probe(tone(name, *options))).seconds) == pytest.approx(2, abs=0.03)


def test_length_peak_and_level_are_measured(tone: MakeFile) -> None:
    measure = measure_speech(probe(tone("sine.wav", source="sine=440:r={rate}:d={seconds},volume=4")))
    assert measure.seconds == Fraction(2)
    assert measure.peak_db == pytest.approx(20 * np.log10(0.5), abs=0.2)
    assert measure.rms_db == pytest.approx(measure.peak_db - 3.01, abs=0.1)


@pytest.mark.parametrize(
    ("seconds", "rate", "frames"),
    [
        (Fraction(10), Fraction(25), 250),
        (Fraction(16001, 16000), Fraction(25), 25),
        (Fraction(3600), Fraction(24000, 1001), 86314),
        (Fraction(3600), Fraction(30000, 1001), 107892),
        (Fraction(1, 1000), Fraction(25), 1),
    ],
)
def test_frames_last_as_long_as_the_speech(seconds: Fraction, rate: Fraction, frames: int) -> None:
    assert frame_count(seconds, rate) == frames


def test_silence_is_refused_and_a_whisper_is_not(tone: MakeFile) -> None:
    assert refusal(tone("silent.wav", source="anullsrc=r={rate},atrim=end={seconds}")) == "audio_silent"
    assert refusal(tone("hiss.wav", source="anoisesrc=a=.0003:r={rate}:d={seconds}")) == "audio_silent"
    assert measure_speech(probe(tone("whisper.wav", source="anoisesrc=a=.02:r={rate}:d={seconds}"))).peak_db < -30


def test_a_recording_without_a_sample_is_empty(tone: MakeFile) -> None:
    assert refusal(tone("none.wav", "-t", 0)) == "audio_empty"


def test_a_recording_longer_than_in_its_header_is_still_bounded(tone: MakeFile) -> None:
    assert refusal(tone("plain.wav"), recording_seconds=1.0) == "audio_too_long"


def test_noise_with_the_extension_of_audio_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "noise.flac"
    path.write_bytes(np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8).tobytes())
    assert refusal(path) == "audio_unreadable"


def test_decoded_speech_is_that_of_the_recording_and_can_be_read_again(tone: MakeFile, tmp_path: Path) -> None:
    path = tone("plain.mp3")
    decoded_anew = np.concatenate(list(speech_blocks(probe(path))))
    with decoded_speech(probe(path), tmp_path / "cache") as speech:
        assert speech.measure == measure_speech(probe(path))
        for block in (16000, 777):
            blocks = list(speech.blocks(block))
            assert {len(samples) for samples in blocks[:-1]} == {block}
            assert np.array_equal(np.concatenate(blocks), decoded_anew)
        assert list((tmp_path / "cache").iterdir()) == []


def test_without_room_for_decoded_speech_the_recording_is_decoded_again(tone: MakeFile, tmp_path: Path) -> None:
    path, blocked = tone("plain.wav"), tmp_path / "file"
    blocked.write_bytes(b"")
    with decoded_speech(probe(path), blocked) as speech:
        assert speech.file is None
        assert np.array_equal(np.concatenate(list(speech.blocks())), np.concatenate(list(speech_blocks(probe(path)))))


def test_a_full_disk_ends_the_temporary_file_and_not_the_measurement(
    tone: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("heygem_daemon.media.speech.tempfile.TemporaryFile", lambda **_: FullDisk())
    with decoded_speech(probe(tone("plain.wav")), tmp_path) as speech:
        assert speech.measure.samples == 32000
        assert sum(map(len, speech.blocks())) == 32000


def test_decoding_refuses_what_measuring_refuses(tone: MakeFile, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught, decoded_speech(probe(tone("none.wav", "-t", 0)), tmp_path):
        pass
    assert caught.value.code == "audio_empty"


def test_decoded_speech_that_the_disk_lost_is_an_error_of_the_server(tone: MakeFile, tmp_path: Path) -> None:
    """A network disk that became full reports this long after the write; what it did not keep must not become a shorter recording."""
    with decoded_speech(probe(tone("plain.wav")), tmp_path) as speech:
        assert speech.file is not None
        speech.file.truncate(40_000)
        with pytest.raises(TransientError) as caught:
            list(speech.blocks())
    assert caught.value.code == "io_error"


def test_a_temporary_file_that_cannot_be_closed_costs_nothing(tone: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network disk may report at the end only that it was full; by then the samples have been read."""

    class FullAtTheEnd(io.BytesIO):
        def close(self) -> None:
            super().close()
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("heygem_daemon.media.speech.tempfile.TemporaryFile", lambda **_: FullAtTheEnd())
    with decoded_speech(probe(tone("plain.wav")), tmp_path) as speech:
        assert speech.measure.samples == 32000


# -- a trial ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours of stereo at 48 kHz, 2 GB of which the disk holds the first 8 s: a tone, which the mono mix has too."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    size = 3 * 3600 * 48000 * 4
    head = b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = (1).to_bytes(2, "little") + (2).to_bytes(2, "little") + (48000).to_bytes(4, "little") + (192000).to_bytes(4, "little")
    tone = np.repeat(np.sin(np.arange(8 * 48000) / 17) * 8000, 2).astype("<i2").tobytes()
    with path.open("wb") as file:
        file.write(head + form + (4).to_bytes(2, "little") + (16).to_bytes(2, "little") + b"data" + size.to_bytes(4, "little") + tone)
        file.truncate(44 + size)
    return path


@pytest.mark.parametrize("seconds", [0.1, 1.25, 1.9])
def test_of_a_trial_the_first_seconds_are_measured_and_read_to_the_sample(tone: MakeFile, tmp_path: Path, seconds: float) -> None:
    path = tone("plain.wav")
    whole = np.concatenate(list(speech_blocks(probe(path))))
    with decoded_speech(probe(path), tmp_path, options=RenderOptions(first_seconds=seconds)) as speech:
        assert (speech.measure.samples, speech.is_cut) == (round(seconds * 16000), True)
        assert np.array_equal(np.concatenate(list(speech.blocks(777))), whole[: speech.measure.samples])
        assert len(np.concatenate(list(speech.blocks()))) == speech.measure.samples


@pytest.mark.parametrize("seconds", [2.0, 60.0])
def test_a_recording_no_longer_than_the_trial_is_whole(tone: MakeFile, tmp_path: Path, seconds: float) -> None:
    with decoded_speech(probe(tone("plain.wav")), tmp_path, options=RenderOptions(first_seconds=seconds)) as speech:
        assert (speech.measure.samples, speech.is_cut) == (32000, False)


def test_without_room_a_trial_reads_no_more_than_its_seconds_either(tone: MakeFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with decoded_speech(probe(tone("plain.wav")), tmp_path / "file", options=RenderOptions(first_seconds=1.5)) as speech:
        assert (speech.file, sum(map(len, speech.blocks()))) == (None, 24000)


@pytest.mark.parametrize("channel", [None, "right"])
def test_of_three_hours_a_trial_decodes_only_the_beginning(
    long_recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channel: str | None
) -> None:
    taken = 0
    read_into = run.FfmpegReader.read_into

    def counted(reader: run.FfmpegReader, buffer: memoryview) -> int:
        nonlocal taken
        taken += len(buffer)
        return read_into(reader, buffer)

    monkeypatch.setattr(run.FfmpegReader, "read_into", counted)
    with decoded_speech(check_recording(long_recording), tmp_path, options=RenderOptions(first_seconds=5, channel=channel)) as speech:
        assert speech.measure.seconds == 5
        assert speech.measure.peak_db == pytest.approx(20 * np.log10(8000 / 32768), abs=0.3)
    assert taken < 2 * 7 * 16000 * 3 * 2  # twice where another channel is heard; seven blocks of three columns of two bytes


def test_a_trial_of_a_recording_that_begins_with_silence_is_not_refused(tone: MakeFile, tmp_path: Path) -> None:
    path = tone("late.wav", source="sine=440:r={rate}:d={seconds},adelay=3s:all=1")
    with decoded_speech(probe(path), tmp_path, options=RenderOptions(first_seconds=2)) as speech:
        assert (speech.measure.samples, speech.is_cut) == (32000, True)
