"""Decode one still image into upright 8-bit sRGB of a bounded size, in a process of its own with limits on memory and time.

    python -P -m heygem_daemon.media.still_decoder PATH TASK

TASK is JSON, the fields of `Task`. It prints one line of JSON: what the image is (`Decoded`), then its pixels (uint8 [h, w, 3], red
first); or {"problem": ...}, one of `Refused`, or "short" where the machine lacks memory. Nothing but Pillow and pi-heif is imported: it
answers a small file in 0.15 s.
"""

import errno
import importlib
import json
import mmap
import os
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, BinaryIO, Final

from PIL import Image, ImageCms, UnidentifiedImageError

from heygem_daemon.media.formats import is_descriptor
from heygem_daemon.media.still_containers import colour_codes, is_animated_heif, is_raw_photo, is_truncated, wavelet_levels

PLUGINS: Final = {
    "JPEG": ("JpegImagePlugin", ("JPEG", "MPO")),
    "PNG": ("PngImagePlugin", ("PNG",)),
    "WebP": ("WebPImagePlugin", ("WEBP",)),
    "AVIF": ("AvifImagePlugin", ("AVIF",)),
    "GIF": ("GifImagePlugin", ("GIF",)),
    "BMP": ("BmpImagePlugin", ("BMP",)),
    "TIFF": ("TiffImagePlugin", ("TIFF",)),
    "JPEG 2000": ("Jpeg2KImagePlugin", ("JPEG2000",)),
}
"""Type -> the module of Pillow that reads it, and its names there. HEIF is read by pi-heif."""
PEAK_BYTES_PER_PIXEL: Final = {"JPEG": 12, "PNG": 6, "WebP": 17, "AVIF": 17, "HEIF": 13, "GIF": 6, "BMP": 5, "TIFF": 9, "JPEG 2000": 17}
"""Address space reckoned for each pixel decoded, in bytes: the peaks measured on RGB images of 48 to 200 megapixels (Pillow 13, libheif
1.23), with a margin for CMYK, 16 bits and 4:4:4, which were not measured."""
THREADS: Final = 2
"""Threads of AV1 and HEVC decoders: every thread reserves address space, which the limit counts."""
TEXT_BYTES: Final = 64 * 2**20
"""Bytes of text in a PNG: image generators write their whole workflow into it, more than the megabyte that Pillow allows."""
STRIP_PIXELS: Final = 4_000_000
"""Pixels that are converted at a time: a copy of the whole image would double the peak."""
OVERSAMPLING: Final = 2
"""How many times larger than the result the image is before the last, good filter; what is above that is averaged first."""
OPAQUE_ALPHA: Final = 250
"""Codes of alpha from which a pixel counts as opaque: some writers round 255 down."""
NO_PLACE: Final = frozenset({errno.EINVAL, errno.EOVERFLOW, errno.ERANGE})
"""Error numbers of a read at a place that no file has, as a damaged header names it."""
LEAST_BYTES: Final = 256 * 2**20
MARGIN_BYTES: Final = 128 * 2**20
"""Bytes without which decoders fail in ways of their own; of the memory that is allowed, what may be left in pieces."""
ORIENTATION_TAG: Final = 0x0112
BITS_TAG: Final = 258

TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF 2.3, tag 0x0112, to what makes the image upright."""
_EIGHT_BIT: Final = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "HSV": "RGB", "YCbCr": "RGB"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to decode, and how much that may cost.

    type: as `stills.recognise` names it; megapixels: the largest image; longest: pixels of the longest side of the result; memory: bytes of
    address space; seconds: of processor time; background: red, green, blue under what is transparent.
    """

    type: str
    megapixels: float
    longest: int
    memory: int
    seconds: int
    background: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """width, height: in pixels, as stored; size: of the result; orientation: EXIF 1-8, already applied; is_transparent: some pixel is;
    codes: colour primaries and transfer of ITU-T H.273 where the pixels still have them, because no ICC profile says more."""

    width: int
    height: int
    size: tuple[int, int]
    orientation: int
    mode: str
    is_animated: bool
    is_transparent: bool
    has_profile: bool
    codes: tuple[int, int] | None


