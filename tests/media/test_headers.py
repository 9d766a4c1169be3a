"""Sizes in a header that cannot be true, sizes that are too small, real ends that are missing, and files appended to one another."""

import random
import struct
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.declared import is_placeholder
from heygem_daemon.media.identify import identify, read_head
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import measure_speech, speech_blocks
from heygem_daemon.media.structure import structure
from heygem_daemon.media.types import DEFAULT_LIMITS
from tests.media.conftest import X264, MakeFile

PLACEHOLDERS = (0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x7FFFF000, 2_000_000_000, 0xFFFFFFFF - 44)


def seconds(path: Path) -> float:
    return float(measure_speech(check_recording(path)).seconds)


def samples(path: Path) -> npt.NDArray[np.float32]:
    return np.concatenate(list(speech_blocks(check_recording(path))))


def patched(source: Path, target: Path, *edits: tuple[int, bytes]) -> Path:
    """Copy a file with other bytes at some places."""
    data = bytearray(source.read_bytes())
    for place, content in edits:
        data[place : place + len(content)] = content
    target.write_bytes(data)
    return target


def with_wav_sizes(source: Path, target: Path, size: int, *, tail: bytes = b"") -> Path:
    """Copy a WAV with `size` in both of its size fields, and something behind it."""
    data = source.read_bytes()
    number = struct.pack("<I", size)
    patched(source, target, (4, number), (data.index(b"data") + 4, number))
    with target.open("ab") as file:
        file.write(tail)
    return target


# -- WAV ----------------------------------------------------------------------------------------------------------------


@pytest.mark.family(3)
@pytest.mark.parametrize("size", PLACEHOLDERS)
def test_a_streamed_wav_is_read_to_its_end(tone: MakeFile, tmp_path: Path, size: int) -> None:
    path = with_wav_sizes(tone("streamed.wav"), tmp_path / "streamed.wav", size)
    assert seconds(path) == pytest.approx(2, abs=0.001)
    expected = set() if size == 0xFFFFFFFF else {WarningCode.HEADER_SIZE_WRONG}
    assert expected <= set(check_recording(path).warnings) <= {WarningCode.HEADER_SIZE_WRONG}


@pytest.mark.family(3)
@pytest.mark.parametrize("size", [0, 1, 36, 1000, 30_000, 100_000])
def test_a_size_that_is_too_small_cuts_no_speech(tone: MakeFile, tmp_path: Path, size: int) -> None:
    path = with_wav_sizes(tone("small.wav"), tmp_path / "small.wav", size)
    np.testing.assert_array_equal(samples(path), samples(tone("small.wav")))


TRAILERS = {
    "LIST": b"LIST" + struct.pack("<I", 20_004) + b"INFO" + bytes(20_000),
    "id3": b"id3 " + struct.pack("<I", 30_000) + b"ID3\x04" + bytes(29_996),
    "bext and cue": b"bext" + struct.pack("<I", 20_000) + bytes(20_000) + b"cue " + struct.pack("<I", 4) + bytes(4),
    "ID3v1": b"TAG" + bytes(125),
    "zeros": bytes(30_000),
    "text": b"<recorder>" * 3000,
}


@pytest.mark.family(3)
@pytest.mark.parametrize("name", TRAILERS)
def test_what_follows_the_audio_is_not_read_as_audio(tone: MakeFile, tmp_path: Path, name: str) -> None:
    path = tmp_path / "trailer.wav"
    path.write_bytes(tone("trailed.wav").read_bytes() + TRAILERS[name])
    np.testing.assert_array_equal(samples(path), samples(tone("trailed.wav")))
    assert not check_recording(path).warnings


@pytest.mark.family(3)
@pytest.mark.parametrize("fraction", [0.5, 0.99])
@pytest.mark.parametrize("options", [(), ("-rf64", "always"), ("-c:a", "pcm_f32le"), ("-ar", 8000, "-c:a", "pcm_alaw")])
def test_a_copy_that_lacks_its_end_is_truncated(tone: MakeFile, tmp_path: Path, fraction: float, options: tuple[object, ...]) -> None:
    whole = tone(f"whole-{'-'.join(map(str, options))}.wav", *options, seconds=10)
    assert not check_recording(whole).warnings
    path = tmp_path / "cut.wav"
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * fraction)])
    with pytest.raises(InputError) as caught:
        check_recording(path)
    assert caught.value.code == "audio_truncated"


def test_a_length_beyond_the_limit_is_a_placeholder_and_not_a_cut() -> None:
    assert is_placeholder(10 * 3600 * 32_000, longest=3 * 3600 * 32_000)
    assert not is_placeholder(2 * 3600 * 32_000, longest=3 * 3600 * 32_000)
    assert not is_placeholder(123_456_789)
    assert not is_placeholder(2**27)


