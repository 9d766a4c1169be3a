"""What a file is, is found from its content: under any name, with junk in front, and in words where it is something else."""

import io
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.media.identify import DEMUXERS
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import measure_speech
from heygem_daemon.media.types import MediaInfo
from tests.media.conftest import MakeFile, ffmpeg

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
INDIRECT = frozenset(
    {"hls", "dash", "concat", "concatf", "image2", "image2pipe", "sdp", "rtsp", "rtp", "webm_dash_manifest", "imf", "lavfi", "vapoursynth"}
)
"""Demuxers of ffmpeg that open other files or the network."""

AUDIO = {
    "mp3.wav": ("-f", "mp3"),
    "wav.mp3": ("-f", "wav"),
    "flac.m4a": ("-f", "flac"),
    "adts.wav": ("-f", "adts"),
    "opus.mp3": ("-ar", 48000, "-c:a", "libopus", "-f", "ogg"),
    "m4a.mp3": ("-f", "mp4", "-c:a", "aac"),
    "aiff.wav": ("-f", "aiff"),
    "caf.mp3": ("-f", "caf"),
    "au.ogg": ("-f", "au"),
    "w64.wav": ("-f", "w64"),
    "ac3.mp3": ("-f", "ac3"),
    "webm.m4a": ("-ar", 48000, "-c:a", "libopus", "-f", "webm"),
    "ts.aac": ("-c:a", "aac", "-f", "mpegts"),
    "wma.mp3": ("-c:a", "wmav2", "-f", "asf"),
    "wavpack.wav": ("-f", "wv"),
    "mp3-in-riff.wav": ("-c:a", "libmp3lame", "-f", "wav"),
    "ac3-in-riff.wav": ("-c:a", "ac3", "-f", "wav"),
    "nameless": ("-f", "mp3"),
    "dots.12.05": ("-f", "wav"),
}
VIDEO = {
    "webm.mp4": ("-c:v", "libvpx", "-deadline", "realtime", "-f", "webm"),
    "ts.mp4": (*X264, "-f", "mpegts"),
    "m2ts.mov": (*X264, "-f", "mpegts", "-mpegts_m2ts_mode", 1),
    "matroska.avi": (*X264, "-f", "matroska"),
    "mp4.webm": (*X264, "-f", "mp4"),
    "mp4.jpg": (*X264, "-f", "mp4"),
    "flv.mov": (*X264, "-f", "flv"),
    "mpg.mp4": ("-c:v", "mpeg2video", "-f", "mpeg"),
    "avi.mkv": ("-c:v", "mpeg4", "-f", "avi"),
    "asf.mp4": ("-c:v", "wmv2", "-f", "asf"),
    "mxf.mov": ("-c:v", "mpeg2video", "-f", "mxf"),
    "ogg.mp4": ("-c:v", "libtheora", "-f", "ogg"),
    "h264.mp4": (*X264, "-f", "h264"),
    "m2v.mpg": ("-c:v", "mpeg2video", "-f", "mpeg2video"),
    "gif.mp4": ("-f", "gif"),
    "apng.png": ("-f", "apng"),
    "nameless": (*X264, "-f", "mp4"),
}


