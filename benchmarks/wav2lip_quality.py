"""The Wav2Lip engines with an ideal checkpoint: how much of a mouth of 96 pixels arrives in the picture?

    python -m benchmarks.wav2lip_quality --yardstick MEASURE.py --out DIR TARGET.mp4=RECORDING [TARGET.mp4=RECORDING ...]

For want of a checkpoint that may be shipped, the engine `rewrite` plays one: its result, framed and shrunk to 96 pixels as Wav2Lip sees
faces and blurred as a network blurs, is what the stand-in "draws". Then `wav2lip` pastes it and `wav2lip+atlas` reads it, and the yardstick
(see quality.py) judges both against the result of `rewrite` as the truth. The first line of each target is `rewrite` itself.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.quality import COLUMNS, judge
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.lipsync.cache import Cache, VideoCache, content_key
from heygem_daemon.lipsync.device import choose_device
from heygem_daemon.lipsync.engines import ENGINES, EngineContext, Wav2LipOptions
from heygem_daemon.lipsync.face.track_video import cached_tracks
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.pipeline import LoadedEngine, RenderSession
from heygem_daemon.lipsync.render_request import RenderRequest
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import load_weights
from heygem_daemon.lipsync.wav2lip.driver import CalibratedModel, MouthImageDriver, MouthMotionDriver
from heygem_daemon.lipsync.wav2lip.framing import Framing
from heygem_daemon.lipsync.wav2lip.generator import TOP
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurer
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import speech_blocks

BLUR: Final = 0.8
"""Pixels of the face."""
DRIVERS: Final = {"wav2lip": MouthImageDriver, "wav2lip+atlas": MouthMotionDriver}


class StandIn:
    """Draws the faces that it was given, one after the other; the first time it is asked what it draws in silence: the one at `calm`."""

    batch = 16

    def __init__(self, lower: list[np.ndarray], calm: int) -> None:
        self._lower, self._calm, self._next, self._is_first = lower, calm, 0, True

    def __call__(self, mels: np.ndarray, faces: np.ndarray) -> np.ndarray:
        if self._is_first:
            self._is_first = False
            return np.stack([self._lower[self._calm]] * len(faces))
        first, self._next = self._next, self._next + len(faces)
        return np.stack(self._lower[first : self._next])


def shrunk(result: Path, target: Path, weights: Path, cache: Path) -> Iterator[np.ndarray]:
    """Yield float32 [52, 96, 3]: the lower faces of `result`, in the boxes of the faces of `target`."""
    info, made = probe(target), probe(result)
    with Cache(cache, 10**10) as kept:
        tracks = cached_tracks(VideoCache(cache=kept, key=content_key(target)), info, face="largest", models=weights)
    framing = Framing(tracks, mean_face(tracks))
    count = made.video.frames if made.video else 0
    with (
        closing(VideoReader(info, frame_count=tracks.frames).play(count, tracks.frames)) as shown,
        closing(VideoReader(made).frames()) as drawn,
    ):
        for source, frame in zip(shown, drawn, strict=False):
            if (box := framing(source.index)) is not None:
                yield cv2.GaussianBlur(box.face(frame)[TOP:].astype(np.float32), (0, 0), BLUR)


def calmest(fallback_driver: PhoneticDriver, recording: Path, target: Path, frames: int) -> int:
    """Return the number of a frame whose lips are asked to be shut."""
    video = probe(target).video
    rate = video.frame_rate if video else Fraction(25)
    return int(np.argmin(np.concatenate([block.opening for block in fallback_driver.motion(speech_blocks(recording), rate, frames)])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--yardstick", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cache = options.out / "cache"
    session = RenderSession(options.weights, cache, device="auto", wav2lip=Wav2LipOptions(licence_confirmed=True))
    fallback_driver, reader = PhoneticDriver(load_weights(options.weights)), MouthMeasurer(options.weights)
    print(f"{'target':24} {'engine':14} {'r':>6} {'lag_ms':>6} " + " ".join(f"{name:>15}" for name in COLUMNS), flush=True)
    for pair in options.pairs:
        target, recording = (Path(part).absolute() for part in pair.split("="))
        outputs = {engine: options.out.absolute() / f"{target.stem}__{recording.stem}__{engine}.mp4" for engine in ENGINES}
        for engine, output in outputs.items():
            if engine != "rewrite":
                lower = list(shrunk(outputs["rewrite"], target, options.weights, cache))
                trained = CalibratedModel(
                    generator=StandIn(lower, calmest(fallback_driver, recording, target, len(lower))), sha256="", shift=Fraction(0)
                )
                session._loaded[engine] = LoadedEngine(
                    engine=ENGINES[engine],
                    driver=DRIVERS[engine](trained, fallback_driver, reader),
                    renderer=ENGINES[engine].renderer(EngineContext(models=options.weights, device=choose_device("auto"))),
                )
            report = session.render(RenderRequest(recording=recording, video=target, output=output, options=RenderOptions(engine=engine)))
            figures = judge(options.yardstick, options.weights, output, target, recording, truth=outputs["rewrite"])
            cells = " ".join(f"{figures.get(name, float('nan')):15.3f}" for name in COLUMNS)
            r, lag = report.mouth_correlation or float("nan"), report.sync_offset_ms or 0
            print(f"{target.stem[:24]:24} {engine:14} {r:6.3f} {lag:6.1f} {cells}", flush=True)


if __name__ == "__main__":
    main()
