"""Lip-sync as a library: render a recording and a video into a video in which the presenter speaks the recording.

`RenderSession` is the entry; it knows no jobs. It is loaded when it is first used, so that importing this package stays cheap.
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heygem_daemon.core.render_options import RenderOptions
    from heygem_daemon.lipsync.pipeline import RenderSession
    from heygem_daemon.lipsync.render_request import RenderReport, RenderRequest

__all__ = ["RenderOptions", "RenderReport", "RenderRequest", "RenderSession"]

# Threads of torch that wait by spinning take the cores from ffmpeg and from each other: on two busy cores rendering took 45 s
# where it takes 5.6 s when they sleep instead. The library reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Those of numpy cannot sleep, and its matrices here are too small for several: where the cores are busy a second of speech took the
# driver 160 ms of CPU time with two of them, and 61 ms with one. Read when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_MODULES = {
    "RenderOptions": "heygem_daemon.core.render_options",
    "RenderReport": "heygem_daemon.lipsync.render_request",
    "RenderRequest": "heygem_daemon.lipsync.render_request",
    "RenderSession": "heygem_daemon.lipsync.pipeline",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
