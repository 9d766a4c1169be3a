"""Both engines with an untrained checkpoint on a real face: the picture is noise; everything about it must be right."""

import hashlib
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.pipeline import RenderReport, RenderRequest, RenderSession
from heygem_daemon.lipsync.wav2lip import library, loading
from heygem_daemon.lipsync.wav2lip.calibration import TRAINED_SHIFT, Calibration, save_calibration
from heygem_daemon.lipsync.wav2lip.options import Wav2LipOptions
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader

SECONDS = 1.3
RATE = Fraction(30000, 1001)
ENGINES = ("wav2lip", "wav2lip+atlas")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def models(place: Path, weights: Path, recipe: dict[str, torch.Tensor]) -> Path:
    """A directory of model files into which somebody has dropped an untrained checkpoint. It has been measured: it follows nothing."""
    directory = place / "models"
    directory.mkdir()
    for path in (*weights.glob("*.tflite"), *weights.glob("*.safetensors")):
        (directory / path.name).symlink_to(path)
    torch.save({"state_dict": {f"module.{name}": value for name, value in recipe.items()}}, directory / "wav2lip_gan.pth")
    found = library.find(directory)
    save_calibration(Calibration(offset_ms=None, r=0.1, measured_with="a test", measured="2026-01-01T00:00:00+00:00"), found.notes)
    return directory


@pytest.fixture(scope="module")
def session(place: Path, models: Path) -> RenderSession:
    return RenderSession(models, place / "cache", device="cpu", threads=2, wav2lip=Wav2LipOptions(licence_confirmed=True))


@pytest.fixture(scope="module")
def recording(place: Path, voice: np.ndarray) -> Path:
    path = place / "speech.wav"
    sound = (voice[: round(SECONDS * 16000)] * 32767).astype("<i2").tobytes()
    command = ("ffmpeg", "-v", "error", "-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-", str(path))
    subprocess.run(command, input=sound, check=True)
    return path


@pytest.fixture(scope="module")
def video(place: Path, portrait_clip: Path) -> Path:
    """The portrait for .8 s at 30000/1001: shorter than the recording, it is played forth and back."""
    path = place / "presenter.mp4"
    command = ("ffmpeg", "-v", "error", "-i", str(portrait_clip), "-t", "0.8", "-r", str(RATE), "-c:v", "libx264", "-crf", "12", str(path))
    subprocess.run(command, check=True)
    return path


Made = tuple[str, Path, RenderReport]


@pytest.fixture(scope="module", params=ENGINES)
def made(request: pytest.FixtureRequest, session: RenderSession, place: Path, recording: Path, video: Path) -> Made:
    output = place / f"{request.param}.mp4"
    asked = RenderRequest(recording=recording, video=video, output=output, engine=request.param, quality=10)
    return request.param, output, session.render(asked)


def test_the_result_has_as_many_frames_as_the_speech_is_long(made: Made) -> None:
    _, output, report = made
    stream = probe(output).video
    assert stream is not None
    assert report.frames == round(Fraction(SECONDS).limit_denominator(10) * RATE) == 39
    assert len(list(VideoReader(probe(output)).frames())) == 39
    assert stream.frame_rate == RATE


def test_what_lies_outside_the_face_is_the_source(made: Made, video: Path) -> None:
    _, output, _ = made
    source, result = (next(VideoReader(probe(path)).frames(5, 6)).y.astype(float) for path in (video, output))
    outside = np.concatenate([(source - result)[:60].ravel(), (source - result)[:, :40].ravel()])
    assert 10 * np.log10(255**2 / np.square(outside).mean()) > 42


def test_the_mouth_is_drawn(made: Made, video: Path) -> None:
    _, output, report = made
    assert (report.faces_drawn, report.faces_passed) == (39, 0)
    source, result = (next(VideoReader(probe(path)).frames(12, 13)).y.astype(float) for path in (video, output))
    difference = np.abs(source - result)
    assert difference.max() > 3 * difference[:60].max()  # the encoder changes every pixel a little


def test_the_report_says_what_was_used_and_under_which_licence(made: Made, models: Path) -> None:
    engine, _, report = made
    assert (report.engine, report.driver, report.renderer) == (engine, "wav2lip", "paste" if engine == "wav2lip" else "atlas")
    assert report.models["wav2lip"] == hashlib.sha256((models / "wav2lip_gan.pth").read_bytes()).hexdigest()
    assert "research" in report.licence


def test_a_mouth_that_does_not_follow_the_speech_is_told(made: Made) -> None:
    _, _, report = made
    assert "doubtful_mouth" in report.warnings


def test_where_the_checkpoint_makes_no_sense_our_own_driver_speaks(made: Made) -> None:
    engine, _, report = made
    assert report.mouth_correlation is not None
    assert (report.mouth_correlation > 0.8) == (engine == "wav2lip+atlas")


def test_both_engines_share_one_network_and_keep_it(session: RenderSession) -> None:
    drivers = [session.load(name).driver for name in ENGINES]
    assert drivers[0]._trained.generator is drivers[1]._trained.generator
    assert drivers[0]._trained.shift == TRAINED_SHIFT
    assert session.load("wav2lip").driver is drivers[0]


def test_nothing_is_loaded_before_the_licence_is_confirmed(place: Path, models: Path) -> None:
    with pytest.raises(SetupError) as caught:
        RenderSession(models, place / "cache", device="cpu").load("wav2lip")
    assert caught.value.code == "licence_not_confirmed"


def test_a_checkpoint_is_measured_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = library.find(models).notes
    kept, measured = notes.read_text(), []

    def measure(bench: object, clip: object) -> Calibration:
        measured.append(clip)
        return Calibration(offset_ms=-60.0, r=0.6, measured_with="a test", measured="2026-01-01T00:00:00+00:00")

    monkeypatch.setattr(loading, "calibrate", measure)
    try:
        notes.unlink()
        options = Wav2LipOptions(licence_confirmed=True)
        first, second = (loading.load_driver(models, "cpu", options, reads_lips=True) for _ in range(2))
        assert measured == [None]
        assert first._trained.shift == second._trained.shift == TRAINED_SHIFT - Fraction(60, 1000)
    finally:
        notes.write_text(kept)
