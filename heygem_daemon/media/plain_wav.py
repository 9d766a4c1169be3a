"""Describe a WAV of uncompressed samples from its header, as ffprobe would: most recordings are one, and ffprobe's start costs 50 ms."""

from typing import Any, Final

from heygem_daemon.media.file_bytes import FileBytes
from heygem_daemon.media.riff import Chunk, chunks

Json = dict[str, Any]

_CODECS: Final = {
    (1, 8): "pcm_u8",
    (1, 16): "pcm_s16le",
    (1, 24): "pcm_s24le",
    (1, 32): "pcm_s32le",
    (3, 32): "pcm_f32le",
    (3, 64): "pcm_f64le",
}
"""(wFormatTag, wBitsPerSample) -> codec."""
_FORM_BYTES: Final = (16, 18)
"""Of a `fmt ` chunk without an extension, and with one of no bytes."""
_HZ: Final = range(1_000, 768_001)
_DISGUISES: Final = (
    *(b"\x72\xf8\x1f\x4e", b"\xf8\x72\x4e\x1f"),
    *(b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8"),
)
"""First bytes of a burst of S/PDIF (IEC 61937) and of a DTS frame, in both byte orders: ffmpeg looks for such audio in 16-bit samples."""
_SEARCHED_BYTES: Final = 2**17


def describe_wav(data: FileBytes) -> Json | None:
    """Return what ffprobe reports of a WAV with one or two channels of PCM, as far as it is read here; None where only ffprobe can say.

    Raises TransientError (`io_error`)."""
    if data.at(0, 4) != b"RIFF" or data.at(8, 4) != b"WAVE":
        return None
    found: dict[bytes, Chunk] = {}
    for chunk in chunks(data, 12):
        found.setdefault(chunk.name, chunk)
        if chunk.name == b"data":
            break
    form, audio = found.get(b"fmt "), found.get(b"data")
    if form is None or audio is None or form.size not in _FORM_BYTES or not 0 < audio.size <= data.size - audio.start:
        return None
    return _report(data, form.start, audio)


def _report(data: FileBytes, form: int, audio: Chunk) -> Json | None:
    tag, channels, bits = (data.number(form + place, 2, little=True) for place in (0, 2, 14))
    rate, byte_rate = data.number(form + 4, 4, little=True), data.number(form + 8, 4, little=True)
    block = data.number(form + 12, 2, little=True)
    codec = _CODECS.get((tag, bits))
    is_consistent = block == channels * bits // 8 and byte_rate == rate * block
    if codec is None or channels not in {1, 2} or rate not in _HZ or not is_consistent or _is_disguised(data, audio):
        return None
    samples = audio.size * 8 // (channels * bits)
    described = {
        "index": 0,
        "codec_type": "audio",
        "codec_name": codec,
        "sample_rate": str(rate),
        "channels": channels,
        "time_base": f"1/{rate}",
        "duration": f"{samples / rate:.6f}",
        "disposition": {"default": 0},
    }
    return {"streams": [described], "format": {"duration": described["duration"]}}


def _is_disguised(data: FileBytes, audio: Chunk) -> bool:
    head = data.at(audio.start, min(audio.size, _SEARCHED_BYTES))
    return any(mark in head for mark in _DISGUISES)
