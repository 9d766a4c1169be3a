"""Find out what a file is from its content: the demuxer that opens it, or the words for what it is instead.

A name proves nothing: speech services write MP3 into `.wav`, phones HEIC into `.jpg`, and a playlist named `clip.mp4` would make ffmpeg
read the files and hosts that it lists. So the demuxer is chosen here, among those that read no other file, and every later command opens
the file with this one (`-f`). What begins with a signature is known at once; for streams without one (MPEG audio, ADTS, MPEG-TS,
elementary video) ffprobe judges the first megabyte on its standard input, where it sees no name, under `-format_whitelist`: libavformat
compares the demuxer with this list after it has looked at the content and before the demuxer reads anything (avformat_open_input).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heygem_daemon.core.file_types import suffix_of
from heygem_daemon.media import commands
from heygem_daemon.media.file_bytes import open_bytes
from heygem_daemon.media.formats import file_name
from heygem_daemon.media.id3 import id3_bytes
from heygem_daemon.media.run import capture, require_working
from heygem_daemon.media.types import MediaLimits

HEAD_BYTES: Final = 2**20
"""As much as ffmpeg itself looks at (PROBE_BUF_MAX)."""
SURE_SCORE: Final = 25
"""Of ffprobe's 0..100 (AVPROBE_SCORE_RETRY): below it the content is a guess, and counts only where the name says the same."""

ASF_HEADER: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
W64_HEADER: Final = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
MXF_PARTITION: Final = bytes.fromhex("060e2b34020501010d010201")

