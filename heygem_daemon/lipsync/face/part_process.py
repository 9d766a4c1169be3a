"""The process that tracks one part of a video: `python -m heygem_daemon.lipsync.face.part_process`, started by `track_parts`.

It reads a pickled `PartTask` from standard input, writes the faces to a file, and the number of frames done to standard output, one a
line. It ends with its parent: the kernel kills it when the parent's thread ends, and a write that nobody reads ends it too. Its decoder
ends with it.
"""

import ctypes
import os
import pickle
import signal
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.lipsync.face.part_records import PartFrame, PartWriter
from heygem_daemon.lipsync.face.tracker import FaceTracker
from heygem_daemon.lipsync.prefetch import READ_AHEAD, read_ahead
from heygem_daemon.media.reader import VideoReader, fingerprint
from heygem_daemon.media.types import MediaInfo

COMMAND: Final = (sys.executable, "-P", "-m", "heygem_daemon.lipsync.face.part_process")
FAILED: Final = 1
_PR_SET_PDEATHSIG: Final = 1
_REPORTED: Final = 10
"""Frames after which the number done is reported."""


@dataclass(frozen=True, kw_only=True)
class PartTask:
    """A part to track: its frames first..stop-1 (None: to the end) of the video `info`. parent: the id of the process that waits for it;
    records: the file to write."""

    info: MediaInfo
    models: Path
    first: int
    stop: int | None
    records: Path
    parent: int


def track_part(task: PartTask) -> None:
    """Track a part and report on standard output. Raises HeygemError, BrokenPipeError when nobody reads any more."""
    reader = VideoReader(task.info)
    tracker = FaceTracker(task.models, frame_rate=reader.video.frame_rate, first=task.first)
    with PartWriter(task.records) as records, closing(read_ahead(reader.frames(task.first, task.stop), READ_AHEAD)) as frames:
        shot = 0
        for done, frame in enumerate(frames, start=1):
            faces = tracker.follow(frame)
            is_cut = tracker.shot != shot
            records.add(PartFrame(fingerprint=fingerprint(frame), is_cut=is_cut, faces=faces, dissolve=tracker.dissolve))
            shot = tracker.shot
            if done % _REPORTED == 0:
                os.write(sys.stdout.fileno(), f"{done}\n".encode())


def main() -> int:
    """Do the task on standard input; return 0, or FAILED with the error on standard error."""
    task = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 (our parent wrote it)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != task.parent:  # it ended before the request reached the kernel
        return FAILED
    cv2.setNumThreads(1)
    try:
        track_part(task)
    except (HeygemError, OSError) as problem:
        sys.stderr.write(f"tracking frames {task.first} to {task.stop} failed: {problem}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
