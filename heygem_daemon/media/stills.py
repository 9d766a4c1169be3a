"""Still images: recognise them by their content, describe them, decode them into a `Frame`.

Pillow decodes in a child process with limits on memory and time (`still_decoder`): neither a hostile file nor a photo of 200 megapixels
can take the process that asks for it along.
"""

import errno
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.file_types import ACCEPTED_VIDEO
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media import commands
from heygem_daemon.media.colours import PRIMARIES, TRANSFERS
from heygem_daemon.media.filters import rgb_of
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.frame import Frame, Plane, YuvSpace
from heygem_daemon.media.run import STALL_SECONDS, capture
from heygem_daemon.media.streams import STILL_RATE
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import BT709, Colour, MediaInfo, MediaLimits, VideoStream

STILL: Final = "still"
"""What stands for the demuxer of a still: ffmpeg opens none."""
LONGEST_SIDE: Final = 1920
"""Pixels; larger photos are scaled down."""
MEMORY_BYTES: Final = 4 * 2**30
"""Address space of the process that decodes. Measured peaks: `still_decoder.PEAK_BYTES_PER_PIXEL`."""
PROCESSOR_SECONDS: Final = 120
"""Processor time of that process; the slowest of 200 megapixels that were measured, a PNG with alpha, took 7 s (HEIC: 5 s)."""
PLAYED_TYPES: Final = frozenset({"GIF", "PNG"})
"""Types whose animations ffmpeg plays; of others the first frame is used."""
WIDE_PRIMARIES: Final = frozenset({"bt2020", "smpte431", "smpte432"})
"""Primaries of which the colours would look dull if they were taken as those of BT.709."""
ORIENTATIONS: Final = {2: (180, True), 3: (180, False), 4: (0, True), 5: (90, True), 6: (90, False), 7: (270, True), 8: (270, False)}
"""EXIF orientation -> the turn and whether it mirrors, as in `filters.TURNS`."""

_MAGIC: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1", b"heif"}
)
"""Major brands of ISO/IEC 23008-12 (HEIF); AV1 images have brands of their own."""
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_BITMAP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Bytes of the second header of a BMP: what tells it from a text that begins with BM."""

HEAD_BYTES: Final = 64


def recognise(head: bytes) -> str | None:
    """Return the type of a still image ("JPEG", "WebP", ...) from the first HEAD_BYTES of a file; None where it is none of these."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return "BMP"
    return _isobmff_image(head) if head[4:8] == b"ftyp" else None


def _isobmff_image(head: bytes) -> str | None:
    """Return the type of an image in an ISO base media file: by the major brand, and by the others where that names only the container."""
    major, size = head[8:12], int.from_bytes(head[:4], "big")
    others = {head[place : place + 4] for place in range(16, min(size, len(head)) - 3, 4)}
    if major in _AVIF_BRANDS or (major in _HEIF_BRANDS and others & _AVIF_BRANDS):
        return "AVIF"
    return "HEIF" if major in _HEIF_BRANDS else None


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    """What `still_decoder.Decoded` says, and the pixels: uint8 [h, w, 3], red first."""

    stored: tuple[int, int]
    orientation: int
    is_animated: bool
    is_transparent: bool
    source_colour: Colour
    pixels: Plane

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pixels."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[0])


def describe(path: Path, still_type: str, *, size: int, limits: MediaLimits) -> MediaInfo | None:
    """Return what the still at `path` is, of a type that `recognise` named; None for an animation that ffmpeg plays as a video.

    All of it is decoded, so that a photo whose end is missing is refused before the work on it begins. Raises InputError:
    video_truncated, video_too_large, still_too_costly, still_undecodable, unsupported_type, and what `run.capture` raises, also
    `file_too_costly` after five times `limits.probe_seconds`; TransientError (`io_error`) where it cannot be read.
    """
    decoded = _decode(path, still_type, megapixels=limits.still_megapixels, seconds=limits.probe_seconds * 5)
    if decoded.is_animated and still_type in PLAYED_TYPES:
        return None
    return MediaInfo(
        path=path,
        demuxer=STILL,
        size=size,
        streams=1,
        video=_video_stream(decoded, still_type),
        audio=None,
        warnings=_warnings(decoded, path, still_type),
    )


def read(info: MediaInfo) -> Frame:
    """Return the frame of the still that `describe` described. Raises as that does; `io_error` too where the file has changed since."""
    video = info.video
    if video is None or not video.is_still:
        raise ValueError(f"{info.path.name} is no still")
    decoded = _decode(info.path, video.codec, background=video.background)
    if decoded.stored != (video.coded_width, video.coded_height):
        raise error("io_error", problem=f"{display_name(info.path)} has changed while it was used")
    space = YuvSpace(matrix="bt709", full_range=False)
    return Frame.from_bgr(_to_bt709(decoded)[:, :, ::-1], index=0, space=space)


