"""What containers made of chunks declare: WAV, RF64, Wave64, AIFF, AU, CAF and AVI.

Sources: Microsoft RIFF (1991); EBU Tech 3306 (RF64); Sony Wave64 (2002); Apple AIFF-C (1991); NeXT/Sun .snd; Apple Core Audio Format 1.0;
OpenDML AVI 1.02.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.media.declared import Structure, is_beyond, joined_read, joined_unread, judge, size_wrong
from heygem_daemon.media.file_bytes import FileBytes
from heygem_daemon.media.id3 import id3_bytes
from heygem_daemon.media.types import GAP_SECONDS

MAX_CHUNKS: Final = 4096
"""Chunks that are looked at; an ordinary file has fewer than twenty."""
SPARE_SECONDS: Final = 0.05
"""s. Up to this much behind the declared end of the audio is not worth reading: padding, or a note of a recorder."""
MAX_RATE: Final = 10**6
"""Hz."""
MAX_INDEX_BYTES: Final = 64 * 2**20
JOINED_STEP: Final = 2**20
MAX_SEARCHED: Final = 2**32
"""Bytes of a file that are searched for the header of another, and how many at a time."""
_TRAILERS: Final = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")
"""What other programs append to a WAV without a chunk."""
_PCM: Final = {16: "s16", 24: "s24", 32: "s32"}
"""Bits -> demuxer of samples without a header."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A chunk: where its content begins, and its size in bytes as declared."""

    name: bytes
    start: int
    size: int

    @property
    def end(self) -> int:
        """The end of the content, padding to an even length included."""
        return self.start + self.size + self.size % 2


def chunks(data: FileBytes, place: int, *, little: bool = True) -> Iterator[Chunk]:
    """Yield the chunks from `place` on, as far as their names are ones (four printable characters)."""
    for _ in range(MAX_CHUNKS):
        name = data.at(place, 4)
        if not re.fullmatch(rb"[ -~]{4}", name):
            return
        chunk = Chunk(name=name, start=place + 8, size=data.number(place + 4, 4, little=little))
        yield chunk
        place = chunk.end


def wav(data: FileBytes, longest: float) -> Structure:
    """longest: s of the longest recording accepted."""
    place = id3_bytes(data.at(0, 10))
    little = data.at(place, 4) != b"RIFX"
    found: dict[bytes, Chunk] = {}
    for chunk in chunks(data, place + 12, little=little):
        found.setdefault(chunk.name, chunk)
        if chunk.name == b"data":
            break
    audio, form, ds64 = found.get(b"data"), found.get(b"fmt "), found.get(b"ds64")
    if audio is None or form is None:
        return Structure()
    size = audio.size
    if ds64 is not None and size == 0xFFFFFFFF:
        size = data.number(ds64.start + 8, 8, little=True)
    rate = max(data.number(form.start + 8, 4, little=little), 1)
    if is_beyond(audio.start + size, data.size):
        whole = judge(audio.start + size, data.size, declared=size, longest=longest * rate)
        return whole if whole.is_cut else _to_the_end(data, audio.start, form, size)
    if size == 0 or _is_audio_behind(data, audio.start + size, rate, little=little):
        return _to_the_end(data, audio.start, form, size)
    appended = _appended_wav(data, audio.start + size)
    if appended is None:
        return Structure()
    if _format(data, appended) == data.at(form.start, form.size):
        return Structure(warnings=joined_read(), options=_IGNORE_LENGTH)
    return Structure(warnings=joined_unread(data.size - appended, data.size))


_IGNORE_LENGTH: Final = {"ignore_length": "1"}


def _to_the_end(data: FileBytes, start: int, form: Chunk, declared: int) -> Structure:
    """Return how a WAV with a wrong size is read: everything behind the beginning of its audio is audio."""
    found = data.size - start
    if found == 0:
        return Structure()
    warnings = size_wrong(declared, found) if declared not in {0, 0xFFFFFFFF} or is_beyond(declared, found) else {}
    for place in range(start, min(data.size, MAX_SEARCHED), JOINED_STEP):
        if _HEADER.search(data.at(place, JOINED_STEP + 16)):
            warnings |= joined_read()
            break
    return Structure(warnings=warnings, options=_IGNORE_LENGTH)


_HEADER: Final = re.compile(rb"RIFF.{4}WAVEfmt ", re.DOTALL)


