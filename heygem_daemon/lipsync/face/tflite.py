"""Run the face networks (TFLite) with LiteRT, whose XNNPACK kernels take half the time that OpenCV's take, or less."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from heygem_daemon.lipsync.arrays import Float32

_STDERR: Final = 2
_CHATTER: Final = b"INFO: "
_LOADING: Final = threading.Lock()


class TfliteNetwork:
    """A TFLite network with named outputs. Not to be shared between threads; while it runs, other threads can (it holds no GIL).

    It computes in one thread: a frame takes it about 1 ms, too little to share. Several frames, videos or parts of one are what fills
    the cores.
    """

    def __init__(self, path: Path, outputs: Sequence[str]) -> None:
        with _quiet():
            self._interpreter = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        numbers = {str(detail["name"]): int(detail["index"]) for detail in self._interpreter.get_output_details()}
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._outputs = [numbers[name] for name in outputs]

    def __call__(self, image: Float32) -> list[Float32]:
        """Run on one image float32 [h, w, channels], already in the network's own range of values."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return [np.asarray(self._interpreter.get_tensor(output), np.float32) for output in self._outputs]


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the lines that begin with "INFO: " of what is written to the descriptor of standard error in this block.

    LiteRT writes one such line per process, and has no setting against it. What others write meanwhile comes a few ms later.
    """
    with _LOADING:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # this process has no standard error
            yield
            return
        caught = os.memfd_create("stderr")
        os.dup2(caught, _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.lseek(caught, 0, os.SEEK_SET)
            with os.fdopen(caught, "rb") as lines, os.fdopen(kept, "wb", buffering=0) as stderr:
                for line in lines:
                    if not line.startswith(_CHATTER):
                        stderr.write(line)
