"""When a file proves by itself that its frames have the size of its header, and that nothing else is ever proved."""

import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.media import probe, survey
from heygem_daemon.media.declared import Structure
from heygem_daemon.media.file_bytes import open_bytes
from heygem_daemon.media.parameter_sets import has_fixed_shape
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.run import capture
from heygem_daemon.media.streams import Json
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import DEFAULT_LIMITS, Source
from tests.media.conftest import X264, MakeFile

X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", "log-level=error")
PROVED = {
    "one_set.mp4": X264,
    "many key frames.mov": (*X264, "-g", "2"),
    "index in front.mp4": (*X264, "-movflags", "+faststart"),
    "reordered.mp4": ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "3"),
    "hev1.mp4": X265,
    "hvc1.mov": (*X265, "-tag:v", "hvc1", "-g", "5"),
}
NOT_PROVED = {
    "sets in every key frame.mp4": (*X264, "-x264-params", "repeat-headers=1"),
    "timing of fields.mp4": (*X264, "-x264-params", "pic-struct=1"),
    "interlaced.mp4": (*X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1"),
    "hevc with sets.mp4": (*X265[:-1], "log-level=error:repeat-headers=1"),
    "fragments.mp4": (*X264, "-movflags", "+frag_keyframe+empty_moov"),
    "mpeg-4.mp4": ("-c:v", "mpeg4"),
    "mjpeg.mov": ("-c:v", "mjpeg"),
}


def description(path: Path) -> Json:
    """What ffprobe says of the video track."""
    report = probe._report(Source(path=path, demuxer="mov"), Structure(), DEFAULT_LIMITS, probe._VIDEO)
    return next(stream for stream in report["streams"] if stream["codec_type"] == "video")


def is_proved(path: Path, track: Json) -> bool:
    with open_bytes(path) as data:
        return has_fixed_shape(data, track)


@pytest.mark.family(3)
@pytest.mark.parametrize("name", PROVED)
def test_an_ordinary_file_is_proved_and_described_as_by_decoding(clip: MakeFile, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = clip(f"sets {name}", *PROVED[name], audio=True, seconds=1)
    assert is_proved(path, description(path))
    found = check_video(path)
    monkeypatch.setattr(survey, "has_fixed_shape", lambda *_: False)
    assert check_video(path) == found


@pytest.mark.parametrize("name", NOT_PROVED)
def test_whatever_may_bring_other_sets_is_not_proved(clip: MakeFile, name: str) -> None:
    path = clip(f"sets {name}", *NOT_PROVED[name], seconds=1)
    assert not is_proved(path, description(path))


def test_a_header_with_another_size_or_number_is_no_proof(clip: MakeFile) -> None:
    path = clip("sets plain.mp4", *X264, audio=True, seconds=1)
    track = description(path)
    assert is_proved(path, track)
    for changed in ({"width": 320}, {"height": 64}, {"id": "0x2"}, {"id": "0x7"}):
        assert not is_proved(path, {**track, **changed}), changed
    assert not is_proved(path, {})


@pytest.mark.parametrize("name", ["one_set.mp4", "hvc1.mov"])
def test_no_damage_breaks_it(clip: MakeFile, tmp_path: Path, name: str) -> None:
    """The tables of a hostile file may hold any numbers."""
    path = clip(f"sets {name}", *PROVED[name], audio=True, seconds=1)
    track, content = description(path), path.read_bytes()
    start = content.rfind(b"moov")
    for seed in range(150):
        chance, damaged = random.Random(seed), bytearray(content)
        for _ in range(chance.randint(1, 20)):
            damaged[chance.randrange(start, len(content))] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
        (tmp_path / "damaged.mp4").write_bytes(damaged[: chance.choice((len(content), chance.randrange(start, len(content))))])
        assert is_proved(tmp_path / "damaged.mp4", track) in {True, False}


def test_a_hostile_number_of_frames_takes_no_memory(clip: MakeFile, tmp_path: Path) -> None:
    """Four billion frames of one byte each in one chunk, every one a key frame: as a list they would have 34 GB."""
    path = clip("sets one_set.mp4", *PROVED["one_set.mp4"], audio=True, seconds=1)
    content, most = bytearray(path.read_bytes()), b"\xff\xff\xff\xff"
    movie = content.rfind(b"moov")
    track = content.index(b"stbl", movie)
    table = {name: content.index(name, track) + 8 for name in (b"stsz", b"stsc", b"stco", b"stss")}
    content[table[b"stsz"] : table[b"stsz"] + 8] = b"\0\0\0\1" + most
    content[table[b"stsc"] : table[b"stsc"] + 16] = b"\0\0\0\1" + b"\0\0\0\1" + most + b"\0\0\0\1"
    content[table[b"stco"] : table[b"stco"] + 4] = b"\0\0\0\1"
    content[table[b"stss"] - 4 - 4 : table[b"stss"] - 4] = b"free"
    (tmp_path / "hostile.mp4").write_bytes(content)
    tracemalloc.start()
    try:
        assert not is_proved(tmp_path / "hostile.mp4", description(path))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_an_ordinary_video_costs_one_process(clip: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def counted(command: tuple[str, ...], **options: Any) -> Completed:
        started.append(command[0])
        return capture(command, **options)

    for module in (probe, survey):
        monkeypatch.setattr(module, "capture", counted)
    found = check_video(clip("sets plain.mp4", *X264, audio=True, seconds=1))
    assert started == ["ffprobe"]
    assert found.video is not None
    assert (found.video.coded_width, found.video.coded_height, found.video.changes_shape) == (160, 120, False)
