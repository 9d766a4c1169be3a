"""How early or late the mouths of a checkpoint are is measured with a still face, and saved."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.wav2lip import calibration as module
from heygem_daemon.lipsync.wav2lip.calibration import (
    TRAINED_SHIFT,
    UNMEASURED,
    VERSION,
    Calibration,
    CalibrationRig,
    calibrate,
    load_calibration,
    save_calibration,
    speech_command,
)
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurer
from heygem_daemon.media.probe import probe
from heygem_daemon.media.speech import speech_blocks
from tests.lipsync.wav2lip.fake_generator import FakeGenerator, MouthImages, SpeechOpening, always_shut

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

SECONDS = 5
FOUND = Calibration(offset_ms=-61.2, r=0.61, measured_with="built-in portrait", measured="2026-01-01T00:00:00+00:00")


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first seconds of the sentences are used."""
    monkeypatch.setattr(module, "_LONGEST", SECONDS)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The first seconds of the speech of the self-test, float32 [n] at 16 kHz."""
    path = tmp_path_factory.mktemp("sentences") / "speech.wav"
    subprocess.run(speech_command(path), check=True)
    return np.concatenate(list(speech_blocks(probe(path))))[: SECONDS * 16000]


@pytest.fixture(scope="module")
def measured(fallback_driver: PhoneticDriver, measurer: MouthMeasurer, mouths: MouthImages, weights: Path) -> Callable[..., Calibration]:
    """Measure a checkpoint whose mouths have these openings."""

    def measure(opening: Callable[[Float32], npt.ArrayLike], clip: Path | None = None) -> Calibration:
        generator = FakeGenerator(mouths=mouths, opening=opening)
        found = calibrate(CalibrationRig(generator=generator, fallback_driver=fallback_driver, measurer=measurer, models=weights), clip)
        assert found is not None
        return found

    return measure


def late(fallback_driver: PhoneticDriver, sentences: np.ndarray, delay: float) -> SpeechOpening:
    """Return a mouth that comes `delay` seconds late where windows begin as they did in training."""
    return SpeechOpening(fallback_driver, sentences, lead=1 / 25 - delay)


# -- measuring -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.family(3)
@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("delay_ms", [-60, 0, 80])
def test_the_delay_of_a_checkpoint_is_measured(
    measured: Callable[..., Calibration], fallback_driver: PhoneticDriver, sentences: np.ndarray, delay_ms: int
) -> None:
    found = measured(late(fallback_driver, sentences, delay_ms / 1000))
    assert found.offset_ms == pytest.approx(delay_ms, abs=15)
    assert found.r > 0.8
    assert found.follows_speech
    assert found.measured_with == "built-in portrait"
    assert found.measured.startswith("20")
    assert found.version == VERSION


def test_a_mouth_that_does_not_move_has_no_offset(measured: Callable[..., Calibration], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 1)
    found = measured(always_shut)
    assert (found.offset_ms, found.r, found.follows_speech) == (None, 0, False)
    assert found.shift == TRAINED_SHIFT


@pytest.mark.slow  # one that does not move has none either
@pytest.mark.usefixtures("_short")
def test_a_mouth_that_ignores_the_audio_has_no_offset(measured: Callable[..., Calibration]) -> None:
    random = np.random.default_rng(1)
    found = measured(lambda mels: random.uniform(0, 1, len(mels)))
    assert found.offset_ms is None
    assert 0 < found.r < 0.4


@pytest.mark.slow  # a mouth that does not move has none either
@pytest.mark.usefixtures("_short")
def test_an_offset_that_no_checkpoint_has_is_not_believed(
    measured: Callable[..., Calibration], fallback_driver: PhoneticDriver, sentences: np.ndarray
) -> None:
    assert measured(late(fallback_driver, sentences, 0.3)).offset_ms is None


def test_without_espeak_nothing_is_measured(
    fallback_driver: PhoneticDriver, measurer: MouthMeasurer, mouths: MouthImages, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "speech_command", lambda path: ("heygem-no-such-program", str(path)))
    rig = CalibrationRig(
        generator=FakeGenerator(mouths=mouths, opening=always_shut), fallback_driver=fallback_driver, measurer=measurer, models=weights
    )
    assert calibrate(rig) is None
    assert UNMEASURED.follows_speech
    assert UNMEASURED.shift == TRAINED_SHIFT


@pytest.mark.slow  # the built-in portrait is measured in the same way
def test_a_clip_of_a_speaking_person_can_be_used(
    measured: Callable[..., Calibration], fallback_driver: PhoneticDriver, portrait: Path, voice: np.ndarray, tmp_path: Path
) -> None:
    audio = (voice[: 3 * 16000] * 32767).astype("<i2")
    clip = tmp_path / "anna speaks.mkv"
    source = ("-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-")
    target = (
        "-vf",
        "crop=384:384:60:20,format=yuv420p",
        "-t",
        "3",
        "-r",
        "5",
        "-c:v",
        "libx264",
        "-c:a",
        "flac",
        str(clip),
    )
    subprocess.run(("ffmpeg", "-v", "error", "-loop", "1", "-i", str(portrait), *source, *target), input=audio.tobytes(), check=True)
    opening = SpeechOpening(fallback_driver, np.concatenate(list(speech_blocks(probe(clip)))), lead=1 / 25 + 0.06)
    found = measured(opening, clip)
    assert found.offset_ms == pytest.approx(-60, abs=20)
    assert found.measured_with == "anna speaks.mkv"


def test_a_clip_without_a_face_is_refused(measured: Callable[..., Calibration], tmp_path: Path) -> None:
    clip = tmp_path / "wall.mkv"
    sources = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=5:d=1", "-f", "lavfi", "-i", "sine=d=1")
    subprocess.run(("ffmpeg", "-v", "error", *sources, "-c:a", "flac", "-pix_fmt", "yuv420p", str(clip)), check=True)
    with pytest.raises(InputError) as refused:
        measured(always_shut, clip)
    assert refused.value.code == "no_face"


def test_a_recording_without_video_is_refused(measured: Callable[..., Calibration], tmp_path: Path) -> None:
    recording = tmp_path / "voice.flac"
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=d=1", str(recording)), check=True)
    with pytest.raises(InputError) as refused:
        measured(always_shut, recording)
    assert refused.value.code == "not_a_video"


# -- the shift -----------------------------------------------------------------------------------------------------------------------------


def test_for_mouths_that_are_early_the_window_begins_earlier() -> None:
    assert Fraction(-1, 25) == TRAINED_SHIFT
    assert FOUND.shift == Fraction(-101, 1000)
    assert replace(FOUND, offset_ms=80.0).shift == Fraction(40, 1000)
    assert replace(FOUND, offset_ms=0.0).shift == replace(FOUND, offset_ms=None).shift == TRAINED_SHIFT


# -- the file ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [FOUND, replace(FOUND, offset_ms=None, r=0.1)])
def test_a_saved_calibration_is_read_again(found: Calibration, tmp_path: Path) -> None:
    save_calibration(found, tmp_path / "calibration.json")
    assert load_calibration(tmp_path / "calibration.json") == found
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.json"]


def test_a_calibration_of_another_version_is_ignored(tmp_path: Path) -> None:
    save_calibration(replace(FOUND, version="calibration 0"), tmp_path / "calibration.json")
    assert load_calibration(tmp_path / "calibration.json") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"offset_ms": 3}', '{"weather": "fine"}', "\udcff"], ids=range(7))
def test_a_garbled_file_is_no_calibration(content: str, tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert load_calibration(tmp_path / "calibration.json") is None


@pytest.mark.parametrize("offset", ["soon", [1]], ids=str)
def test_an_offset_that_is_no_number_is_no_offset(offset: object, tmp_path: Path) -> None:
    save_calibration(FOUND, tmp_path / "calibration.json")
    content = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8")) | {"offset_ms": offset}
    (tmp_path / "calibration.json").write_text(json.dumps(content), encoding="utf-8")
    assert load_calibration(tmp_path / "calibration.json") is None


def test_a_missing_file_is_no_calibration(tmp_path: Path) -> None:
    assert load_calibration(tmp_path / "calibration.json") is None
