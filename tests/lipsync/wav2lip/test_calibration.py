"""How early or late the mouths of a checkpoint come is measured with a still face, and remembered."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError
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
from heygem_daemon.media.speech import speech_blocks
from tests.lipsync.wav2lip.talker import Listener, Mouths, Talker, mute

SECONDS = 5
FOUND = Calibration(offset_ms=-61.2, r=0.61, measured_with="built-in portrait", measured="2026-01-01T00:00:00+00:00")


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first seconds of the sentences are listened to."""
    monkeypatch.setattr(module, "_LONGEST", SECONDS)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The first seconds of what the self-test says, float32 [n] at 16 kHz."""
    path = tmp_path_factory.mktemp("sentences") / "speech.wav"
    subprocess.run(speech_command(path), check=True)
    return np.concatenate(list(speech_blocks(path)))[: SECONDS * 16000]


@pytest.fixture(scope="module")
def measured(fallback_driver: PhoneticDriver, reader: MouthMeasurer, mouths: Mouths, weights: Path) -> Callable[..., Calibration]:
    """Measure a checkpoint that opens the mouth as `opening` says."""

    def measure(opening: Callable[[np.ndarray], object], clip: Path | None = None) -> Calibration:
        talker = Talker(mouths=mouths, opening=opening)  # type: ignore[arg-type]
        found = calibrate(CalibrationRig(generator=talker, driver=fallback_driver, reader=reader, models=weights), clip)  # type: ignore[arg-type]
        assert found is not None
        return found

    return measure


def late(fallback_driver: PhoneticDriver, sentences: np.ndarray, delay: float) -> Listener:
    """Return a mouth that comes `delay` seconds late where windows begin as they did in training."""
    return Listener(fallback_driver, sentences, lead=1 / 25 - delay)


# -- measuring ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("delay_ms", [-60, 0, 80])
def test_it_is_found_how_late_a_checkpoint_is(
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
    found = measured(mute)
    assert (found.offset_ms, found.r, found.follows_speech) == (None, 0, False)
    assert found.shift == TRAINED_SHIFT


@pytest.mark.usefixtures("_short")
def test_a_mouth_that_does_not_listen_has_no_offset(measured: Callable[..., Calibration]) -> None:
    random = np.random.default_rng(1)
    found = measured(lambda mels: random.uniform(0, 1, len(mels)))
    assert found.offset_ms is None
    assert 0 < found.r < 0.4


@pytest.mark.usefixtures("_short")
def test_an_offset_that_no_checkpoint_has_is_not_believed(
    measured: Callable[..., Calibration], fallback_driver: PhoneticDriver, sentences: np.ndarray
) -> None:
    assert measured(late(fallback_driver, sentences, 0.3)).offset_ms is None


def test_without_espeak_nothing_is_measured(
    fallback_driver: PhoneticDriver, reader: MouthMeasurer, mouths: Mouths, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "speech_command", lambda path: ("heygem-no-such-program", str(path)))
    rig = CalibrationRig(generator=Talker(mouths=mouths, opening=mute), driver=fallback_driver, reader=reader, models=weights)  # type: ignore[arg-type]
    assert calibrate(rig) is None
    assert UNMEASURED.follows_speech
    assert UNMEASURED.shift == TRAINED_SHIFT


def test_a_clip_of_somebody_speaking_can_be_used(
    measured: Callable[..., Calibration], fallback_driver: PhoneticDriver, portrait: Path, voice: np.ndarray, tmp_path: Path
) -> None:
    sound = (voice[: 3 * 16000] * 32767).astype("<i2")
    clip = tmp_path / "anna speaks.mkv"
    heard = ("-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-")
    written = (
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
    subprocess.run(("ffmpeg", "-v", "error", "-loop", "1", "-i", str(portrait), *heard, *written), input=sound.tobytes(), check=True)
    listener = Listener(fallback_driver, np.concatenate(list(speech_blocks(clip))), lead=1 / 25 + 0.06)
    found = measured(listener, clip)
    assert found.offset_ms == pytest.approx(-60, abs=20)
    assert found.measured_with == "anna speaks.mkv"


def test_a_clip_without_a_face_is_refused(measured: Callable[..., Calibration], tmp_path: Path) -> None:
    clip = tmp_path / "wall.mkv"
    sources = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=5:d=1", "-f", "lavfi", "-i", "sine=d=1")
    subprocess.run(("ffmpeg", "-v", "error", *sources, "-c:a", "flac", "-pix_fmt", "yuv420p", str(clip)), check=True)
    with pytest.raises(InputError) as refused:
        measured(mute, clip)
    assert refused.value.code == "no_face"


def test_a_clip_without_a_picture_is_refused(measured: Callable[..., Calibration], tmp_path: Path) -> None:
    sound = tmp_path / "voice.flac"
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=d=1", str(sound)), check=True)
    with pytest.raises(InputError) as refused:
        measured(mute, sound)
    assert refused.value.code == "not_a_video"


# -- what follows from it -----------------------------------------------------------------------------------------------------------------


def test_mouths_that_are_early_hear_later_what_they_hear_now() -> None:
    assert Fraction(-1, 25) == TRAINED_SHIFT
    assert FOUND.shift == Fraction(-101, 1000)
    assert replace(FOUND, offset_ms=80.0).shift == Fraction(40, 1000)
    assert replace(FOUND, offset_ms=0.0).shift == replace(FOUND, offset_ms=None).shift == TRAINED_SHIFT


# -- remembering --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [FOUND, replace(FOUND, offset_ms=None, r=0.1)])
def test_what_was_found_is_read_again(found: Calibration, tmp_path: Path) -> None:
    save_calibration(found, tmp_path / "notes.json")
    assert load_calibration(tmp_path / "notes.json") == found
    assert [path.name for path in tmp_path.iterdir()] == ["notes.json"]


def test_what_another_version_measured_is_measured_again(tmp_path: Path) -> None:
    save_calibration(replace(FOUND, version="calibration 0"), tmp_path / "notes.json")
    assert load_calibration(tmp_path / "notes.json") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"offset_ms": 3}', '{"weather": "fine"}', "\udcff"], ids=range(7))
def test_notes_that_make_no_sense_are_no_notes(content: str, tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert load_calibration(tmp_path / "notes.json") is None


@pytest.mark.parametrize("offset", ["soon", [1]], ids=str)
def test_an_offset_that_is_no_number_is_no_offset(offset: object, tmp_path: Path) -> None:
    save_calibration(FOUND, tmp_path / "notes.json")
    told = json.loads((tmp_path / "notes.json").read_text(encoding="utf-8")) | {"offset_ms": offset}
    (tmp_path / "notes.json").write_text(json.dumps(told), encoding="utf-8")
    assert load_calibration(tmp_path / "notes.json") is None


def test_no_notes_are_no_notes(tmp_path: Path) -> None:
    assert load_calibration(tmp_path / "notes.json") is None