class Refused(Exception):  # noqa: N818 (it is the answer, not a fault of ours)
    """The image is not decoded: `problem` is truncated, too_large, too_costly, raw_photo, undecodable or io."""

    def __init__(self, problem: str, **fields: object) -> None:
        super().__init__(problem)
        self.answer = {"problem": problem, **fields}


@dataclass(frozen=True, kw_only=True)
class _Source:
    """An opened image. strip: returns the rows top..bottom-1; it decodes the image the first time."""

    size: tuple[int, int]
    stored: tuple[int, int]
    mode: str
    orientation: int
    is_animated: bool
    profile: bytes
    strip: Callable[[int, int], Image.Image]
    full_scale: float = 255.0


def fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return the size of an image scaled down to `longest` pixels on its longest side: even then, and unchanged where it is smaller."""
    side = max(size)
    if side <= longest:
        return size
    width, height = (max(round(length * longest / side / 2) * 2, 2) for length in size)
    return width, height


def decode(path: str, task: Task) -> tuple[Decoded, Image.Image]:
    """Return what the image at `path` is, and its pixels (RGB). Raises Refused, MemoryError, OSError, and whatever a damaged file makes of
    Pillow."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if is_descriptor(path) else os.O_NOFOLLOW))
    with os.fdopen(descriptor, "rb") as file:
        if is_truncated(file, task.type):
            raise Refused("truncated")
        if task.type == "TIFF" and is_raw_photo(file):
            raise Refused("raw_photo")
        codes = colour_codes(file, task.type)
        source = _open_heif(file, task) if task.type == "HEIF" else _open(file, task)
        small, is_transparent = _scaled(source, fit(source.stored, task.longest))
    is_hdr = codes is not None and codes[1] in {16, 18}
    has_profile = bool(source.profile) and not is_hdr
    rgb = _to_rgb(small, b"" if is_hdr else source.profile)
    if source.orientation in TURNS:
        rgb = rgb.transpose(TURNS[source.orientation])
    rgb = _on_background(rgb, task.background)
    decoded = Decoded(
        width=source.stored[0],
        height=source.stored[1],
        size=rgb.size,
        orientation=source.orientation,
        mode=source.mode,
        is_animated=source.is_animated,
        is_transparent=is_transparent,
        has_profile=has_profile,
        codes=None if has_profile else codes,
    )
    return decoded, rgb


def _check_cost(size: tuple[int, int], task: Task, halvings: int = 0) -> None:
    """Refuse an image by its header, before anything of it is decoded. halvings: how often it is decoded at half its size."""
    width, height = size
    if width * height > task.megapixels * 1e6:
        raise Refused("too_large", width=width, height=height)
    if (width >> halvings) * (height >> halvings) * PEAK_BYTES_PER_PIXEL[task.type] > task.memory:
        raise Refused("too_costly")


def _open(file: BinaryIO, task: Task) -> _Source:
    names = _load_plugin(task.type)
    file.seek(0)
    image: Any = Image.open(file, formats=names)
    stored = image.size
    halvings = min(wavelet_levels(file), _halvings(stored, task.longest)) if task.type == "JPEG 2000" else 0
    _check_cost(stored, task, halvings)
    if halvings:
        image.reduce = halvings
    if task.type == "JPEG":  # decoded at 1/2, 1/4 or 1/8 where that is still large enough
        target = fit(stored, task.longest)
        image.draft(None, (target[0] * OVERSAMPLING, target[1] * OVERSAMPLING))
    is_animated = task.type in {"GIF", "PNG", "WebP", "AVIF"} and bool(getattr(image, "is_animated", False))
    image.load()
    return _Source(
        size=image.size,
        stored=stored,
        mode=image.mode,
        orientation=_orientation(image),
        is_animated=is_animated,
        profile=image.info.get("icc_profile") or b"",
        strip=lambda top, bottom: image.crop((0, top, image.size[0], bottom)),
        full_scale=_full_scale(image),
    )