# -- other containers ---------------------------------------------------------------------------------------------------


@pytest.mark.family(2)
@pytest.mark.parametrize("size", [0, 2**63 - 1, 2**40, 2**32, 1000])
def test_rf64_with_a_wrong_size_is_read_to_its_end(tone: MakeFile, tmp_path: Path, size: int) -> None:
    source = tone("rf64.wav", "-rf64", "always")
    path = patched(source, tmp_path / "rf64.wav", (28, struct.pack("<Q", size)))
    assert seconds(path) == pytest.approx(2, abs=0.001)


@pytest.mark.family(4)
@pytest.mark.parametrize("size", [24, 1024, 2**40, 2**62])
def test_wave64_with_a_wrong_size_is_read_to_its_end(tone: MakeFile, tmp_path: Path, size: int) -> None:
    source = tone("wrong.w64")
    path = patched(source, tmp_path / "wrong.w64", (source.read_bytes().index(b"data") + 16, struct.pack("<Q", size)))
    np.testing.assert_array_equal(samples(path)[:1000], samples(source)[:1000])
    assert seconds(path) == pytest.approx(2, abs=0.001)
    assert WarningCode.HEADER_SIZE_WRONG in check_recording(path).warnings


@pytest.mark.family(6)
@pytest.mark.parametrize("size", [8, 1008, 0x7F000008])
@pytest.mark.parametrize("codec", ["pcm_s16be", "pcm_s24be"])
def test_aiff_with_a_wrong_size_is_read_to_its_end(tone: MakeFile, tmp_path: Path, size: int, codec: str) -> None:
    source = tone(f"wrong-{codec}.aiff", "-c:a", codec)
    number = struct.pack(">I", size)
    path = patched(source, tmp_path / "wrong.aiff", (4, number), (source.read_bytes().index(b"SSND") + 4, number))
    np.testing.assert_array_equal(samples(path), samples(source))


@pytest.mark.parametrize("size", [0, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_au_with_a_wrong_size_is_read_to_its_end(tone: MakeFile, tmp_path: Path, size: int) -> None:
    assert seconds(patched(tone("wrong.au"), tmp_path / "wrong.au", (8, struct.pack(">I", size)))) == pytest.approx(2, abs=0.001)


@pytest.mark.parametrize("size", [-1, 1004, 2**62, 2**31 - 1])
def test_caf_with_a_wrong_size_is_read_to_its_end(tone: MakeFile, tmp_path: Path, size: int) -> None:
    source = tone("wrong.caf")
    path = patched(source, tmp_path / "wrong.caf", (source.read_bytes().index(b"data") + 4, struct.pack(">q", size)))
    assert seconds(path) == pytest.approx(2, abs=0.001)


@pytest.mark.parametrize("count", [0, 1000, pytest.param(10**9, marks=pytest.mark.slow), 2**36 - 1])
def test_flac_with_a_wrong_number_of_samples_is_read_to_its_end(tone: MakeFile, tmp_path: Path, count: int) -> None:
    source = tone("wrong.flac")
    fields = int.from_bytes(source.read_bytes()[18:26], "big") >> 36 << 36
    path = patched(source, tmp_path / "wrong.flac", (18, (fields | count).to_bytes(8, "big")))
    assert seconds(path) == pytest.approx(2, abs=0.001)
    assert (WarningCode.HEADER_SIZE_WRONG in check_recording(path).warnings) == (count != 0)


@pytest.mark.family(2)
@pytest.mark.parametrize("count", [1, 10**6, 2**31])
def test_mp3_with_a_wrong_number_of_frames_is_read_to_its_end(tone: MakeFile, tmp_path: Path, count: int) -> None:
    source = tone("wrong.mp3")
    data = source.read_bytes()
    path = patched(source, tmp_path / "wrong.mp3", (max(data.find(b"Xing"), data.find(b"Info")) + 8, struct.pack(">I", count)))
    assert seconds(path) == pytest.approx(2, abs=0.05)


@pytest.mark.family(4)
@pytest.mark.parametrize("name", ["cut.aiff", "cut.au", "cut.w64", "cut.caf", "cut.mp3", "cut.flac", "cut.wma", "cut.mka", "cut.m4a"])
def test_a_recording_of_any_container_that_knows_its_size_is_truncated(tone: MakeFile, tmp_path: Path, name: str) -> None:
    whole = tone(name, *(("-movflags", "faststart") if name.endswith("m4a") else ()), seconds=20)
    assert not check_recording(whole).warnings
    path = tmp_path / name
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 9 // 10])
    with pytest.raises(InputError) as caught:
        check_recording(path)
    assert caught.value.code == "audio_truncated"


@pytest.mark.family(2)
@pytest.mark.parametrize("size", [0x7FFFFFFF, 2_000_000_000, 0, 0xFFFFFFFF, 5000])
def test_a_streamed_avi_is_read_to_its_end(clip: MakeFile, tmp_path: Path, size: int) -> None:
    source = clip("streamed.avi", "-c:v", "mpeg4")
    number = struct.pack("<I", size)
    path = patched(source, tmp_path / "streamed.avi", (4, number), (source.read_bytes().index(b"movi") - 4, number))
    assert VideoReader(check_video(path)).frame_count() == 50


@pytest.mark.family(2)
@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 2_000_000_000])
def test_an_mp4_is_judged_by_its_samples_and_not_by_the_size_of_their_box(clip: MakeFile, tmp_path: Path, size: int) -> None:
    source = clip("box.mp4", *X264, "-movflags", "faststart")
    path = patched(source, tmp_path / "box.mp4", (source.read_bytes().index(b"mdat") - 4, struct.pack(">I", size)))
    assert VideoReader(check_video(path)).frame_count() == 50


