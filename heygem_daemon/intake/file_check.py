"""Check the files of drops: the part of an inspection that opens media, and the only one that needs NumPy."""

import os
import threading
from pathlib import Path

from heygem_daemon.core.errors import EngineError, InputError, error
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.storage import FULL, SHORT
from heygem_daemon.disks import disk_error
from heygem_daemon.media.decode_together import DecodeTogether
from heygem_daemon.media.file_state import identity
from heygem_daemon.media.kept_speech import measure_and_keep
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.run import TRIES, patience, pause, require_capacity, require_working
from heygem_daemon.media.types import MediaInfo, MediaLimits


class FileChecks:
    """Checks the files of one inbox, for many threads. cache: the directory in which decoded recordings are kept for the worker."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._together = DecodeTogether(cache)
        self._slots = threading.BoundedSemaphore(max(len(os.sched_getaffinity(0)), 2))

    def seconds(self, path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        """Check a file and return its length in s: a video by its header and samples of its frames, a recording by decoding all of it.

        Raises HeygemError, of which only an InputError says something about the file; an OSError becomes `io_error`, as does whatever is
        found of a file that was not there all the time, and a program that crashes every time, but not with a file of ours,
        `file_crashes_tool`."""
        before = identity(path)
        try:
            with patience(limits.patience):
                return self._seconds_in_turn(path, limits, is_video=is_video)
        except InputError as found:
            if before is None or identity(path) != before:  # its share went away, or was mounted anew, meanwhile
                raise error("io_error", problem=f"{escape_name(path.name)} could not be reached while it was opened") from found
            raise
        except OSError as failed:
            if failed.errno in SHORT:
                raise error("server_short", program="the inspection", problem=failed.strerror) from failed
            full = disk_error(failed, self._cache) if failed.errno in FULL else None  # files of drops are only read
            if full is not None:
                raise full from failed
            raise error("io_error", problem=f"{failed.strerror or failed} ({escape_name(path.name)})") from failed

    def _seconds_in_turn(self, path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        for attempt in range(TRIES):
            if attempt:
                pause()
            try:
                return self._seconds(path, limits, is_video=is_video)
            except EngineError as problem:
                if problem.code != "tool_crashed":
                    raise
                crash = problem
        require_working("ffmpeg")
        require_capacity()
        raise error("file_crashes_tool", program="ffmpeg", times=TRIES, name=escape_name(path.name), how="each time") from crash

    def _seconds(self, path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        with self._slots:
            info = check_video(path, limits) if is_video else check_recording(path, limits)
        if is_video:
            return info.video.seconds if info.video else 0.0
        return self._measured_seconds(info, limits)

    def _measured_seconds(self, recording: MediaInfo, limits: MediaLimits) -> float:
        with self._together.decoded(recording) as decoded:
            if decoded is not None:
                return float(measure_and_keep(recording, self._cache, limits, decoded).seconds)
        with self._slots:
            return float(measure_and_keep(recording, self._cache, limits).seconds)
