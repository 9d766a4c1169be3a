"""The face networks give what OpenCV, an independent implementation, reads out of the same files."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.face.image_view import ImageView, Roi
from heygem_daemon.lipsync.face.tflite import TfliteNetwork, _quiet
from heygem_daemon.lipsync.model_files import model_path

DETECTOR = ("regressors", "classificators")
MESH = ("conv2d_21", "conv2d_31")


def read_by_opencv(path: Path, outputs: Sequence[str], image: Float32) -> list[Float32]:
    """Run the network with OpenCV. Its new engine, in version 5, returns one output only; the classic one returns all of them."""
    classic = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
    network = cv2.dnn.readNetFromTFLite(str(path)) if classic is None else cv2.dnn.readNetFromTFLite(str(path), classic)
    network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    return [np.asarray(output, np.float32) for output in network.forward(list(outputs))]


@pytest.mark.parametrize(
    ("name", "outputs", "pixels", "low"), [("face_mesh", MESH, 192, 0.0), ("face_detector", DETECTOR, 128, -1.0)], ids=["mesh", "detector"]
)
def test_the_outputs_are_those_of_opencv(weights: Path, face: Image, name: str, outputs: tuple[str, ...], pixels: int, low: float) -> None:
    """Points are in pixels of the square, scores reach 100 before the sigmoid: the largest differences are 1e-4 of one."""
    path = model_path(weights, name)
    crop = ImageView(face).crop(Roi(x=129, y=125, size=153 if name == "face_mesh" else 256), pixels, extend=True)
    image = np.asarray(low + crop * np.float32((1 - low) / 255), np.float32)
    ours, theirs = TfliteNetwork(path, outputs)(image), read_by_opencv(path, outputs, image)
    for a, b in zip(ours, theirs, strict=True):
        assert a.size == b.size
        assert np.abs(a.ravel() - b.ravel()).max() < 1e-3


def test_other_threads_run_while_a_network_does(weights: Path, switching: None) -> None:
    network = TfliteNetwork(model_path(weights, "face_mesh"), MESH)
    done: list[int] = []

    def run() -> None:
        for _ in range(20):
            network._interpreter.invoke()
            done.append(1)

    thread = threading.Thread(target=run)
    thread.start()
    seen = len(done)  # this thread waits for the other one to begin, and comes back when it lets go of the interpreter
    thread.join()
    assert seen < 20 == len(done)


@pytest.fixture
def switching() -> Iterator[None]:
    """Let no thread be interrupted: another one runs only where the running one waits or says that it may."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(100)
    yield
    sys.setswitchinterval(usual)


def test_loading_writes_nothing_but_what_others_write(weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with _quiet():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nsomebody else's line\n")
    TfliteNetwork(model_path(weights, "face_mesh"), MESH)
    assert capfd.readouterr() == ("", "somebody else's line\n")
