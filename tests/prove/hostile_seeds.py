"""Small proper files of every format that the server takes, from which hostile ones are made."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.disk_cache import cached

_VIDEO: Final = ("-f", "lavfi", "-i", "testsrc2=s=96x80:r=10:d=1.2")
_AUDIO: Final = ("-f", "lavfi", "-i", "aevalsrc=.4*sin(880*t)*(1+sin(9*t))/2:s=22050:d=1.2")
_X264: Final = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_BOTH: Final = (*_VIDEO, *_AUDIO)
_ONE: Final = (*_VIDEO, "-frames:v", "1")

VIDEOS: Final[dict[str, tuple[str, ...]]] = {
    "mp4": (*_BOTH, *_X264, "-c:a", "aac"),
    "fast.mp4": (*_BOTH, *_X264, "-c:a", "aac", "-movflags", "+faststart"),
    "fragments.mp4": (*_BOTH, *_X264, "-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov"),
    "mov": (*_BOTH, "-c:v", "mjpeg", "-c:a", "pcm_s16le"),
    "m4v": (*_BOTH, "-c:v", "mpeg4", "-c:a", "aac"),
    "mkv": (*_BOTH, *_X264, "-c:a", "libvorbis"),
    "webm": (*_BOTH, "-c:v", "libvpx", "-cpu-used", "8", "-deadline", "realtime", "-c:a", "libopus"),
    "avi": (*_BOTH, "-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "ts": (*_BOTH, *_X264, "-c:a", "aac"),
    "mpg": (*_BOTH, "-r", "25", "-c:v", "mpeg2video", "-c:a", "mp2"),
    "flv": (*_BOTH, "-c:v", "flv1", "-c:a", "libmp3lame"),
    "wmv": (*_BOTH, "-c:v", "wmv2", "-c:a", "wmav2"),
    "mxf": (*_VIDEO, "-r", "25", "-c:v", "mpeg2video"),
    "ogv": (*_VIDEO, "-c:v", "libtheora"),
    "gif": _VIDEO,
    "apng": (*_VIDEO, "-f", "apng"),
    "png": _ONE,
    "jpg": _ONE,
    "webp": (*_ONE, "-c:v", "libwebp"),
    "bmp": _ONE,
    "tiff": _ONE,
}
"""Name -> ffmpeg's options for a video or a photo."""
RECORDINGS: Final[dict[str, tuple[str, ...]]] = {
    "wav": _AUDIO,
    "rf64.wav": (*_AUDIO, "-rf64", "always"),
    "w64": _AUDIO,
    "aiff": _AUDIO,
    "au": _AUDIO,
    "caf": _AUDIO,
    "flac": _AUDIO,
    "mp3": (*_AUDIO, "-c:a", "libmp3lame"),
    "ogg": (*_AUDIO, "-c:a", "libvorbis"),
    "opus": (*_AUDIO, "-c:a", "libopus"),
    "m4a": (*_AUDIO, "-c:a", "aac"),
    "aac": (*_AUDIO, "-c:a", "aac"),
    "ac3": (*_AUDIO, "-ar", "44100", "-c:a", "ac3"),
    "wma": (*_AUDIO, "-c:a", "wmav2"),
}


def seeds() -> dict[str, bytes]:
    """Return name -> content of a file of every format, videos first."""

    def make(folder: Path) -> None:
        def one(named: tuple[str, tuple[str, ...]]) -> None:
            command = ("ffmpeg", "-v", "error", "-y", *named[1], "-fflags", "+bitexact", str(folder / f"seed.{named[0]}"))
            subprocess.run(command, check=True, timeout=120)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(one, (VIDEOS | RECORDINGS).items()))

    folder = cached("hostile-seeds", make, is_of_product=False)
    return {name: (folder / f"seed.{name}").read_bytes() for name in VIDEOS | RECORDINGS}