def _decode(
    path: Path, still_type: str, *, megapixels: float = 1e6, seconds: float = STALL_SECONDS, background: str = "#000000"
) -> _Decoded:
    task = {
        "type": still_type,
        "megapixels": megapixels,
        "longest": LONGEST_SIDE,
        "memory": MEMORY_BYTES,
        "seconds": PROCESSOR_SECONDS,
        "background": rgb_of(background),
    }
    answer = capture(commands.decode_still(path, task), seconds=seconds, path=path, limited=True)
    line, _, pixels = answer.stdout.partition(b"\n")
    if answer.code != 0 or not line:
        raise _death(answer, path, still_type)
    report: Mapping[str, Any] = json.loads(line)
    if "problem" in report:
        raise _refusal(report, path, still_type, megapixels)
    width, height = report["size"]
    return _Decoded(
        stored=(report["width"], report["height"]),
        orientation=report["orientation"],
        is_animated=report["is_animated"],
        is_transparent=report["is_transparent"],
        source_colour=_colour(report["codes"]),
        pixels=np.frombuffer(pixels, np.uint8).reshape(height, width, 3),
    )


def _colour(codes: list[int] | None) -> Colour:
    """Return the colour of the pixels; without codes they are sRGB."""
    primaries, transfer = codes or (PRIMARIES["bt709"], TRANSFERS["iec61966-2-1"])
    return Colour(primaries=_name_of(primaries, PRIMARIES), transfer=_name_of(transfer, TRANSFERS), matrix="gbr", full_range=True)


def _name_of(number: int, table: Mapping[str, int]) -> str | None:
    return next((name for name, code in table.items() if code == number), None)


def _video_stream(decoded: _Decoded, still_type: str) -> VideoStream:
    width, height = decoded.size
    rotation, is_mirrored = ORIENTATIONS.get(decoded.orientation, (0, False))
    return VideoStream(
        width=width + width % 2,
        height=height + height % 2,
        frame_rate=STILL_RATE,
        frames=1,
        seconds=float(1 / STILL_RATE),
        codec=still_type,
        pixel_format="rgb24",
        rotation=rotation,
        is_mirrored=is_mirrored,
        is_still=True,
        colour=BT709,
        source_colour=decoded.source_colour,
        coded_width=decoded.stored[0],
        coded_height=decoded.stored[1],
    )


def _warnings(decoded: _Decoded, path: Path, still_type: str) -> dict[str, str]:
    warnings: dict[str, str] = {}
    if decoded.source_colour.is_hdr:
        warnings[WarningCode.HDR_TONE_MAPPED] = ""
    if decoded.is_transparent:
        warnings[WarningCode.TRANSPARENCY_LOST] = ""
    if decoded.is_animated:
        warnings[WarningCode.ANIMATION_NOT_PLAYED] = f"{display_name(path)} is {words(still_type)} of several frames."
    return warnings


def _to_bt709(decoded: _Decoded) -> Plane:
    """Return the pixels with the primaries of BT.709: HDR is tone-mapped, as that of videos."""
    source, pixels = decoded.source_colour, decoded.pixels
    if not source.is_hdr and source.primaries not in WIDE_PRIMARIES:
        return pixels
    answer = capture(commands.convert_still(decoded.size, source), seconds=STALL_SECONDS, stdin=pixels.tobytes())
    if answer.code != 0 or len(answer.stdout) != pixels.size:
        raise error("io_error", problem=answer.last_error_line)
    return np.frombuffer(answer.stdout, np.uint8).reshape(pixels.shape)


def words(still_type: str) -> str:
    """Return "a JPEG image", "an AVIF image"; a HEIF is called HEIC, as phones call it."""
    return {"AVIF": "an AVIF image", "HEIF": "a HEIC image"}.get(still_type, f"a {still_type} image")


def _refusal(report: Mapping[str, Any], path: Path, still_type: str, megapixels: float) -> HeygemError:
    """Return the error for what the decoder refused."""
    name, problem = display_name(path), report["problem"]
    if problem in {"short", "io"}:
        return _machine_problem(report, name)
    if problem == "truncated":
        return error("video_truncated", name=name)
    if problem == "too_large":
        return error("video_too_large", name=name, width=report["width"], height=report["height"], limit=f"{megapixels:g}")
    if problem == "too_costly":
        return error("still_too_costly", name=name, what=words(still_type), memory=MEMORY_BYTES / 2**30, seconds=PROCESSOR_SECONDS)
    if problem == "raw_photo":
        return error("unsupported_type", name=name, what="a raw photo of a camera", extensions=ACCEPTED_VIDEO)
    return error("still_undecodable", name=name, what=words(still_type), problem=report["reason"] or "it is damaged")


def _machine_problem(report: Mapping[str, Any], name: str) -> HeygemError:
    """Return the error for what kept the decoder from its work."""
    if report["problem"] == "io":
        return error("io_error", problem=f"{name}: {report['reason']}")
    return error("server_short", program="the decoder of stills", problem=os.strerror(errno.ENOMEM))


def _death(answer: Completed, path: Path, still_type: str) -> HeygemError:
    """Return the error for a decoder that ended without an answer: by its own limits, or as it could not begin."""
    name = display_name(path)
    if answer.code in {-signal.SIGXCPU, -signal.SIGABRT}:
        return error("still_too_costly", name=name, what=words(still_type), memory=MEMORY_BYTES / 2**30, seconds=PROCESSOR_SECONDS)
    return error("io_error", problem=f"the decoder of {name} ended: {answer.last_error_line}")