def _is_audio_behind(data: FileBytes, end: int, rate: int, *, little: bool) -> bool:
    """Return whether what follows the declared end of the audio is more audio: no chunks up to the end of the file, no tag, no text."""
    rest = data.size - end
    if rest <= SPARE_SECONDS * rate or _appended_wav(data, end) is not None:
        return False
    head = data.at(end, 4096)
    is_note = head.lstrip(b"\0").startswith(_TRAILERS) or re.fullmatch(rb"[\t\r\n -~]*\0*", head) is not None
    return not (is_note or _is_chain(data, end, little=little) or _is_chain(data, end + end % 2, little=little))


def _is_chain(data: FileBytes, place: int, *, little: bool) -> bool:
    """Return whether chunks follow one another from `place` to the end of the file."""
    last = place
    for chunk in chunks(data, place, little=little):
        last = chunk.end
        if last >= data.size:
            break
    return last != place and abs(last - data.size) <= 8


def _appended_wav(data: FileBytes, end: int) -> int | None:
    """Return where another WAV begins right behind the audio or behind its chunks."""
    places = [end, end + end % 2, *(chunk.end for chunk in chunks(data, end + end % 2))]
    return next((place for place in places if data.at(place, 4) == b"RIFF" and data.at(place + 8, 4) == b"WAVE"), None)


def _format(data: FileBytes, place: int) -> bytes:
    form = next((chunk for chunk in chunks(data, place + 12) if chunk.name == b"fmt "), None)
    return b"" if form is None else data.at(form.start, form.size)


def avi(data: FileBytes) -> Structure:
    """A RIFF of type AVI, and those of type AVIX behind it in files over 1 GB; zero and the largest number mean an open end."""
    place = 0
    for _ in range(MAX_CHUNKS):
        if data.at(place, 4) != b"RIFF" or data.at(place + 8, 3) != b"AVI" or (place and data.at(place + 8, 4) == b"AVI "):
            break
        size = data.number(place + 4, 4, little=True)
        if size in {0, 0xFFFFFFFF}:
            return Structure()
        found = judge(place + 8 + size, data.size, declared=size)
        if found.is_cut or found.warnings:
            return found
        place += 8 + size + size % 2
    if place and data.at(place, 4) == b"RIFF":
        return Structure(warnings=joined_read(), has_gaps=True)
    if place and is_beyond(data.size, place):
        return Structure(warnings=size_wrong(place, data.size))
    return Structure(has_gaps=_has_gap(data))