@pytest.mark.family(3)
@pytest.mark.parametrize(
    "name", ["f.mp4", "f.mkv", "f.avi", "f.wav", "f.aiff", "f.caf", "f.w64", "f.au", "f.mp3", "f.wma", "f.flv", "f.mxf"]
)
def test_no_header_breaks_or_delays_the_inspection(clip: MakeFile, tone: MakeFile, tmp_path: Path, name: str) -> None:
    is_video = name.split(".")[1] in {"mp4", "mkv", "avi", "flv", "mxf"}
    source = clip(name, "-b:v", "500k") if is_video else tone(name)
    noise, path = random.Random(name), tmp_path / name
    demuxer = identify(source, read_head(source), DEFAULT_LIMITS).demuxer
    assert demuxer is not None
    start = time.monotonic()
    for _ in range(150):
        data = bytearray(source.read_bytes())
        for _ in range(noise.choice((1, 3, 10))):
            place = noise.randrange(min(len(data), noise.choice((64, 500, len(data)))))
            data[place : place + 4] = noise.choice((b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", noise.randbytes(4)))
        path.write_bytes(data[: noise.randrange(len(data))] if noise.random() < 0.2 else data)
        structure(path, demuxer, DEFAULT_LIMITS)
    assert time.monotonic() - start < 30


# -- appended files -----------------------------------------------------------------------------------------------------


def test_two_wavs_of_one_format_are_read_one_after_the_other(tone: MakeFile, tmp_path: Path) -> None:
    first, second = tone("first.wav").read_bytes(), tone("second.wav", seconds=3).read_bytes()
    (tmp_path / "joined.wav").write_bytes(first + second)
    assert seconds(tmp_path / "joined.wav") == pytest.approx(5, abs=0.01)
    assert "one after the other" in check_recording(tmp_path / "joined.wav").warnings[WarningCode.JOINED_FILES]


def test_two_wavs_of_different_formats_are_never_noise(tone: MakeFile, tmp_path: Path) -> None:
    first, second = tone("first.wav"), tone("other.wav", "-ar", 16000, "-ac", 2, seconds=3)
    (tmp_path / "joined.wav").write_bytes(first.read_bytes() + second.read_bytes())
    np.testing.assert_array_equal(samples(tmp_path / "joined.wav"), samples(first))
    assert "not read" in check_recording(tmp_path / "joined.wav").warnings[WarningCode.JOINED_FILES]


@pytest.mark.family(3)
@pytest.mark.parametrize("name", ["a.mp3", "a.aac", "a.ogg", "a.opus", "a.ac3", "a.ts", "a.mka"])
def test_recordings_that_were_appended_are_read_whole(tone: MakeFile, tmp_path: Path, name: str) -> None:
    options = ("-ar", 48000, "-c:a", "libopus") if name == "a.opus" else ()
    parts = [tone(f"{length}-{name}", *options, seconds=length).read_bytes() for length in (2, 3)]
    (tmp_path / name).write_bytes(b"".join(parts))
    assert seconds(tmp_path / name) == pytest.approx(5, abs=0.12)


@pytest.mark.family(3)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.flv", "a.wmv", "a.ogv"])
def test_of_appended_videos_that_no_player_reads_the_unread_part_is_named(clip: MakeFile, tmp_path: Path, name: str) -> None:
    parts = [clip(f"{length}-{name}", *(("-c:v", "libtheora") if name == "a.ogv" else ("-b:v", "1M")), seconds=length) for length in (2, 3)]
    path = tmp_path / name
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert f"{parts[1].stat().st_size / 1e6:.2f} MB of" in check_video(path).warnings[WarningCode.JOINED_FILES]