_SIGNATURES: Final = (
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b".snd", "au"),
    (0, b"caff", "caf"),
    (0, b"wvpk", "wv"),
    (0, b"TTA1", "tta"),
    (0, b"MAC ", "ape"),
    (0, b"#!AMR", "amr"),
    (0, b"FLV\x01", "flv"),
    (0, b"GIF8", "gif"),
    (0, b"\x89PNG\r\n\x1a\n", "apng"),
    (0, ASF_HEADER, "asf"),
    (0, W64_HEADER, "w64"),
    (0, MXF_PARTITION, "mxf"),
    (8, b"WAVE", "wav"),
    (8, b"AVI", "avi"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    *((4, box, "mov") for box in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp")),
)
"""Offset, bytes there, demuxer."""
_CHUNKED: Final = (b"RIFF", b"RIFX", b"RF64", b"FORM")
"""What a file with a type at offset 8 begins with."""
_PROBED: Final = frozenset({"aac", "ac3", "dts", "dv", "eac3", "h264", "hevc", "loas", "m4v", "mp3", "mpeg", "mpegts", "mpegvideo", "mxf"})
"""Demuxers of streams without a signature at their beginning; MXF may have up to 64 KiB in front of it."""

DEMUXERS: Final = frozenset(demuxer for _, _, demuxer in _SIGNATURES) | _PROBED
"""All demuxers that ever open a file: each reads this one file and nothing that it names."""

LABELS: Final = {
    "mov": "MP4",
    "matroska": "Matroska",
    "mpeg": "MPEG",
    "mpegts": "MPEG-TS",
    "asf": "Windows Media",
    "wv": "WavPack",
    "ape": "Monkey's Audio",
    "ogg": "Ogg",
    "w64": "Wave64",
    "au": "Sun AU",
    "loas": "AAC",
    "mpegvideo": "MPEG video",
    "gif": "GIF",
}
"""Demuxer -> what a presenter calls it, where that is more than its name in capitals."""

_SUFFIX_DEMUXERS: Final = {
    **dict.fromkeys((".mp3", ".mp2", ".mp1", ".mpga"), "mp3"),
    **dict.fromkeys((".aac", ".adts"), "aac"),
    **dict.fromkeys((".ts", ".mts", ".m2ts", ".m2t", ".tp", ".trp", ".tod"), "mpegts"),
    **dict.fromkeys((".mpg", ".mpeg", ".mpe", ".mod", ".vob", ".vro", ".m2p"), "mpeg"),
    **dict.fromkeys((".m1v", ".m2v", ".mpv"), "mpegvideo"),
    **dict.fromkeys((".dv", ".dif"), "dv"),
    **dict.fromkeys((".eac3", ".ec3"), "eac3"),
    ".ac3": "ac3",
}
"""What the name says of a stream that has no signature."""

_OTHERS: Final = (
    (b"%PDF-", "a PDF document"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Word, Excel or PowerPoint document"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript document"),
    (b"8BPS", "a Photoshop image"),
    (b"MThd", "music in notes (MIDI)"),
    (b".RMF", "a RealMedia file"),
    (b".ra\xfd", "a RealAudio file"),
    (b"FWS", "a Flash animation"),
    (b"CWS", "a Flash animation"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"SQLite format 3", "a database"),
    (b"bplist0", "a property list of macOS"),
    (b"\0\x05\x16\x07", "what macOS writes beside a file (its name begins with ._), not the file itself"),
    (b"#!SILK", "a voice message in the SILK codec"),
    (b"\x02#!SILK", "a voice message in the SILK codec"),
    (b"#EXTM3U", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"ffconcat version", "a playlist"),
    (b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut, not the file itself"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"v\x2f\x31\x01", "an OpenEXR image"),
)
"""First bytes -> what such a file is."""
_ZIPPED: Final = (
    (b"word/", "a Word document"),
    (b"ppt/", "a PowerPoint document"),
    (b"xl/", "an Excel document"),
    (b"mimetypeapplication/epub", "an e-book"),
    (b"mimetypeapplication/vnd.oasis", "an OpenDocument file"),
)
_TEXTS: Final = (
    (r"<!doctype html|<html|<head|<body", "a web page"),
    (r"(?s:.*)<svg", "an SVG drawing"),
    (r"(?s:.*)<(MPD|SmoothStreamingMedia|smil|playlist|asx)\b", "a playlist"),
    (r"<\?xml|<Error>", "an XML file"),
    (r"version https://git-lfs", "a placeholder of git-lfs, not the file itself"),
    (r"v=0\r?\no=", "a playlist"),
    (r"\s*[{\[]", "a JSON file"),
    (r"WEBVTT|\d+\r?\n\d\d:\d\d:\d\d,\d", "a file of subtitles"),
)
_TEXT_BYTES: Final = 4096


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds: `demuxer` opens it, None where none may; then `description` is what it is, in words that follow "it is"."""

    demuxer: str | None = None
    description: str = ""


def read_head(path: Path) -> bytes:
    """Return the first HEAD_BYTES of a file behind its ID3 tag. Raises TransientError (`io_error`)."""
    with open_bytes(path) as data:
        return data.at(id3_bytes(data.at(0, 10)), HEAD_BYTES)


def identify(path: Path, head: bytes, limits: MediaLimits) -> Content:
    """Return what a file holds that begins with `head`; still images are left aside (`stills.recognise`)."""
    demuxer = _by_signature(head)
    if demuxer is not None:
        return Content(demuxer=demuxer)
    description = describe_other(head)
    if description is not None:
        return Content(description=description)
    demuxer = _by_probing(head, path, limits)
    return Content(demuxer=demuxer) if demuxer else Content(description="a file of an unknown type")


def label(demuxer: str) -> str:
    """Return the name of a type of file for a message; of samples that are read without their header only "PCM"."""
    return LABELS.get(demuxer, demuxer.upper() if demuxer in DEMUXERS else "PCM")


def _by_signature(head: bytes) -> str | None:
    for offset, signature, demuxer in _SIGNATURES:
        is_typed = offset != 8 or head.startswith(_CHUNKED)
        if is_typed and head.startswith(signature, offset):
            return demuxer
    return None


def _by_probing(head: bytes, path: Path, limits: MediaLimits) -> str | None:
    """Return ffprobe's judgement of the first megabyte, where it is sure or the name says the same."""
    answer = capture(commands.identify(sorted(_PROBED)), seconds=limits.probe_seconds, stdin=head, path=path, section="format")
    found = (answer.answer or {}).get("format", {}) if answer.code == 0 else {}
    if not found:
        require_working(answer.program)
    demuxer, score = str(found.get("format_name", "")), int(found.get("probe_score", 0))
    is_sure = score >= SURE_SCORE or _SUFFIX_DEMUXERS.get(suffix_of(file_name(path))) == demuxer
    return demuxer if demuxer in _PROBED and is_sure else None


def describe_other(head: bytes) -> str | None:
    """Return what a file that is no media is, from its first bytes; None where it may be media without a signature."""
    if not head.strip(b"\0"):
        return "a file of zeros: its copy has not finished, or its disk is damaged" if head else "an empty file"
    for signature, description in _OTHERS:
        if head.startswith(signature):
            return description
    if head.startswith(b"PK\x03\x04"):
        return next((description for mark, description in _ZIPPED if mark in head), "a ZIP archive")
    if head[257:262] == b"ustar":
        return "a TAR archive"
    return _describe_text(head[:_TEXT_BYTES])


def _describe_text(head: bytes) -> str | None:
    encoding = "utf-16" if head[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8"
    text = head.decode(encoding, "ignore").lstrip("\ufeff \t\r\n")
    if "\0" in text or len(text.encode(encoding)) < 0.9 * len(head.strip()) or any(ord(c) < 32 and c not in "\t\r\n\f\x1b" for c in text):
        return None
    return next((description for pattern, description in _TEXTS if re.match(pattern, text, re.IGNORECASE)), "a text file")
