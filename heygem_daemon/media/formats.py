"""The file extensions that are accepted, and the one demuxer each is opened with.

If ffmpeg guessed, it would open a playlist named `clip.mp4` as a playlist and read the files and hosts that it lists.
"""

from pathlib import Path
from typing import Final

VIDEO_EXTENSIONS: Final = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg"})
IMAGE_EXTENSIONS: Final = frozenset({".png", ".jpg", ".jpeg"})
RECORDING_EXTENSIONS: Final = frozenset({".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wma", ".mp4", ".mov"})

DEMUXERS: Final = {
    ".mp4": "mov",
    ".mov": "mov",
    ".m4v": "mov",
    ".m4a": "mov",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".avi": "avi",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".wav": "wav",
    ".mp3": "mp3",
    ".aac": "aac",
    ".flac": "flac",
    ".ogg": "ogg",
    ".opus": "ogg",
    ".wma": "asf",
    # The "pipe" demuxers read one image; image2 would take "%d" and "*" in a name as a pattern over other files.
    ".png": "png_pipe",
    ".jpg": "jpeg_pipe",
    ".jpeg": "jpeg_pipe",
}


def demuxer(path: Path) -> str:
    """Return the demuxer of the file's extension (any case). Raises KeyError for one that is not accepted."""
    return DEMUXERS[path.suffix.lower()]


def display_name(path: Path) -> str:
    """Return the file's name for a message, with what cannot be printed escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in path.name)
