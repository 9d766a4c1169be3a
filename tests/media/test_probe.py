"""Inspect files, also those whose content does not match their name."""

import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.errors import HeygemError, InputError, SetupError, TransientError
from heygem_daemon.core.file_types import AUDIO_SUFFIXES, RECORDING_SUFFIXES, STILL_SUFFIXES, VIDEO_SUFFIXES
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.probe import check_recording, check_video, probe
from heygem_daemon.media.streams import choose_rate
from heygem_daemon.media.types import Colour, MediaInfo, MediaLimits
from tests.media.conftest import MakeFile, Turn

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def refusal(check: Callable[[Path, MediaLimits], MediaInfo], path: Path, **limits: Any) -> str:
    with pytest.raises(HeygemError) as caught:
        check(path, MediaLimits(**limits))
    assert isinstance(caught.value, InputError)
    return caught.value.code


def cut(path: Path, folder: Path, fraction: float = 0.5) -> Path:
    """Copy the first `fraction` of a file."""
    half = folder / path.name
    half.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    return half


def test_an_ordinary_video_is_described(clip: MakeFile) -> None:
    info = check_video(clip("described.mp4", *X264, "-c:a", "aac", audio=True))
    assert info.video is not None
    assert info.audio is not None
    assert (info.demuxer, info.streams, info.size) == ("mov", 2, info.path.stat().st_size)
    assert (info.video.width, info.video.height, info.video.frame_rate, info.video.frames) == (160, 120, Fraction(25), 50)
    assert (info.audio.sample_rate, info.audio.channels) == (44100, 1)
    assert info.warnings == {}


def test_the_frame_rate_stays_the_exact_rational(clip: MakeFile) -> None:
    for name in ("film.mp4", "film.mkv", "film.avi"):
        video = check_video(clip(name, rate="24000/1001")).video
        assert video is not None
        assert video.frame_rate == Fraction(24000, 1001)


@pytest.mark.parametrize(
    ("nominal", "average", "chosen"),
    [
        (Fraction(30), Fraction(30), (Fraction(30), False)),
        (Fraction(30000, 1001), Fraction(2994000, 99901), (Fraction(30000, 1001), False)),
        (Fraction(30), Fraction(26), (Fraction(30), True)),  # a phone that leaves frames out in the dark
        (Fraction(90000), Fraction(30), (Fraction(30), True)),  # no common grid at all
        (Fraction(120), Fraction("17.3"), (Fraction(24000, 1001), True)),
        (Fraction(1000), Fraction("59.5"), (Fraction(60000, 1001), True)),
        (Fraction(10), Fraction(10), (Fraction(30), False)),  # each image three times
        (None, None, (Fraction(25), True)),
        (Fraction(25), None, (Fraction(25), False)),
    ],
)
def test_the_rate_to_read_at_is_the_streams_own_where_it_has_one(
    nominal: Fraction | None, average: Fraction | None, chosen: tuple[Fraction, bool]
) -> None:
    assert choose_rate(nominal, average) == chosen


def test_rotation_turns_size_and_pixel_shape(clip: MakeFile, turned: Turn) -> None:
    flat = clip("flat.mp4", filters="setsar=4/3")
    video = check_video(turned(flat, 90)).video
    assert video is not None
    assert (video.width, video.height, video.rotation, video.sample_aspect) == (120, 160, 90, Fraction(3, 4))
    video = check_video(turned(flat, 180)).video
    assert video is not None
    assert (video.width, video.height, video.rotation, video.sample_aspect) == (160, 120, 180, Fraction(4, 3))


def test_odd_sizes_become_even(clip: MakeFile) -> None:
    video = check_video(clip("odd.mkv", "-c:v", "ffv1", filters="scale=161:121,format=yuv444p")).video
    assert video is not None
    assert (video.width, video.height, video.coded_width, video.coded_height) == (162, 122, 161, 121)


def test_an_hdr_video_gets_a_warning(clip: MakeFile) -> None:
    pq = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le")
    tags = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    info = check_video(clip("hdr.mp4", *pq, *tags, rate="10", seconds=1))
    assert info.video is not None
    assert info.video.source_colour.is_hdr
    assert info.video.colour == Colour(primaries="bt709", transfer="bt709", matrix="bt709")
    assert WarningCode.HDR_TONE_MAPPED in info.warnings


