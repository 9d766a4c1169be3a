"""Measure how much of a mouth of 96 pixels arrives in the result of the Wav2Lip engines, with an ideal checkpoint.

    python -m benchmarks.wav2lip_quality --yardstick MEASURE.py --out DIR TARGET.mp4=RECORDING [TARGET.mp4=RECORDING ...]

No checkpoint may be shipped, so the engine `rewrite` takes its place: its result, framed and shrunk to 96 pixels as Wav2Lip frames
faces and blurred as a network blurs, is what the stand-in "generates". Then `wav2lip` pastes it and `wav2lip+atlas` measures it, and the
yardstick (see quality.py) compares both with the result of `rewrite` as the truth. The first line of each target is `rewrite` itself.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.quality import COLUMNS, measure
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.lipsync.arrays import Float32, Image
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
"""Standard deviation in pixels of the 96x96 face."""
DRIVERS: Final = {"wav2lip": MouthImageDriver, "wav2lip+atlas": MouthMotionDriver}


class StandIn:
    """Returns given lower faces one after the other, in place of a `FaceGenerator`.

    Its first call asks for the mouths in silence: it returns the face `closed` for each of them.
    lower: float32 [52, 96, 3] each, 0-255, blue first.
    """

    batch = 16

    def __init__(self, lower: list[Float32], closed: int) -> None:
        self._lower, self._closed, self._next, self._is_first = lower, closed, 0, True

    def __call__(self, mels: Float32, faces: Image) -> Float32:
        if self._is_first:
            self._is_first = False
            return np.stack([self._lower[self._closed]] * len(faces))
        first, self._next = self._next, self._next + len(faces)
        return np.stack(self._lower[first : self._next])


def lower_faces(result: Path, target: Path, weights: Path, cache: Path) -> Iterator[Float32]:
    """Yield float32 [52, 96, 3]: the lower faces of `result`, in the boxes of the faces of `target`."""
    info, result_info = probe(target), probe(result)
    with Cache(cache, 10**10) as opened:
        tracks = cached_tracks(VideoCache(cache=opened, key=content_key(target)), info, face="largest", models=weights)
    framing = Framing(tracks, mean_face(tracks))
    count = result_info.video.frames if result_info.video else 0
    with (
        closing(VideoReader(info, frame_count=tracks.frames).play(count, tracks.frames)) as sources,
        closing(VideoReader(result_info).frames()) as results,
    ):
        for source, frame in zip(sources, results, strict=False):
            if (box := framing(source.index)) is not None:
                yield np.asarray(cv2.GaussianBlur(box.face(frame)[TOP:].astype(np.float32), (0, 0), BLUR), np.float32)


def closed_frame(driver: PhoneticDriver, recording: Path, target: Path, frames: int) -> int:
    """Return the number of the frame whose target opening is the smallest."""
    video = probe(target).video
    rate = video.frame_rate if video else Fraction(25)
    return int(np.argmin(np.concatenate([block.opening for block in driver.motion(speech_blocks(probe(recording)), rate, frames)])))


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
    fallback_driver, measurer = PhoneticDriver(load_weights(options.weights)), MouthMeasurer(options.weights)
    print(f"{'target':24} {'engine':14} {'r':>6} {'lag_ms':>6} " + " ".join(f"{name:>15}" for name in COLUMNS), flush=True)
    for pair in options.pairs:
        target, recording = (Path(part).absolute() for part in pair.split("="))
        outputs = {engine: options.out.absolute() / f"{target.stem}__{recording.stem}__{engine}.mp4" for engine in ENGINES}
        for engine, output in outputs.items():
            if engine != "rewrite":
                lower = list(lower_faces(outputs["rewrite"], target, options.weights, cache))
                stand_in = StandIn(lower, closed_frame(fallback_driver, recording, target, len(lower)))
                model = CalibratedModel(generator=stand_in, sha256="", shift=Fraction(0))  # type: ignore[arg-type]
                session._loaded[engine] = LoadedEngine(
                    engine=ENGINES[engine],
                    driver=DRIVERS[engine](model, fallback_driver, measurer),
                    renderer=ENGINES[engine].renderer(EngineContext(models=options.weights, device=choose_device("auto"))),
                )
            report = session.render(RenderRequest(recording=recording, video=target, output=output, options=RenderOptions(engine=engine)))
            metrics = measure(options.yardstick, options.weights, output, target, recording, truth=outputs["rewrite"])
            cells = " ".join(f"{metrics.get(name, float('nan')):15.3f}" for name in COLUMNS)
            r, lag = report.mouth_correlation or float("nan"), report.sync_offset_ms or 0
            print(f"{target.stem[:24]:24} {engine:14} {r:6.3f} {lag:6.1f} {cells}", flush=True)


if __name__ == "__main__":
    main()
