"""Do what a request asks for: the libraries are loaded once, before processes are forked from this one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cv2

from heygem_daemon.core.errors import error
from heygem_daemon.media import commands
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.run import capture
from heygem_daemon.media.types import MediaInfo, MediaLimits
from heygem_daemon.previews.faces import check_faces, report
from heygem_daemon.previews.peaks import waveform
from heygem_daemon.previews.protocol import Kind, PreviewRequest
from heygem_daemon.previews.stills import sample, sharpest, write_still

PROXY_SIDE: Final = 640
PROXY_SECONDS: Final = 1200.0
"""Longest side in pixels, and most seconds, of a copy for browsers: longer videos are watched from their beginning."""


class PreviewWork:
    """Answers requests with what is in a file. models: the directory of the model files; limits: of the files."""

    def __init__(self, *, models: Path, limits: MediaLimits) -> None:
        self._models, self._limits = models, limits
        cv2.setNumThreads(1)

    def __call__(self, request: PreviewRequest) -> Mapping[str, Any]:
        """Return what is answered. Raises HeygemError, and whatever a damaged file makes of the libraries."""
        path = Path(request.path)
        match request.kind:
            case Kind.FACES:
                return self._faces(path, request)
            case Kind.STILL:
                shown = sharpest(sample(check_video(path, self._limits)))
                write_still(shown, Path(request.output))
                return {"width": shown.width, "height": shown.height}
            case Kind.PEAKS:
                return waveform(check_recording(path, self._limits), request.count)
            case Kind.PROXY:
                return self._proxy(path, request)

    def _faces(self, path: Path, request: PreviewRequest) -> Mapping[str, Any]:
        info = check_video(path, self._limits)
        check = check_faces(sample(info), self._models, scale=_reduction(info) if request.is_frame else 1.0)
        if request.output:
            write_still(check.shown, Path(request.output))
        return report(check)

    def _proxy(self, path: Path, request: PreviewRequest) -> Mapping[str, Any]:
        info = check_video(path, self._limits)
        command = commands.encode_preview(info, Path(request.output), longest=PROXY_SIDE, seconds=PROXY_SECONDS)
        end = capture(command, seconds=request.seconds, limited=True)
        if end.code != 0:
            raise error("encode_failed", problem=end.last_error_line)
        return {"bytes": Path(request.output).stat().st_size}


def _reduction(info: MediaInfo) -> float:
    """Return how many pixels of an image became one when it was decoded: large ones are made smaller."""
    video = info.video
    return 1.0 if video is None else max(1.0, max(video.coded_width, video.coded_height) / max(video.width, video.height))
