"""The sample drop of `make demo`: a real face with clear rights, filmed by a hand-held camera, and a sentence to speak.

The face is NASA's portrait of the astronaut Eileen Collins, in the public domain, carried by scikit-image; the voice is espeak-ng.
"""

import math
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from skimage.data import astronaut

FRAME_RATE: Final = 25
SECONDS: Final = 7
SIZE: Final = 640
FACE: Final = (224.0, 178.0)
"""The point of the portrait, in pixels, that stays in the middle of the frame: below the face."""
ZOOM: Final = 1.95

SENTENCES: Final = {
    "en": ("en-us", "Good morning, and welcome. I never said these words. Somebody dropped a recording and a video into a folder."),
    # In pinyin: espeak-ng 1.51 speaks the tones of Chinese characters as English digits.
    "zh": ("cmn-latn-pinyin", "da4 jia1 hao3, huan1 ying2 lai2 dao4 jin1 tian1 de5 ke4 cheng2. zhe4 xie1 hua4, wo3 mei2 you3 shuo1 guo4."),
}


def make_sample(folder: Path, *, voice: str) -> Path:
    """Write speech.wav and videos/eileen-collins.mp4 into the new `folder` and return it. Raises CalledProcessError, FileExistsError."""
    (folder / "videos").mkdir(parents=True)
    subprocess.run(speech_command(voice, folder / "speech.wav"), check=True, timeout=60)
    film(folder / "videos" / "eileen-collins.mp4")
    return folder


def speech_command(voice: str, path: Path) -> tuple[str, ...]:
    """Return the espeak-ng command that speaks the sentence of `voice` (a key of SENTENCES) into a WAV file."""
    name, sentence = SENTENCES[voice]
    return ("espeak-ng", "-v", name, "-s", "150", "-w", str(path), sentence)


def film(path: Path) -> None:
    """Write the portrait as a clip of SECONDS at FRAME_RATE, without audio."""
    encoder = subprocess.Popen(encode_command(path), stdin=subprocess.PIPE)
    with encoder, cast("IO[bytes]", encoder.stdin) as sink:
        for frame in frames():
            sink.write(frame.tobytes())
    if encoder.returncode:
        raise subprocess.CalledProcessError(encoder.returncode, "ffmpeg")


def encode_command(path: Path) -> tuple[str, ...]:
    """Return the ffmpeg command that encodes raw RGB frames from its standard input."""
    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE}x{SIZE}", "-r", str(FRAME_RATE), "-i", "pipe:0")
    colour = ("-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    encoding = ("-c:v", "libx264", "-preset", "fast", "-crf", "14", "-pix_fmt", "yuv420p")
    return ("ffmpeg", "-v", "error", "-y", *source, *colour, *encoding, str(path))


def frames() -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the frames, uint8 RGB [SIZE, SIZE, 3]: the camera drifts by some pixels, tilts by a degree and breathes.

    The periods divide SECONDS, so that the clip loops without a jump.
    """
    portrait = np.asarray(astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    for index in range(FRAME_RATE * SECONDS):
        turn = 2 * math.pi * index / (FRAME_RATE * SECONDS)
        about_face = cv2.getRotationMatrix2D(FACE, 0.9 * math.sin(2 * turn), ZOOM + 0.03 * math.sin(turn))
        matrix = np.asarray(about_face, dtype=np.float64)
        matrix[:, 2] += SIZE / 2 - np.array(FACE) + (7 * math.sin(turn), 4 * math.sin(3 * turn))
        moved = cv2.warpAffine(portrait, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        yield np.asarray(moved, dtype=np.uint8)
