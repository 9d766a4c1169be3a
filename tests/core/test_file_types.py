from itertools import combinations

import pytest

from heygem_daemon.core import file_types
from heygem_daemon.core.file_types import FileType, description, suffix_of, type_of

PEOPLE_BRING = {
    FileType.AUDIO: "wav mp3 m4a aac flac ogg opus wma aiff aif aifc amr 3ga caf ape weba mka oga mp2 mpga m4b m4r ac3 eac3 au snd wv tta "
    "w64 rf64 spx wave bwf awb",
    FileType.VIDEO: "mp4 mov mkv avi webm m4v mpg mpeg mts m2ts m2t ts 3gp 3g2 wmv asf flv f4v vob mxf dv ogv ogm qt divx m2v mpv mod tod "
    "gif apng insv",
    FileType.STILL: "png jpg jpeg jfif jpe heic heif hif avif webp bmp tif tiff jp2",
    FileType.UNSUPPORTED: "cr2 cr3 nef arw dng raf rw2 orf psd ai svg eps xcf rm rmvb ra mid midi swf braw r3d jxl aax",
    FileType.INDIRECT: "m3u m3u8 pls prproj aep zip rar 7z aup3 lnk iso",
    FileType.SIDECAR: "txt srt vtt ass sub json xml thm lrv aae xmp log md docx pdf csv nfo url",
    FileType.UNKNOWN: "xyz exe mp5 part1 bak",
}


@pytest.mark.parametrize(("suffix", "file_type"), [(suffix, kind) for kind, words in PEOPLE_BRING.items() for suffix in words.split()])
def test_what_people_bring_is_known_by_its_suffix_in_any_case(suffix: str, file_type: FileType) -> None:
    assert type_of(f"videos/老师 1.{suffix}") is file_type
    assert type_of(f"IMG_0001.{suffix.upper()}") is file_type
    assert type_of(f"clip.v2.{suffix} ") is file_type


@pytest.mark.parametrize(
    "name", ["teacher", "Interview 12.05.2026", "take.1", "Mr. Smith", "clip.mp4 (1)", ".mp4", "老师．mp4", "a.", "a.mp4-copy", "clip.视频"]
)
def test_a_name_without_a_suffix_promises_nothing(name: str) -> None:
    assert suffix_of(name) == ""
    assert type_of(name) is FileType.UNNAMED


@pytest.mark.parametrize("name", ["README", "LICENSE", "videos/Notes"])
def test_documents_are_known_without_a_suffix(name: str) -> None:
    assert type_of(name) is FileType.SIDECAR


def test_no_suffix_is_of_two_types() -> None:
    tables = [frozenset(suffixes) for _, suffixes in file_types._TABLES]
    assert not [left & right for left, right in combinations(tables, 2) if left & right]
    assert all(suffix == suffix.lower() and suffix.startswith(".") for table in tables for suffix in table)


def test_the_audio_of_any_video_that_can_have_audio_may_be_the_recording() -> None:
    assert {".mts", ".webm", ".mkv", ".3gp", ".mpg", ".wav"} <= file_types.RECORDING_SUFFIXES
    assert not {".gif", ".apng", ".png"} & file_types.RECORDING_SUFFIXES


def test_what_cannot_be_opened_is_described() -> None:
    assert [description(name) for name in ("a.CR2", "b.psd", "c.m3u8", "d.zip")] == [
        "a raw photo", "a drawing or layered image", "a playlist", "an archive",
    ]  # fmt: skip
