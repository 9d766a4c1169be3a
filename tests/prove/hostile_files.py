"""Hostile files, made by code from proper ones: cut, with flipped bits, with lies in their headers, bombs, and texts that name other files.

Everything is deterministic. Texts name the secret file and the listening address of `Bait`, neither of which may ever be touched.
"""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.prove.hostile_seeds import RECORDINGS, VIDEOS

CUTS: Final = (1, 11, 40, 0.05, 0.3, 0.7, 0.97)
"""Where files are cut: bytes, or fractions of their length."""
HEAD: Final = 3000
"""Bytes of a file that count as its header."""
WORDS: Final = (0xFFFFFFFF, 0x7FFFFFFF, 0x00000000, 0x80000001)


@dataclass(frozen=True, kw_only=True)
class Bait:
    """What a hostile file would like: a file with a secret, outside the drop, and a port on which somebody listens."""

    secret: Path
    port: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file to be dropped. name: with the suffix that it pretends to have; is_video: whether it lies in videos/, or is the recording."""

    name: str
    content: bytes
    is_video: bool
    family: str


def cases(seeds: dict[str, bytes], bait: Bait) -> list[Case]:
    """Return all cases; the same ones every time, but for the bait."""
    return [*_mutations(seeds), *lies(seeds), *bombs(seeds), *texts(seeds, bait)]


def _mutations(seeds: dict[str, bytes]) -> Iterator[Case]:
    for name, data in seeds.items():
        is_video, suffix, order = name in VIDEOS, name.rpartition(".")[2], random.Random(name)

        def case(kind: str, content: bytes, is_video: bool = is_video, suffix: str = suffix, name: str = name) -> Case:
            return Case(name=f"{name}-{kind}.{suffix}", content=content, is_video=is_video, family=kind.partition("-")[0])

        for cut in CUTS:
            yield case(f"cut-{cut}", data[: cut if isinstance(cut, int) else int(cut * len(data))])
        for turn in range(3):
            yield case(f"header_bits-{turn}", _flipped(data, order, 0, min(HEAD, len(data)), 6))
        yield case("payload_bits", _flipped(data, order, len(data) // 4, len(data), 60))
        yield case("end_bits", _flipped(data, order, max(len(data) - HEAD, 0), len(data), 12))
        for turn, word in enumerate(WORDS):
            yield case(f"words-{turn}", _with_words(data, order, word))
        yield case("repeated", data + data)
        yield case("zeros", data[: len(data) // 2] + bytes(len(data) // 2))


def _flipped(data: bytes, order: random.Random, begin: int, end: int, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[order.randrange(begin, end)] ^= 1 << order.randrange(8)
    return bytes(changed)


def _with_words(data: bytes, order: random.Random, word: int) -> bytes:
    """Put a number at four places of the header: sizes, counts and offsets stand there."""
    changed = bytearray(data)
    for _ in range(4):
        place = order.randrange(4, max(min(HEAD, len(data)) - 4, 5))
        changed[place : place + 4] = word.to_bytes(4, order.choice(["big", "little"]))
    return bytes(changed)


# -- lies ---------------------------------------------------------------------------------------------------------------


def _patched(data: bytes, mark: bytes, offset: int, value: bytes, *, last: bool = False) -> bytes:
    """Return the data with `value` at `offset` behind the first (or last) `mark`."""
    place = (data.rindex(mark) if last else data.index(mark)) + len(mark) + offset
    return data[:place] + value + data[place + len(value) :]


def _before(data: bytes, mark: bytes, value: int) -> bytes:
    """Return the data with another size of the box `mark`."""
    place = data.index(mark) - 4
    return data[:place] + value.to_bytes(4, "big") + data[place + 4 :]


def lies(seeds: dict[str, bytes]) -> Iterator[Case]:
    """Yield files whose headers declare what is not there."""
    mp4, fast, wav, mkv, gif, png, bmp = (seeds[each] for each in ("mp4", "fast.mp4", "wav", "mkv", "gif", "png", "bmp"))
    most = b"\xff\xff\xff\xff"
    declared = {
        "moov_1gb": _before(mp4, b"moov", 2**30),
        "moov_zero": _before(fast, b"moov", 0),
        "mdat_all": _before(mp4, b"mdat", 2**32 - 1),
        "stts_count": _patched(mp4, b"stts", 4, b"\x7f\xff\xff\xff"),
        "stts_delta": _patched(mp4, b"stts", 12, most),
        "stsc_count": _patched(mp4, b"stsc", 4, b"\x7f\xff\xff\xff"),
        "stsc_samples": _patched(mp4, b"stsc", 12, most),
        "stsz_count": _patched(mp4, b"stsz", 8, b"\x7f\xff\xff\xff"),
        "stsz_size": _patched(mp4, b"stsz", 4, most),
        "stco_count": _patched(mp4, b"stco", 4, b"\x7f\xff\xff\xff"),
        "stco_far": _patched(mp4, b"stco", 8, most),
        "ctts_count": _patched(mp4 if b"ctts" in mp4 else mp4 + b"ctts" + bytes(16), b"ctts", 4, b"\x7f\xff\xff\xff"),
        "edit_hours": _patched(mp4, b"elst", 8, b"\x7f\xff\xff\xff"),
        "edit_media_time": _patched(mp4, b"elst", 12, b"\x7f\xff\xff\xff"),
        "edit_count": _patched(mp4, b"elst", 4, b"\x7f\xff\xff\xff"),
        "duration_max": _patched(_patched(mp4, b"mvhd", 16, most), b"mdhd", 16, most),
        "timescale_zero": _patched(_patched(mp4, b"mvhd", 12, bytes(4)), b"mdhd", 12, bytes(4)),
        "timescale_max": _patched(mp4, b"mdhd", 12, most),
        "matrix": _patched(mp4, b"tkhd", 40, most * 6),
        "tkhd_65535": _patched(mp4, b"tkhd", 76, b"\xff\xff\xff\xff" * 2),
        "avc1_65535": _patched(mp4, b"avc1", 24, most, last=True),
        "avc1_zero": _patched(mp4, b"avc1", 24, bytes(4), last=True),
        "avcc": _patched(mp4, b"avcC", 0, b"\xff" * 20),
        "esds": _patched(mp4, b"esds", 0, b"\xff" * 20),
        "brands": b"\0\0\0\x18ftyp" + b"qt  " * 4 + mp4[24:],
        "moov_twice": mp4 + mp4[mp4.index(b"moov") - 4 :],
        "nested_boxes": mp4[: mp4.index(b"moov") - 4] + _nested(b"moov", 10_000),
        "nested_udta": mp4 + _nested(b"udta", 3_000),
        "tags_10mb": mp4[: mp4.index(b"moov") - 4] + _box(b"moov", _box(b"udta", b"\x1b[2J\x07\0" * 2_500_000)),
        "tracks_1000": _box(b"ftyp", b"isom\0\0\2\0isom") + _box(b"moov", _boxed(mp4, b"mvhd") + _boxed(mp4, b"trak") * 1000),
        "tracks_10000": _box(b"ftyp", b"isom\0\0\2\0isom") + _box(b"moov", _boxed(mp4, b"mvhd") + _boxed(mp4, b"trak") * 10_000),
        "mkv_tracks": _many_tracks(mkv),
        "pssh": mp4[: mp4.index(b"moov") - 4] + _box(b"pssh", bytes(28)) + mp4[mp4.index(b"moov") - 4 :],
        "64_bit_size": b"\0\0\0\x01mdat" + (2**63 - 1).to_bytes(8, "big") + mp4,
        "protected": mp4.replace(b"avc1", b"encv"),
        "time_code": _patched(mp4, b"hdlr", 8, b"tmcd"),
        "mkv_width": _patched(mkv, b"\xb0\x81", 0, b"\xff") if b"\xb0\x81" in mkv else mkv[:200] + b"\xff" + mkv[201:],
        "mkv_unknown_sizes": _unknown_sizes(mkv),
        "mkv_nested": mkv[:40] + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" * 5000,
        "mkv_time": _patched(mkv, b"\x2a\xd7\xb1", 1, b"\xff\xff\xff"),
        "mkv_lacing": mkv.replace(b"\xa3", b"\xa3\x81", 3),
        "gif_65535": gif[:6] + most + gif[10:],
        "gif_zero": gif[:6] + bytes(4) + gif[10:],
        "gif_one_pixel": gif[:6] + b"\x01\0\x01\0" + gif[10:],
        "gif_delay": gif.replace(b"\x21\xf9\x04", b"\x21\xf9\x04\xff\xff\xff"),
        "png_65535": _png_header(png, 65535, 65535),
        "png_31_bits": _png_header(png, 2**31 - 1, 2**31 - 1),
        "png_zero": _png_header(png, 0, 0),
        "bmp_negative": bmp[:18] + struct.pack("<ii", -(2**31), -(2**31)) + bmp[26:],
        "bmp_65535": bmp[:18] + struct.pack("<ii", 65535, 65535) + bmp[26:],
        "jpg_65535": _jpeg_size(seeds["jpg"], 65535, 65535),
        "tiff_loop": b"II*\0\x08\0\0\0" + b"\x01\0" + struct.pack("<HHII", 256, 4, 1, 65535) + b"\x08\0\0\0",
        "webp_size": seeds["webp"][:4] + most + seeds["webp"][8:],
        "apng_frames": _patched(seeds["apng"], b"acTL", 0, most),
        "avi_header": _patched(seeds["avi"], b"avih", 4, bytes(4) + most * 8),
        "avi_rate": _patched(seeds["avi"], b"strh", 24, bytes(4) + most),
        "flv_tag": seeds["flv"][:13] + b"\x12\xff\xff\xff" + seeds["flv"][17:],
        "ts_pids": bytes(seeds["ts"][i] if i % 188 != 2 else (i * 7) % 256 for i in range(len(seeds["ts"]))),
        "mxf_klv": seeds["mxf"][:16] + b"\x88" + b"\xff" * 8 + seeds["mxf"][25:],
        "wmv_packets": seeds["wmv"][:200] + most * 10 + seeds["wmv"][240:],
    }
    for name, content in declared.items():
        suffix = name.partition("_")[0] if name.partition("_")[0] in VIDEOS else "mp4"
        yield Case(name=f"lie-{name}.{suffix}", content=content, is_video=True, family="lies")
    sounding = {
        "wav_rate_zero": wav[:24] + bytes(4) + wav[28:],
        "wav_rate_one": wav[:24] + b"\x01\0\0\0" + wav[28:],
        "wav_zeros": wav[:44] + bytes(len(wav) - 44),
        "wav_rate_max": wav[:24] + most + wav[28:],
        "wav_channels_zero": wav[:22] + bytes(2) + wav[24:],
        "wav_channels_255": wav[:22] + b"\xff\0" + wav[24:],
        "wav_channels_max": wav[:22] + b"\xff\xff" + wav[24:],
        "wav_bits_zero": wav[:34] + bytes(2) + wav[36:],
        "wav_bits_max": wav[:34] + b"\xff\xff" + wav[36:],
        "wav_block_zero": wav[:32] + bytes(2) + wav[34:],
        "wav_data_max": _patched(wav, b"data", 0, most),
        "wav_data_zero": _patched(wav, b"data", 0, bytes(4)),
        "wav_riff_zero": wav[:4] + bytes(4) + wav[8:],
        "wav_format": wav[:20] + b"\xfe\xff" + wav[22:],
        "wav_list": wav[:12] + b"LIST" + (2**31).to_bytes(4, "little") + wav[12:],
        "wav_chunks": wav[:12] + b"junk\0\0\0\0" * 200_000 + wav[12:],
        "rf64_sizes": seeds["rf64.wav"].replace(b"ds64", b"ds64\x1c\0\0\0" + b"\xff" * 24, 1),
        "w64_size": seeds["w64"][:16] + b"\xff" * 8 + seeds["w64"][24:],
        "aiff_rate": _patched(seeds["aiff"], b"COMM", 12, b"\xff" * 10),
        "aiff_frames": _patched(seeds["aiff"], b"COMM", 6, most),
        "au_rate": seeds["au"][:16] + most + seeds["au"][20:],
        "au_channels": seeds["au"][:20] + most + seeds["au"][24:],
        "caf_rate": _patched(seeds["caf"], b"desc", 8, b"\x7f\xef\xff\xff\xff\xff\xff\xff"),
        "flac_samples": seeds["flac"][:21] + b"\xff" * 5 + seeds["flac"][26:],
        "flac_rate": seeds["flac"][:18] + bytes(3) + seeds["flac"][21:],
        "mp3_id3_250mb": b"ID3\x04\0\0\x77\x35\x14\0" + seeds["mp3"],
        "mp3_id3_chain": b"ID3\x04\0\0\0\0\0\0" * 50_000 + seeds["mp3"],
        "mp3_xing": seeds["mp3"].replace(b"Xing", b"Xing" + most * 4).replace(b"Info", b"Info" + most * 4),
        "ogg_granule": b"OggS\0\x02" + b"\xff" * 8 + seeds["ogg"][14:],
        "ogg_page": seeds["ogg"][:26] + b"\xff" * 200 + seeds["ogg"][226:],
        "opus_gain": _patched(seeds["opus"], b"OpusHead", 0, b"\x01\xff\xff\xff" + most),
        "m4a_rate": _patched(seeds["m4a"], b"mp4a", 20, most, last=True),
        "m4a_channels": _patched(seeds["m4a"], b"mp4a", 16, b"\xff\xff", last=True),
        "aac_frames": b"\xff\xf1\x50\x80\xff\xff\xfc" * 5000,
        "ac3_frames": b"\x0b\x77\xff\xff\xff\xff\xff" * 5000,
    }
    for name, content in sounding.items():
        suffix = name.partition("_")[0]
        yield Case(name=f"lie-{name}.{'wav' if suffix == 'rf64' else suffix}", content=content, is_video=False, family="lies")


def _box(name: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + name + content


def _boxed(data: bytes, name: bytes) -> bytes:
    """Return the first box of this name."""
    place = data.index(name) - 4
    return data[place : place + int.from_bytes(data[place : place + 4], "big")]


def _nested(name: bytes, depth: int) -> bytes:
    return b"".join((8 * level).to_bytes(4, "big") + name for level in range(depth, 0, -1))


def _many_tracks(mkv: bytes) -> bytes:
    """Return Matroska with 5000 empty tracks in front of its own."""
    place = mkv.index(b"\x16\x54\xae\x6b")
    track = b"\xae\x88\xd7\x81\x01\x83\x81\x01\x86\x80"
    return mkv[:place] + b"\x16\x54\xae\x6b\x10" + (len(track) * 5000).to_bytes(3, "big") + track * 5000 + mkv[place:]


def _unknown_sizes(mkv: bytes) -> bytes:
    """Return Matroska whose clusters have no sizes."""
    return mkv.replace(b"\x1f\x43\xb6\x75", b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png_header(png: bytes, width: int, height: int) -> bytes:
    return png[:8] + _chunk(b"IHDR", struct.pack(">II", width, height) + png[24:29]) + png[33:]


def _jpeg_size(jpeg: bytes, width: int, height: int) -> bytes:
    return _patched(jpeg, b"\xff\xc0", 3, struct.pack(">HH", height, width))


# -- bombs --------------------------------------------------------------------------------------------------------------


def bombs(seeds: dict[str, bytes]) -> Iterator[Case]:
    """Yield small files that become large ones."""
    png, mp4 = seeds["png"], seeds["mp4"]
    head = _png_header(png, 15_000, 15_000)[:33]
    flat = zlib.compress(bytes(64 * 2**20), 9)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("video.mp4", bytes(32 * 2**20))
    made = {
        "png_idat.png": head + _chunk(b"IDAT", flat) + _chunk(b"IEND", b""),
        "png_idat_many.png": head + _chunk(b"IDAT", flat) * 8 + _chunk(b"IEND", b""),
        "png_ztxt.png": png[:33] + _chunk(b"zTXt", b"Comment\0\0" + flat) * 40 + png[33:],
        "png_iccp.png": png[:33] + _chunk(b"iCCP", b"profile\0\0" + flat) + png[33:],
        "png_chunks.png": png[:33] + _chunk(b"tEXt", b"a\0b") * 100_000 + png[33:],
        "apng_size.png": _png_header(seeds["apng"], 10_000, 4_000),
        "zip.mp4": packed.getvalue(),
        "zip_polyglot.mp4": mp4 + packed.getvalue(),
        "zip_first.mp4": packed.getvalue() + mp4,
        "gzip.mp4": zlib.compress(bytes(32 * 2**20), 9),
        "gif_frames.gif": seeds["gif"][:-1] + _gif_frames(seeds["gif"], 3000) + b";",
        "zeros.mp4": bytes(8 * 2**20),
        "ones.mkv": b"\xff" * (8 * 2**20),
        "noise.avi": random.Random(1).randbytes(2 * 2**20),
        "mpeg_starts.mpg": b"\0\0\1\xb3\xff\xff\xff\xff" * 200_000,
        "adts.ts": b"\x47\x40\0\x10" * 300_000,
        "boxes.mp4": _box(b"ftyp", b"isom\0\0\2\0isom") + _box(b"free", b"") * 500_000,
        "ebml.mkv": seeds["mkv"][:40] + b"\xec\x80" * 1_000_000,
        "riff.avi": b"RIFF\xff\xff\xff\x7fAVI " + b"JUNK\0\0\0\0" * 300_000,
    }
    for name, content in made.items():
        yield Case(name=f"bomb-{name}", content=content, is_video=True, family="bombs")
    yield Case(name="bomb-silence.flac", content=seeds["flac"][:86] + bytes(4 * 2**20), is_video=False, family="bombs")
    yield Case(name="bomb-chunks.wav", content=seeds["wav"][:12] + b"LIST\0\0\0\0" * 1_000_000, is_video=False, family="bombs")
    yield Case(name="bomb-forms.aiff", content=b"FORM\x7f\xff\xff\xffAIFF" + b"COMM\0\0\0\0" * 300_000, is_video=False, family="bombs")
    yield Case(name="bomb-pages.ogg", content=b"OggS" + bytes(23) * 200_000, is_video=False, family="bombs")


def _gif_frames(gif: bytes, count: int) -> bytes:
    """Return one more tiny image, so many times: 1 x 1 pixels, each shown for ten minutes."""
    return b"\x21\xf9\x04\x00\xff\xff\x00\x00\x2c\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0" * count


# -- texts that name other files ------------------------------------------------------------------------------------------


def texts(seeds: dict[str, bytes], bait: Bait) -> Iterator[Case]:
    """Yield playlists, scripts and references to files and servers, with the names and the first bytes of videos and recordings."""
    secret, http = str(bait.secret), f"http://127.0.0.1:{bait.port}/x"
    urls = (
        http,
        f"file://{secret}",
        secret,
        f"tcp://127.0.0.1:{bait.port}",
        f"rtmp://127.0.0.1:{bait.port}/a/b",
        f"udp://127.0.0.1:{bait.port}",
    )
    pages = {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n" + "".join(f"#EXTINF:9,\n{url}\n" for url in urls) + "#EXT-X-ENDLIST\n",
        "hls_key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{http}"\n#EXT-X-MAP:URI="file://{secret}"\n#EXTINF:9,\n{secret}\n',
        "hls_master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{http}\n",
        "hls_concat": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\nconcat:{http}|file://{secret}\n#EXT-X-ENDLIST\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation id="1">'
        f"<BaseURL>{http}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "xml_entity": f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file://{secret}">]><MPD>&b;</MPD>',
        "ffconcat": f"ffconcat version 1.0\nfile '{secret}'\nfile '{http}'\n",
        "concat": f"file '{secret}'\nfile '{http}'\n",
        "metadata": f";FFMETADATA1\ntitle={secret}\n[CHAPTER]\nSTART=0\nEND=1\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {bait.port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "asx": f'<asx version="3.0"><entry><ref href="{http}"/></entry></asx>',
        "pls": f"[playlist]\nFile1={http}\nFile2={secret}\n",
        "ram": f"{http}\n",
        "quicktime_text": f"RTSPtext\r{http}\r",
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file://{secret}"/><image href="{http}"/></svg>',
        "html": f'<html><video src="{http}"></video><iframe src="file://{secret}"></iframe></html>',
        "pdf": f"%PDF-1.4\n1 0 obj<</URI({http})>>endobj\n%%EOF\n",
        "postscript": f"%!PS-Adobe-3.0 EPSF-3.0\n({secret}) run\n",
        "mvg": f"push graphic-context\nviewbox 0 0 640 480\nimage over 0,0 0,0 '{http}'\npop graphic-context\n",
        "ass": f"[Script Info]\n[V4+ Styles]\n[Events]\nDialogue: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,{secret}\n",
        "srt": f"1\n00:00:00,000 --> 00:00:09,000\n{secret}\n",
        "vobsub": f"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n{secret}\n",
        "avisynth": f'AviSource("{secret}")\n',
        "image_pattern": "%d.png",
        "imf": f'<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2013"><Id>{http}</Id></CompositionPlaylist>',
        "escape": "\x1b]0;owned\x07\x1b[31m\u202e" * 40,
    }
    for name, page in pages.items():
        for suffix, is_video in (("mp4", True), ("wav", False), ("gif" if name in {"svg", "mvg"} else "m3u8", True)):
            yield Case(name=f"text-{name}.{suffix}", content=page.encode(), is_video=is_video, family="texts")
    mp4, mkv = seeds["mp4"], seeds["mkv"]
    reference = _box(b"dref", bytes(4) + b"\0\0\0\1" + _box(b"url ", bytes(4) + http.encode() + b"\0"))
    alias = _box(b"dref", bytes(4) + b"\0\0\0\1" + _box(b"alis", bytes(4) + bytes(150) + secret.encode() + b"\0"))
    movie = _box(b"rmra", _box(b"rmda", _box(b"rdrf", bytes(4) + b"url " + len(http).to_bytes(4, "big") + http.encode())))
    made = {
        "dref_url.mp4": _replaced(mp4, b"dref", reference),
        "dref_alias.mov": _replaced(mp4, b"dref", alias),
        "reference_movie.mov": _box(b"ftyp", b"qt  \0\0\2\0qt  ") + _box(b"moov", movie),
        "playlist_behind.mp4": mp4 + pages["hls"].encode(),
        "playlist_before.mp4": pages["hls"].encode() + mp4,
        "concat_before.mkv": pages["ffconcat"].encode() + mkv,
        "attachment.mkv": mkv + b"\x19\x41\xa4\x69\x42\x00\x61\xa7\x41\xfd" + secret.encode().ljust(509, b"\0"),
        "byte_order_mark.mp4": b"\xef\xbb\xbf" + pages["hls"].encode(),
        "utf16.mp4": pages["hls"].encode("utf-16"),
    }
    for name, content in made.items():
        yield Case(name=f"text-{name}", content=content, is_video=True, family="texts")


def _replaced(data: bytes, name: bytes, box: bytes) -> bytes:
    """Return the data with the first box of this name replaced, and the sizes of the boxes around it kept wrong."""
    return data.replace(_boxed(data, name), box, 1)


__all__ = ["RECORDINGS", "Bait", "Case", "cases"]