def _has_gap(data: FileBytes) -> bool:
    """Return whether an AVI has so many empty frames in a row that its video stands still for longer than a frame is held.

    Its index (idx1) lists name, flags, place and size of every chunk, in 16 bytes."""
    parts = {chunk.name: chunk for chunk in chunks(data, 12)}
    index, header = parts.get(b"idx1"), parts.get(b"LIST")
    if index is None or header is None:
        return False
    entries = np.frombuffer(data.at(index.start, min(index.size, MAX_INDEX_BYTES) // 16 * 16), "<u4").reshape(-1, 4)
    is_video = np.isin(entries[:, 0] >> 16, [int.from_bytes(kind, "little") for kind in (b"dc", b"db")])
    filled = np.flatnonzero(np.concatenate([[True], entries[is_video, 3] > 0, [True]]))
    microseconds = data.number(data.at(0, 512).find(b"avih") + 8, 4, little=True)
    return int(np.diff(filled).max()) * microseconds > GAP_SECONDS * 1e6


def aiff(data: FileBytes, longest: float) -> Structure:
    """See `wav`; the format of the audio is in a COMM chunk."""
    found = {chunk.name: chunk for chunk in chunks(data, id3_bytes(data.at(0, 10)) + 12, little=False)}
    audio, common = found.get(b"SSND"), found.get(b"COMM")
    if audio is None or common is None:
        return Structure()
    channels, bits = data.number(common.start, 2), data.number(common.start + 6, 2)
    rate = _extended(data.at(common.start + 8, 10))
    codec = data.at(common.start + 18, 4) if data.at(8, 4) == b"AIFC" else b"NONE"
    order = {b"NONE": "be", b"twos": "be", b"sowt": "le"}.get(codec)
    start = audio.start + 8 + data.number(audio.start, 4)
    return _pcm(data, start, audio.size - 8, rate=rate, channels=channels, bits=bits, order=order, longest=longest)


def _extended(number: bytes) -> int:
    """Return an 80-bit floating-point number as an integer."""
    exponent = int.from_bytes(number[:2], "big") - 16383 - 63
    mantissa = int.from_bytes(number[2:10], "big")
    return mantissa >> -exponent if -64 < exponent <= 0 else 0


_W64_DATA: Final = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_W64_FORMAT: Final = b"fmt " + _W64_DATA[4:]
_W64_HEADER: Final = 24


def w64(data: FileBytes, longest: float) -> Structure:
    """See `wav`: names of 16 bytes, sizes of 8 that include both and are padded to a multiple of 8."""
    place, form = 40, 0
    for _ in range(MAX_CHUNKS):
        name, size = data.at(place, 16), data.number(place + 16, 8, little=True)
        if name == _W64_DATA:
            break
        if name == _W64_FORMAT:
            form = place + _W64_HEADER
        if size < _W64_HEADER:
            return Structure()
        place += -(-size // 8) * 8
    else:
        return Structure()
    tag, channels = data.number(form, 2, little=True), data.number(form + 2, 2, little=True)
    rate, bits = data.number(form + 4, 4, little=True), data.number(form + 14, 2, little=True)
    order = "le" if tag in {1, 0xFFFE} else None
    start = place + _W64_HEADER
    return _pcm(data, start, size - _W64_HEADER, rate=rate, channels=channels, bits=bits, order=order, longest=longest)


def caf(data: FileBytes, longest: float) -> Structure:
    """See `wav`: sizes of 8 bytes, -1 for an open end; the format of the audio is in the first chunk."""
    place = 8
    for _ in range(MAX_CHUNKS):
        name, size = data.at(place, 4), data.number(place + 4, 8)
        if name == b"data" or len(name) < 4:
            break
        place += 12 + size
    if data.at(place, 4) != b"data" or size == 2**64 - 1:
        return Structure()
    rate = int(data.real(20))
    channels, bits, flags = data.number(44, 4), data.number(48, 4), data.number(32, 4)
    order = ("le" if flags & 2 else "be") if data.at(28, 4) == b"lpcm" and not flags & 1 else None
    return _pcm(data, place + 16, size - 4, rate=rate, channels=channels, bits=bits, order=order, longest=longest)


def _pcm(data: FileBytes, start: int, size: int, *, rate: int, channels: int, bits: int, order: str | None, longest: float) -> Structure:
    """Return the structure of a file whose audio begins at `start` and has `size` bytes by its header.

    order: "le" or "be" for PCM, which is read without its header where that is wrong; None for any other codec.
    """
    byte_rate = rate * channels * -(-bits // 8) if 0 < rate < MAX_RATE else 0
    end, rest = start + size, data.size - start - size
    found = judge(end, data.size, declared=size, longest=longest * byte_rate if byte_rate else None)
    if found.is_cut:
        return found
    if size > 0 and data.at(end + size % 2, 4) == b"FORM":
        return Structure(warnings=joined_unread(rest, data.size))
    is_short = size <= 0 or (rest > max(SPARE_SECONDS * byte_rate, 1) and not _is_chain(data, end + size % 2, little=False))
    if not (is_short or found.warnings) or order is None or bits not in _PCM or not byte_rate:
        return found
    options = {"sample_rate": str(rate), "channels": str(channels), "skip_initial_bytes": str(start)}
    return Structure(warnings=size_wrong(max(size, 0), data.size - start), demuxer=_PCM[bits] + order, options=options)


def au(data: FileBytes, longest: float) -> Structure:
    """Header of NeXT/Sun: offset and size of the audio; the largest number means an open end. ffmpeg reads to the end in any case."""
    start, size = data.number(4, 4), data.number(8, 4)
    if size == 0xFFFFFFFF:
        return Structure()
    byte_rate = data.number(16, 4) * data.number(20, 4)  # of 8 bits, the narrowest
    found = judge(start + size, data.size, declared=size, longest=longest * byte_rate * 8 if byte_rate else None)
    is_short = not found.is_cut and not found.warnings and is_beyond(data.size, start + size)
    return Structure(warnings=size_wrong(size, data.size - start)) if is_short else found