def _load_plugin(still_type: str) -> tuple[str, ...]:
    """Load the one module of Pillow that reads this type, with our limits; return the names of its formats."""
    plugin, names = PLUGINS[still_type]
    module: Any = importlib.import_module(f"PIL.{plugin}")
    if still_type == "AVIF":
        module.DEFAULT_MAX_THREADS = THREADS
    if still_type == "PNG":
        module.MAX_TEXT_CHUNK, module.MAX_TEXT_MEMORY = TEXT_BYTES, 2 * TEXT_BYTES
    return names


def _halvings(size: tuple[int, int], longest: int) -> int:
    """Return how often an image can be halved and still be no smaller than the result."""
    return max((max(size) // longest).bit_length() - 1, 0)


def _open_heif(file: BinaryIO, task: Task) -> _Source:
    """Open the primary image; libheif applies its turns and mirrors (ISO/IEC 23008-12, 6.5.10), and EXIF says nothing about them."""
    import pi_heif  # noqa: PLC0415 (8 ms that only a HEIF image has to pay)

    for unwanted in ("THUMBNAILS", "DEPTH_IMAGES", "AUX_IMAGES"):
        setattr(pi_heif.options, unwanted, False)
    pi_heif.options.DECODE_THREADS = THREADS
    file.seek(0)
    opened = pi_heif.open_heif(file, convert_hdr_to_8bit=True)
    if not len(opened):
        raise ValueError("it holds no image of a codec that is read here")
    image = opened[opened.primary_index]
    _check_cost(image.size, task)
    pixels = memoryview(image.data)
    width, height = image.size

    def strip(top: int, bottom: int) -> Image.Image:
        rows = pixels[top * image.stride : bottom * image.stride]
        return Image.frombytes(image.mode, (width, bottom - top), rows, "raw", image.mode, image.stride)

    return _Source(
        size=(width, height),
        stored=(width, height),
        mode=image.mode,
        orientation=1,
        is_animated=is_animated_heif(file),
        profile=image.info.get("icc_profile") or b"",
        strip=strip,
    )


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation that is still to be applied (Pillow applies that of TIFF itself); 1 where it cannot be read."""
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 (EXIF is written by thousands of programs; an image is not refused for it)
        return 1


def _full_scale(image: Any) -> float:
    """Return the value that is white in an image of more than 8 bits."""
    if image.mode.startswith("I;16"):
        bits = image.tag_v2.get(BITS_TAG, (16,))[0] if hasattr(image, "tag_v2") else 16
        return float(2**bits - 1)
    if image.mode in {"I", "F"}:
        top = max(image.getextrema()[1], 0)
        return next((white for white in (1.0, 255.0, 65535.0) if top <= white), float(top))
    return 255.0


def _scaled(source: _Source, target: tuple[int, int]) -> tuple[Image.Image, bool]:
    """Return the image at the size `target`, of 8 bits for each of its channels, and whether any pixel is transparent."""
    width, height = source.size
    factor = max(max(width, height) // (max(target) * OVERSAMPLING), 1)
    small: Image.Image | None = None
    lowest = 255
    for top, strip in _strips(source, factor):
        piece = _to_eight_bits(strip, source.full_scale)
        if piece.mode in {"LA", "RGBA"}:
            lowest = min(lowest, _lowest(piece.getchannel("A")))
        if small is None:
            small = Image.new(piece.mode, (-(-width // factor), -(-height // factor)))
        small.paste(piece.reduce(factor), (0, top // factor))
    assert small is not None  # noqa: S101 (an image has a row)
    if small.size != target:
        small = small.resize(target, Image.Resampling.LANCZOS, box=(0, 0, width / factor, height / factor))
    return small, lowest < OPAQUE_ALPHA


def _lowest(channel: Any) -> int:
    return int(channel.getextrema()[0])


def _strips(source: _Source, factor: int) -> Iterator[tuple[int, Image.Image]]:
    """Yield the image in parts of whole rows, a multiple of `factor` each, with their first row."""
    width, height = source.size
    rows = max(STRIP_PIXELS // (width * factor), 1) * factor
    for top in range(0, height, rows):
        yield top, source.strip(top, min(top + rows, height))


def _to_eight_bits(image: Image.Image, full_scale: float) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        scale = 255.0 / full_scale
        rounding = 0.0 if image.mode == "F" else 0.5
        return image.point(lambda value: value * scale + rounding).convert("L")
    if image.has_transparency_data and image.mode not in {"LA", "RGBA"}:
        return image.convert("RGBA")
    return image.convert(_EIGHT_BIT.get(image.mode, image.mode))


def _to_rgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return RGB or RGBA in sRGB. A profile that is damaged, or for other channels than the image has, is ignored."""
    alpha = image.getchannel("A") if image.mode in {"LA", "RGBA"} else None
    colours = image.convert({"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode))
    converted = _by_profile(colours, profile) or colours.convert("RGB")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    if image.mode != "LAB" and not profile:
        return None
    with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        source = ImageCms.createProfile("LAB") if image.mode == "LAB" else ImageCms.ImageCmsProfile(BytesIO(profile))
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=intent,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    return None


def _on_background(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode != "RGBA":
        return image
    under = Image.new("RGB", image.size, tuple(background))
    under.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return under


def _limit_resources(task: Task) -> None:
    """Bound this process for good. When memory runs out on the machine the kernel ends it, and not the one that waits for it."""
    memory = _allowed(resource.RLIMIT_AS, task.memory)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (_allowed(resource.RLIMIT_CPU, task.seconds), _allowed(resource.RLIMIT_CPU, task.seconds + 1)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123 (pathlib is not loaded)
        score.write("1000")


def _allowed(limit: int, wanted: int) -> int:
    """Return what may be set: a service may allow less, and nobody can raise that."""
    _, hard = resource.getrlimit(limit)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def answer(path: str, task: Task) -> tuple[dict[str, Any], bytes]:
    """Return what is printed: the description, or the problem and its fields; and the pixels, none where there is a problem."""
    try:
        decoded, image = decode(path, task)
    except Refused as refused:
        return refused.answer, b""
    except MemoryError:
        found: dict[str, Any] = {"problem": "too_costly"}
    except Exception as problem:  # noqa: BLE001 (the border: a damaged file can raise anything)
        found = _explain(problem)
    else:
        return asdict(decoded), image.tobytes()
    return ({"problem": "short"} if _is_short(found["problem"], task) else found), b""


def _is_short(problem: str, task: Task) -> bool:
    """Return whether the machine gives this process less memory than it may have, so that the image may be good."""
    if problem == "undecodable":
        return not _is_free(LEAST_BYTES)
    if problem != "too_costly":
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        limit = task.memory
    with open("/proc/self/statm", encoding="ascii") as pages:  # noqa: PTH123 (pathlib is not loaded)
        mapped = int(pages.read().split()[0]) * mmap.PAGESIZE
    return limit < task.memory or not _is_free(limit - mapped - MARGIN_BYTES)


def _is_free(count: int) -> bool:
    """Return whether so many bytes can be had."""
    try:
        if count > 0:
            mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True


def _explain(problem: Exception) -> dict[str, Any]:
    if isinstance(problem, OSError) and problem.errno:
        is_damaged = problem.errno in NO_PLACE
        return {"problem": "undecodable", "reason": ""} if is_damaged else {"problem": "io", "reason": os.strerror(problem.errno)}
    words = str(problem)
    if "truncated" in words.lower():
        return {"problem": "truncated"}
    if "memory" in words.lower():
        return {"problem": "too_costly"}
    is_meant_to_be_read = isinstance(problem, OSError | RuntimeError | ValueError) and not isinstance(problem, UnidentifiedImageError)
    return {"problem": "undecodable", "reason": words.strip().rstrip(".") if is_meant_to_be_read else ""}


def main() -> None:
    """Do what the command line says."""
    path, task = sys.argv[1], Task(**json.loads(sys.argv[2]))
    _limit_resources(task)
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # `_check_cost` is exact; Pillow's limit would refuse photos that are allowed
    described, pixels = answer(path, task)
    sys.stdout.buffer.write(json.dumps(described).encode() + b"\n" + pixels)


if __name__ == "__main__":
    main()