def test_a_cover_image_is_not_a_video(tone: MakeFile, clip: MakeFile) -> None:
    cover = clip("cover.png", "-frames:v", 1)
    song = tone("song-with-cover.mp3", "-i", cover, "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic")
    info = check_recording(song)
    assert info.video is None
    assert info.streams == 2


@pytest.mark.parametrize("name", ["-i.mp4", "a b 'c\" $(x).mp4", "line\nbreak.mp4", "教师 é.MP4", "%d*.mp4", "pipe:0.mp4", "http:x.mp4"])
def test_odd_names_are_only_names(clip: MakeFile, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.copy(clip("plain.mp4"), path)
    assert check_video(path).video is not None


def test_a_name_that_is_no_text_is_read_and_shown_escaped(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\n.mp4")
    shutil.copy(clip("plain.mp4"), path)
    assert check_video(path).video is not None
    assert display_name(path) == "\\udcff\\n.mp4"
    assert display_name(Path("教师 é.mp4")) == "教师 é.mp4"


@pytest.mark.parametrize("name", [".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wma"])
def test_every_kind_of_recording_is_accepted(tone: MakeFile, name: str) -> None:
    options = ("-ar", 48000, "-c:a", "libopus") if name in {".opus", ".ogg"} else ()
    info = check_recording(tone(f"kind{name}", *options))
    assert info.audio is not None
    assert info.audio.seconds == pytest.approx(2, abs=0.2)


# -- refusals -----------------------------------------------------------------------------------------------------------


def test_a_link_is_refused(clip: MakeFile, tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(clip("plain.mp4"))
    assert refusal(check_video, link) == "symlink"
    (tmp_path / "link").symlink_to(tmp_path)
    assert refusal(check_video, tmp_path / "link") == "symlink"


def test_a_pipe_or_a_directory_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert refusal(check_video, tmp_path / "fifo.mp4") == "not_a_file"
    assert refusal(check_video, tmp_path / "folder.mp4") == "not_a_file"


def test_limits_are_kept(clip: MakeFile, tone: MakeFile) -> None:
    video, audio = clip("plain.mp4"), tone("plain.wav")
    assert refusal(check_video, video, file_bytes=1000) == "file_too_large"
    assert refusal(check_video, video, streams=0) == "too_many_streams"
    assert refusal(check_video, video, video_seconds=1.5) == "video_too_long"
    assert refusal(check_video, video, megapixels=0.01) == "video_too_large"
    assert refusal(check_recording, audio, recording_seconds=1.5) == "audio_too_long"
    assert refusal(check_video, clip("tiny.mp4", size="62x120")) == "video_too_small"


def test_text_with_the_extension_of_a_video_is_no_video(tmp_path: Path) -> None:
    for name in ("text.mp4", "text.mkv", "text.avi", "text.png", "text.jpg"):
        (tmp_path / name).write_text("This is a letter.\n" * 100)
        assert refusal(check_video, tmp_path / name) == "not_a_video"
    (tmp_path / "empty.mp4").touch()
    assert refusal(check_video, tmp_path / "empty.mp4") == "not_a_video"
    (tmp_path / "preallocated.mp4").write_bytes(bytes(100_000))
    assert refusal(check_video, tmp_path / "preallocated.mp4") == "not_a_video"


def test_text_with_the_extension_of_a_recording_cannot_be_read_as_audio(tmp_path: Path) -> None:
    for extension in AUDIO_SUFFIXES:
        path = tmp_path / f"text{extension}"
        path.write_text("This is a letter.\n" * 100)
        assert refusal(check_recording, path) == "audio_unreadable", extension


def test_text_under_any_other_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Good evening.\n")
    assert refusal(check_video, tmp_path / "notes.txt") == "not_a_video"
    assert refusal(check_recording, tmp_path / "notes.txt") == "audio_unreadable"


def test_an_audio_file_is_no_video_and_a_mute_video_no_recording(clip: MakeFile, tone: MakeFile) -> None:
    mute = tone("audio-only.mp4", "-c:a", "aac")
    assert refusal(check_video, mute) == "not_a_video"
    assert refusal(check_recording, clip("plain.mp4")) == "audio_empty"


@pytest.mark.parametrize("name", ["cut.mp4", "cut-faststart.mp4", "cut.mkv", "cut.avi", pytest.param("cut.webm", marks=pytest.mark.slow)])
def test_a_video_cut_in_half_is_incomplete(clip: MakeFile, tmp_path: Path, name: str) -> None:
    codec = (
        ("-c:v", "libvpx", "-b:v", "1M", "-deadline", "realtime", "-c:a", "libopus") if name.endswith("webm") else (*X264, "-c:a", "aac")
    )
    whole = clip(name, *codec, *(("-movflags", "faststart") if "faststart" in name else ()), seconds=6, audio=True)
    assert check_video(whole).video is not None
    assert refusal(check_video, cut(whole, tmp_path)) == "video_truncated"


@pytest.mark.parametrize("name", ["cut.wav", "cut.flac", "cut.m4a"])
def test_a_recording_cut_in_half_is_incomplete(tone: MakeFile, tmp_path: Path, name: str) -> None:
    whole = tone(name, *(("-movflags", "faststart") if name.endswith("m4a") else ()), seconds=10)
    assert check_recording(whole).audio is not None
    assert refusal(check_recording, cut(whole, tmp_path)) == "audio_truncated"


def test_a_video_without_a_length_in_its_header_is_measured(clip: MakeFile) -> None:
    live = clip("live.webm", "-c:v", "libvpx", "-deadline", "realtime", "-f", "webm", "-live", "1")
    info = check_video(live)
    assert info.seconds == pytest.approx(2, abs=0.05)


def test_audio_longer_than_the_video_is_not_truncated(tone: MakeFile, clip: MakeFile) -> None:
    video = clip("plain.mp4")
    both = tone("long-audio.mp4", "-i", video, "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-c:a", "aac", seconds=8)
    assert check_video(both).seconds == pytest.approx(8, abs=0.1)


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{port}/a.ts\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n"


class TrapServer(socketserver.ThreadingTCPServer):
    """Records every request."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        super().__init__(("127.0.0.1", 0), Trap)


class Trap(BaseHTTPRequestHandler):
    server: TrapServer

    def do_GET(self) -> None:
        self.server.calls.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def trap() -> Iterator[TrapServer]:
    with TrapServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_trap_catches_a_careless_reader(trap: TrapServer, tmp_path: Path) -> None:
    """The control of the next test: the same playlist, opened as a playlist, does send a request."""
    path = tmp_path / "list.m3u8"
    path.write_text(HLS.format(port=trap.server_address[1], secret="none.mp4"))
    subprocess.run(["ffprobe", "-v", "quiet", "-protocol_whitelist", "file,http,tcp", "-f", "hls", path], check=False, timeout=30)
    assert trap.calls


@pytest.mark.family(32)
@pytest.mark.parametrize("extension", sorted(VIDEO_SUFFIXES | STILL_SUFFIXES | RECORDING_SUFFIXES))
def test_a_playlist_under_any_name_reads_neither_files_nor_the_network(
    trap: TrapServer, clip: MakeFile, tmp_path: Path, extension: str
) -> None:
    port = trap.server_address[1]
    secret = clip("plain.mp4")
    playlists = (
        HLS.format(port=port, secret=secret),
        f"ffconcat version 1.0\nfile '{secret}'\nfile 'http://127.0.0.1:{port}/b.mp4'\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        f'<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>http://127.0.0.1:{port}/c.mp4</BaseURL></MPD>',
        "ID3\x04\0\0\0\0\0\x04\0\0\0\0" + HLS.format(port=port, secret=secret),
        "\x01\x02" + HLS.format(port=port, secret=secret),
    )
    for playlist in playlists:
        path = tmp_path / f"list{extension}"
        path.write_text(playlist)
        check = check_recording if extension in AUDIO_SUFFIXES else check_video
        assert refusal(check, path) in {"not_a_video", "audio_unreadable"}
    assert trap.calls == []


def test_a_missing_file_is_a_transient_error(tmp_path: Path) -> None:
    with pytest.raises(TransientError) as caught:
        probe(tmp_path / "gone.mp4")
    assert caught.value.code == "io_error"


def test_a_missing_ffprobe_is_a_setup_error(clip: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip("plain.mp4")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError) as caught:
        probe(path)
    assert caught.value.code == "ffmpeg_missing"
