"""Check the files of drops: the part of an inspection that opens media, and the only one that needs NumPy."""

import os
import threading
from pathlib import Path

from heygem_daemon.core.errors import error
from heygem_daemon.core.names import escape_name
from heygem_daemon.media.decode_together import DecodeTogether
from heygem_daemon.media.kept_speech import measure_and_keep
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.types import MediaInfo, MediaLimits


class FileChecks:
    """Checks the files of one inbox, for many threads. cache: the directory in which decoded recordings are kept for the worker."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._together = DecodeTogether(cache)
        self._slots = threading.BoundedSemaphore(max(len(os.sched_getaffinity(0)), 2))

    def seconds(self, path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        """Check a file and return its length in s: a video by its header and samples of its frames, a recording by decoding all of it.

        Raises HeygemError; an OSError becomes `io_error`."""
        try:
            with self._slots:
                info = check_video(path, limits) if is_video else check_recording(path, limits)
            if is_video:
                return info.video.seconds if info.video else 0.0
            return self._measured_seconds(info, limits)
        except OSError as failed:
            raise error("io_error", problem=f"{failed.strerror or failed} ({escape_name(path.name)})") from failed

    def _measured_seconds(self, recording: MediaInfo, limits: MediaLimits) -> float:
        with self._together.decoded(recording) as decoded:
            if decoded is not None:
                return float(measure_and_keep(recording, self._cache, limits, decoded).seconds)
        with self._slots:
            return float(measure_and_keep(recording, self._cache, limits).seconds)
