"""Look into a file without trusting it."""

from pathlib import Path
from typing import Final

from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo, MediaLimits

VIDEO_EXTENSIONS: Final = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"})
IMAGE_EXTENSIONS: Final = frozenset({".png", ".jpg", ".jpeg"})
RECORDING_EXTENSIONS: Final = frozenset({".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wma", ".mp4", ".mov"})


def probe(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    raise NotImplementedError


def check_recording(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    raise NotImplementedError


def check_video(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> MediaInfo:
    raise NotImplementedError
