"""Both engines with an untrained checkpoint on a real face: the mouth is noise, everything else must be right."""

import hashlib
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.render_request import RenderReport, RenderRequest
from heygem_daemon.lipsync.wav2lip.calibration import TRAINED_SHIFT, Calibration, save_calibration
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.driver import MouthImageDriver, MouthMotionDriver
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.verify import verify_result

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

SECONDS = 1.0
RATE = Fraction(30000, 1001)
FRAMES = 30
ENGINES = ("wav2lip", "wav2lip+atlas")
HIDDEN = range(13, 16)
"""Of the 18 frames of the video."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def models(untrained_models: Path) -> Path:
    """The untrained checkpoint with a calibration: it does not follow the speech."""
    found = store.find(untrained_models)
    save_calibration(
        Calibration(offset_ms=None, r=0.1, measured_with="a test", measured="2026-01-01T00:00:00+00:00"), found.calibration_path
    )
    return untrained_models


@pytest.fixture(scope="module")
def session(place: Path, models: Path) -> RenderSession:
    return RenderSession(models, place / "cache", device="cpu", threads=1, wav2lip=Wav2LipOptions(licence_confirmed=True))


@pytest.fixture(scope="module")
def recording(place: Path, voice: np.ndarray) -> Path:
    path = place / "speech.wav"
    audio = (voice[: round(SECONDS * 16000)] * 32767).astype("<i2").tobytes()
    command = ("ffmpeg", "-v", "error", "-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-", str(path))
    subprocess.run(command, input=audio, check=True)
    return path


@pytest.fixture(scope="module")
def video(place: Path, portrait_clip: Path) -> Path:
    """The portrait for .6 s at 30000/1001, which is played forwards and backwards; a board hides the face in three of its frames."""
    path = place / "presenter.mp4"
    board = f"fps={RATE},drawbox=color=gray:t=fill:enable='between(n,{HIDDEN.start},{HIDDEN.stop - 1})'"
    command = ("ffmpeg", "-v", "error", "-i", str(portrait_clip), "-t", "0.6", "-vf", board, "-c:v", "libx264", "-crf", "12", str(path))
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module", autouse=True)
def _each_batch_once() -> Iterator[None]:
    """Let the network compute equal batches once: both engines give it the same faces and mel windows."""
    results: dict[bytes, Float32] = {}
    compute = FaceGenerator._run

    def once(self: FaceGenerator, mels: Float32, faces: Image) -> Float32:
        key = mels.tobytes() + faces.tobytes()
        if key not in results:
            results[key] = compute(self, mels, faces)
        return results[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaceGenerator, "_run", once)
        yield


Made = tuple[str, Path, RenderReport]


@pytest.fixture(scope="module", params=[ENGINES[0], pytest.param(ENGINES[1], marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, session: RenderSession, place: Path, recording: Path, video: Path) -> Made:
    output = place / f"{request.param}.mp4"
    job = RenderRequest(recording=recording, video=video, output=output, options=RenderOptions(engine=request.param, quality=10))
    return request.param, output, session.render(job)


@lru_cache(maxsize=3)
def luma(path: Path) -> np.ndarray:
    """Return the frames of a video, uint8 [n, h, w]."""
    return np.stack([frame.y for frame in VideoReader(probe(path)).frames()])


def shown(path: Path, number: int) -> np.ndarray:
    """Return the luma of a frame, float [h, w]."""
    return np.asarray(luma(path)[number], float)


def test_the_result_has_as_many_frames_as_the_speech_is_long(made: Made) -> None:
    _, output, report = made
    stream = probe(output).video
    assert stream is not None
    assert report.frames == round(Fraction(SECONDS).limit_denominator(10) * RATE) == FRAMES
    verify_result(output, frames=FRAMES, frame_rate=RATE, seconds=report.seconds, size=(stream.width, stream.height))
    assert report.seconds == pytest.approx(SECONDS, abs=1e-4)


def test_what_lies_outside_the_face_is_the_source(made: Made, video: Path) -> None:
    _, output, _ = made
    difference = shown(video, 5) - shown(output, 5)
    outside = np.concatenate([difference[:60].ravel(), difference[:, :40].ravel()])
    assert 10 * np.log10(255**2 / np.square(outside).mean()) > 42


def test_the_mouth_is_drawn(made: Made, video: Path) -> None:
    _, output, _ = made
    difference = np.abs(shown(video, 9) - shown(output, 9))
    assert difference.max() > 3 * difference[:60].max()  # the encoder changes every pixel a little


def test_frames_without_a_face_pass_through(made: Made, video: Path) -> None:
    _, output, report = made
    there_and_back = [*range(18), *reversed(range(17))][:FRAMES]
    hidden = [number for number, index in enumerate(there_and_back) if index in HIDDEN]
    assert report.faces_passed == len(hidden) == 6
    assert report.faces_drawn == FRAMES - 6
    assert "frames_without_face" in report.warnings
    for number in (hidden[0], hidden[-1]):
        assert np.abs(shown(video, there_and_back[number]) - shown(output, number)).max() < 8


def test_the_report_names_engine_models_and_licence(made: Made, models: Path) -> None:
    engine, _, report = made
    assert (report.engine, report.driver, report.renderer) == (engine, "wav2lip", "paste" if engine == "wav2lip" else "atlas")
    assert report.models["wav2lip"] == hashlib.sha256((models / "wav2lip_gan.pth").read_bytes()).hexdigest()
    assert "research" in report.licence


def test_a_mouth_that_does_not_follow_the_speech_gives_a_warning(made: Made) -> None:
    _, _, report = made
    assert "doubtful_mouth" in report.warnings


def test_without_confidence_in_the_checkpoint_the_fallback_driver_moves_the_mouth(made: Made) -> None:
    engine, _, report = made
    assert ((report.mouth_correlation or 0.0) > 0.6) == (engine == "wav2lip+atlas")


def test_both_engines_share_one_network_and_keep_it(session: RenderSession) -> None:
    drivers = [session.load(name).driver for name in ENGINES]
    assert isinstance(drivers[0], MouthImageDriver)
    assert isinstance(drivers[1], MouthMotionDriver)
    assert drivers[0]._model.generator is drivers[1]._model.generator
    assert drivers[0]._model.shift == TRAINED_SHIFT
    assert session.load("wav2lip").driver is drivers[0]