def refused(check: Callable[[Path], MediaInfo], path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        check(path)
    return caught.value


def test_no_demuxer_that_opens_other_files_is_ever_used() -> None:
    assert not DEMUXERS & INDIRECT
    assert not [demuxer for demuxer in DEMUXERS if demuxer.endswith("_pipe")]


@pytest.mark.family(8)
@pytest.mark.parametrize("name", AUDIO)
def test_a_recording_is_read_under_a_wrong_name(tone: MakeFile, name: str) -> None:
    info = check_recording(tone(name, *AUDIO[name]))
    assert float(measure_speech(info).seconds) == pytest.approx(2, abs=0.06)
    assert not info.warnings


@pytest.mark.family(9)
@pytest.mark.parametrize("name", VIDEO)
def test_a_video_is_read_under_a_wrong_name(clip: MakeFile, name: str) -> None:
    info = check_video(clip(f"wrong-{name}" if "." in name else name, *VIDEO[name]))
    assert info.video is not None
    assert not info.video.is_still
    assert info.video.frames == VideoReader(info).frame_count() == 50


@pytest.mark.parametrize("name", ["%d.jpg", "frame%03d.png", "*.jpg", "concat:a|b.mp4", "list.m3u8"])
def test_a_name_that_means_something_to_ffmpeg_is_only_a_name(clip: MakeFile, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.copy(clip("plain.mp4"), path)
    assert check_video(path).demuxer == "mov"


def test_a_still_under_the_name_of_a_video_is_a_still(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "portrait.mp4"
    shutil.copy(clip("portrait.png", "-frames:v", 1), path)
    video = check_video(path).video
    assert video is not None
    assert video.is_still


@pytest.mark.family(3)
@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "adts"])
@pytest.mark.parametrize("size", [20, 3 * 2**20])
def test_an_id3_tag_in_front_hides_nothing(tone: MakeFile, tmp_path: Path, kind: str, size: int) -> None:
    tag = b"ID3\x04\0\0" + bytes(size >> 7 * place & 127 for place in (3, 2, 1, 0)) + bytes(size)
    path = tmp_path / "tagged.wav"
    path.write_bytes(tag + tone(f"tagged.{kind}", "-f", kind).read_bytes())
    assert float(measure_speech(check_recording(path)).seconds) == pytest.approx(2, abs=0.06)


@pytest.mark.family(3)
@pytest.mark.parametrize("junk", [random.Random(4).randbytes(5000), bytes(5000)], ids=["random", "zeros"])
@pytest.mark.parametrize("kind", ["mp3", "adts"])
def test_junk_in_front_of_compressed_audio_is_passed_over(tone: MakeFile, tmp_path: Path, kind: str, junk: bytes) -> None:
    path = tmp_path / f"junk.{kind}"
    path.write_bytes(junk + tone(f"behind-junk.{kind}", "-f", kind).read_bytes())
    assert float(measure_speech(check_recording(path)).seconds) == pytest.approx(2, abs=0.1)


def test_zeros_in_front_of_a_program_stream_are_passed_over(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "zeros.mpg"
    path.write_bytes(bytes(5000) + clip("behind-zeros.mpg", "-c:v", "mpeg2video").read_bytes())
    info = check_video(path)
    assert (info.demuxer, VideoReader(info).frame_count()) == ("mpeg", 50)


def test_a_telephone_recording_is_read(tmp_path: Path) -> None:
    """AMR has no encoder here: frames of 12.2 kb/s with random bits (RFC 4867, 5.3), 20 ms each."""
    noise = random.Random(7)
    path = tmp_path / "memo.mp3"
    path.write_bytes(b"#!AMR\n" + b"".join(b"\x3c" + noise.randbytes(31) for _ in range(100)))
    info = check_recording(path)
    assert info.demuxer == "amr"
    assert float(measure_speech(info).seconds) == pytest.approx(2, abs=0.03)


# -- refusals name what the file is -------------------------------------------------------------------------------------


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return buffer.getvalue()


OTHERS = {
    "a web page": b"\n<!DOCTYPE html><html><body>Not found</body></html>",
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    "a ZIP archive": zipped("clip.mp4"),
    "a Word document": zipped("[Content_Types].xml", "word/document.xml"),
    "a RAR archive": b"Rar!\x1a\x07\x01\0" + bytes(range(256)),
    "a 7-Zip archive": b"7z\xbc\xaf\x27\x1c" + bytes(range(256)),
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\nhttp://127.0.0.1/a.ts\n",
    "a JSON file": b'{"error": "quota exceeded"}',
    "an XML file": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "a placeholder of git-lfs, not the file itself": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "a file of subtitles": b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n",
    "a text file": "Guten Abend, meine Damen und Herren. Schöne Grüße".encode("utf-16"),
    "a voice message in the SILK codec": b"\x02#!SILK_V3" + bytes(range(256)),
    "music in notes (MIDI)": b"MThd\0\0\0\x06\0\x01\0\x01\x01\xe0MTrk",
    "an empty file": b"",
    "a file of zeros": bytes(70_000),
    "a file of an unknown type": random.Random(1).randbytes(300_000),
}


@pytest.mark.parametrize("words", OTHERS)
def test_a_refusal_names_what_the_file_is(tmp_path: Path, words: str) -> None:
    for check, name, code in ((check_video, "clip.mp4", "not_a_video"), (check_recording, "speech.mp3", "audio_unreadable")):
        (tmp_path / name).write_bytes(OTHERS[words])
        problem = refused(check, tmp_path / name)
        assert problem.code == code
        assert f"{name}" in problem.message
        assert f"it is {words}" in problem.message


def test_a_recording_among_the_videos_is_called_one(tone: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copy(tone("song.mp3"), path)
    assert "it is an audio file (MP3)" in refused(check_video, path).message


def test_a_portrait_in_the_place_of_the_recording_is_called_one(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    shutil.copy(clip("portrait.png", "-frames:v", 1), path)
    assert "it is a PNG image" in refused(check_recording, path).message


def test_a_damaged_file_is_named_without_words_of_ffmpeg(tone: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "speech.mp3"
    path.write_bytes(tone("damaged.wav").read_bytes()[:20])
    problem = refused(check_recording, path)
    assert problem.message == "The recording speech.mp3 cannot be read as audio: it is a damaged file (WAV)."


def test_a_protected_video_is_called_so(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "protected.mp4"
    keys = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a" * 32)
    ffmpeg("-i", clip("plain.mp4"), "-c", "copy", *keys, path)
    assert refused(check_video, path).code == "encrypted"
    assert refused(check_recording, path).code == "encrypted"
