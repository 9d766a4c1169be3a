"""Ask the container of a file what it declares about its size: one function for each that declares something."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from heygem_daemon.media import riff
from heygem_daemon.media.boxes import mov
from heygem_daemon.media.declared import Structure, joined_unread, judge
from heygem_daemon.media.ebml import matroska
from heygem_daemon.media.file_bytes import FileBytes, open_bytes
from heygem_daemon.media.id3 import id3_bytes
from heygem_daemon.media.identify import ASF_HEADER, MXF_PARTITION
from heygem_daemon.media.types import MediaLimits

_HEAD_BYTES: Final = 2**16
_ASF_FILE_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST: Final = 1
_ASF_ENCRYPTION: Final = (bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"), bytes.fromhex("14e68a292226174cb935dae07ee9289c"))
"""Content Encryption Object and its extended form (3.14, 3.15)."""


def structure(path: Path, demuxer: str, limits: MediaLimits) -> Structure:
    """Return what the container of a file declares. Raises TransientError (`io_error`)."""
    with open_bytes(path) as data:
        if demuxer in _AUDIO:
            return _AUDIO[demuxer](data, limits.recording_seconds)
        return _DECLARED[demuxer](data) if demuxer in _DECLARED else Structure()


def asf(data: FileBytes) -> Structure:
    """File Properties Object (ASF 01.20.05, 3.2): size of the file, which a broadcast does not have."""
    head = data.at(0, _HEAD_BYTES)
    if any(encryption in head for encryption in _ASF_ENCRYPTION):
        return Structure(is_protected=True)
    place = head.find(_ASF_FILE_PROPERTIES)
    if place < 0 or data.number(place + 88, 4, little=True) & _ASF_BROADCAST:
        return Structure()
    return _judge_whole(data, data.number(place + 40, 8, little=True), ASF_HEADER)


def _judge_whole(data: FileBytes, declared: int, header: bytes) -> Structure:
    """Judge the declared size of a file of a type whose files begin with `header`: another may follow, which ffmpeg does not read."""
    if data.at(declared, len(header)) == header:
        return Structure(warnings=joined_unread(data.size - declared, data.size))
    return judge(declared, data.size)


def flv(data: FileBytes) -> Structure:
    """`filesize` of onMetaData, a double (Adobe Flash Video File Format 10.1, E.5)."""
    place = data.at(0, _HEAD_BYTES).find(b"\0\x08filesize\0")
    if place < 0:
        return Structure()
    declared = data.real(place + 11)
    return _judge_whole(data, int(declared), b"FLV\x01") if 0 < declared < 2**63 else Structure()


def ogg(data: FileBytes) -> Structure:
    """Pages that begin a new stream (RFC 3533, 6: flag 2) behind the first ones, in a file with video: ffmpeg reads none of the next."""
    head = data.at(0, _HEAD_BYTES)
    first = head.find(b"OggS\0\0")
    if b"\x80theora" not in head or first < 0:
        return Structure()
    for place in range(first, min(data.size, riff.MAX_SEARCHED), riff.JOINED_STEP):
        found = data.at(place, riff.JOINED_STEP + 5).find(b"OggS\0\x02")
        if found >= 0:
            return Structure(warnings=joined_unread(data.size - place - found, data.size))
    return Structure()


def mxf(data: FileBytes) -> Structure:
    """Place of the footer, in the first partition (SMPTE ST 377-1, 7.1): 0 in a file that was never closed."""
    start = max(data.at(0, _HEAD_BYTES).find(MXF_PARTITION), 0)
    length = data.number(start + 16, 1)
    value = start + 17 + (length & 127 if length > 127 else 0)
    footer = data.number(value + 24, 8)
    return Structure(is_cut=footer >= data.size)


def mp3(data: FileBytes) -> Structure:
    """Bytes of the stream in the header of Xing or LAME, where it has them."""
    tag = id3_bytes(data.at(0, 10))
    head = data.at(tag, 4096)
    place = max(head.find(b"Xing"), head.find(b"Info"))
    flags = int.from_bytes(head[place + 4 : place + 8], "big") if place >= 0 else 0
    if not flags & 2:
        return Structure()
    declared = data.number(tag + place + 8 + 4 * (flags & 1), 4)
    return judge(tag + declared, data.size, declared=declared) if declared else Structure()


_DECLARED: Final[Mapping[str, Callable[[FileBytes], Structure]]] = {
    "mov": mov,
    "matroska": matroska,
    "avi": riff.avi,
    "asf": asf,
    "flv": flv,
    "mxf": mxf,
    "ogg": ogg,
    "mp3": mp3,
}
_AUDIO: Final[Mapping[str, Callable[[FileBytes, float], Structure]]] = {
    "wav": riff.wav,
    "w64": riff.w64,
    "aiff": riff.aiff,
    "au": riff.au,
    "caf": riff.caf,
}
"""Of samples without compression, whose size tells their length."""
