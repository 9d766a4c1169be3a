"""Run the face networks (TFLite) with OpenCV."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32


class TfliteNetwork:
    """A TFLite network with named outputs. Not to be shared between threads."""

    def __init__(self, path: Path, outputs: Sequence[str]) -> None:
        # OpenCV 5's new engine returns one output only; the classic one (the only one of OpenCV 4) returns all of them.
        classic = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
        self._net = cv2.dnn.readNetFromTFLite(str(path)) if classic is None else cv2.dnn.readNetFromTFLite(str(path), classic)
        self._outputs = list(outputs)

    def __call__(self, image: Float32) -> list[Float32]:
        """Run on one image float32 [h, w, channels], already in the network's own range of values."""
        self._net.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        return [np.asarray(output, np.float32) for output in self._net.forward(self._outputs)]
