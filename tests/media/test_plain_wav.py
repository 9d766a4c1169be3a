"""A plain WAV is described from its header as ffprobe describes it, and any other is left to ffprobe."""

import random
import struct
from pathlib import Path

import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.media import probe
from heygem_daemon.media.file_bytes import open_bytes
from heygem_daemon.media.plain_wav import describe_wav
from heygem_daemon.media.probe import check_recording
from heygem_daemon.media.types import MediaInfo
from tests.media.conftest import MakeFile


def wav(path: Path, *, tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16, size: int = 32000, before: bytes = b"") -> Path:
    """Write a WAV with samples that look like noise."""
    samples = random.Random(size).randbytes(size)
    block = channels * bits // 8
    form = b"fmt " + struct.pack("<IHHIIHH", 16, tag, channels, rate, rate * block, block, bits)
    chunks = form + before + b"data" + struct.pack("<I", size) + samples
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return path


def is_described(path: Path) -> bool:
    with open_bytes(path) as data:
        return describe_wav(data) is not None


def checked(path: Path) -> MediaInfo | str:
    try:
        return check_recording(path)
    except HeygemError as problem:
        return problem.code


def by_ffprobe(path: Path) -> MediaInfo | str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(probe, "describe_wav", lambda _: None)
        return checked(path)


@pytest.mark.parametrize(("tag", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
@pytest.mark.parametrize("channels", [1, 2])
def test_it_says_what_ffprobe_says(tmp_path: Path, tag: int, bits: int, channels: int) -> None:
    path = wav(tmp_path / "a.wav", tag=tag, bits=bits, channels=channels, rate=44100, size=channels * bits // 8 * 30001)
    assert is_described(path)
    assert checked(path) == by_ffprobe(path)


@pytest.mark.parametrize("size", [2, 31999, 32001])
def test_an_odd_size_is_rounded_as_ffprobe_does(tmp_path: Path, size: int) -> None:
    path = wav(tmp_path / "a.wav", size=size)
    assert is_described(path)
    assert checked(path) == by_ffprobe(path)


def test_a_recording_that_ffmpeg_wrote_is_described(tone: MakeFile) -> None:
    path = tone("plain.wav")
    assert is_described(path)
    assert checked(path) == by_ffprobe(path)


@pytest.mark.parametrize(
    "options",
    [
        *({"channels": 3}, {"channels": 0}, {"rate": 0}, {"rate": 2**20}, {"bits": 12}, {"tag": 0x55}, {"tag": 0xFFFE}, {"size": 0}),
        {"before": b"fact" + struct.pack("<I", 2**31)},
    ],
)
def test_what_is_not_plain_is_left_to_ffprobe(tmp_path: Path, options: dict[str, int]) -> None:
    path = wav(tmp_path / "a.wav", **options)  # type: ignore[arg-type]
    assert not is_described(path)


@pytest.mark.parametrize("mark", ["72f81f4e", "f8724e1f", "7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8"])
def test_compressed_audio_in_the_disguise_of_samples_is_left_to_ffprobe(tmp_path: Path, mark: str) -> None:
    path = wav(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    content[5000:5004] = bytes.fromhex(mark)
    path.write_bytes(content)
    assert not is_described(path)


def test_a_damaged_header_is_never_described_in_another_way(tmp_path: Path) -> None:
    whole = wav(tmp_path / "whole.wav", before=b"LIST" + struct.pack("<I", 4) + b"INFO").read_bytes()
    for seed in range(40):
        chance, damaged = random.Random(seed), bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(12, 64)] = chance.choice((0, 1, 2, 3, 16, 255, chance.randrange(256)))
        path = tmp_path / "damaged.wav"
        path.write_bytes(damaged)
        if is_described(path):
            assert checked(path) == by_ffprobe(path), seed
