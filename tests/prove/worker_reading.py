"""`python -m tests.prove.worker_reading CACHE`: read files as a worker does, each named by a line of JSON; answer with a line of JSON.

All frames of a video, or all samples of a recording, are decoded, up to limits that an honest file of that size keeps."""

import json
import os
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.render_options import DEFAULT_OPTIONS
from heygem_daemon.lipsync.needed_frames import shown_part
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import decoded_speech
from heygem_daemon.media.types import DEFAULT_LIMITS

MOST_FRAMES: Final = 18_000
SHOWN_FRAMES: Final = 250


def read(path: Path, cache: Path, *, is_video: bool) -> dict[str, Any]:
    """Return what was read, or the error."""
    try:
        return {"frames": _frames(path)} if is_video else {"samples": _samples(path, cache)}
    except HeygemError as problem:
        return {"code": problem.code, "message": problem.message}


def _frames(path: Path) -> int:
    info = check_video(path)
    assert info.video is not None
    part = replace(info, video=shown_part(info.video, SHOWN_FRAMES))
    with closing(VideoReader(part).frames()) as frames:
        return sum(1 for _ in frames)


def _samples(path: Path, cache: Path) -> int:
    with decoded_speech(check_recording(path), cache, DEFAULT_LIMITS, DEFAULT_OPTIONS) as speech, closing(speech.blocks()) as blocks:
        return sum(map(len, blocks))


def main() -> None:
    cache = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(read(Path(request["path"]), cache, is_video=request["is_video"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
