"""A checkpoint is loaded: licence confirmed, found, loaded once for both engines, calibrated once."""

import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.wav2lip import calibration, loading
from heygem_daemon.lipsync.wav2lip.calibration import TRAINED_SHIFT, VERSION, Calibration, load_calibration, save_calibration
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.checkpoints.store import Checkpoint
from heygem_daemon.lipsync.wav2lip.driver import MouthImageDriver, MouthMotionDriver
from heygem_daemon.lipsync.wav2lip.loading import load_driver, measure

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

FOUND = Calibration(offset_ms=-60.0, r=0.6, measured_with="a test", measured="2026-01-01T00:00:00+00:00")


@pytest.fixture(scope="module")
def checkpoint(untrained_models: Path) -> Checkpoint:
    return store.find(untrained_models)


@pytest.fixture
def unmeasured(untrained_models: Path, checkpoint: Checkpoint) -> Iterator[Path]:
    """The model files without a calibration of the checkpoint; one that a test writes is deleted."""
    kept = checkpoint.calibration_path.read_bytes() if checkpoint.calibration_path.exists() else None
    checkpoint.calibration_path.unlink(missing_ok=True)
    yield untrained_models
    checkpoint.calibration_path.unlink(missing_ok=True)
    if kept is not None:
        checkpoint.calibration_path.write_bytes(kept)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """The clips of all calibrations, which are replaced: each finds an offset of -60 ms."""
    done: list[Path | None] = []

    def calibrate(_: object, clip: Path | None = None) -> Calibration:
        done.append(clip)
        return FOUND

    monkeypatch.setattr(loading, "calibrate", calibrate)
    return done


def refusal(models: Path, checkpoint: str = "", *, licence_confirmed: bool) -> str:
    with pytest.raises(SetupError) as caught:
        load_driver(models, "cpu", checkpoint, licence_confirmed=licence_confirmed, measures_mouth=False)
    return caught.value.code


# -- requirements --------------------------------------------------------------------------------------------------------------------------


def test_nothing_is_read_before_the_licence_is_confirmed(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing here", licence_confirmed=False) == "licence_not_confirmed"
    assert refusal(tmp_path / "nothing here", "mine", licence_confirmed=False) == "licence_not_confirmed"


def test_nothing_is_converted_before_the_licence_is_confirmed(tmp_path: Path, compact_file: Path) -> None:
    os.link(compact_file, tmp_path / "new.pth")
    assert refusal(tmp_path, licence_confirmed=False) == "licence_not_confirmed"
    assert [path.name for path in tmp_path.iterdir()] == ["new.pth"]


def test_a_missing_checkpoint_is_an_error(tmp_path: Path) -> None:
    assert refusal(tmp_path, licence_confirmed=True) == "checkpoint_missing"


def test_a_checkpoint_can_be_chosen_by_name(unmeasured: Path, measured: list[Path | None]) -> None:
    assert refusal(unmeasured, "another", licence_confirmed=True) == "checkpoint_missing"
    named = load_driver(unmeasured, "cpu", "wav2lip_gan", licence_confirmed=True, measures_mouth=False)
    assert named.model_hashes["wav2lip"] == store.find(unmeasured).sha256
    assert measured == [None]


def test_the_face_mesh_is_required(unmeasured: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "wav2lip").mkdir()
    os.link(checkpoint.path, tmp_path / "wav2lip" / checkpoint.path.name)
    assert unmeasured.is_dir()
    assert refusal(tmp_path, licence_confirmed=True) == "models_missing"


# -- one network, one measurement ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow  # test_engines_end_to_end.py has it too
def test_both_engines_share_one_network(unmeasured: Path, measured: list[Path | None]) -> None:
    images, motion = (load_driver(unmeasured, "cpu", "", licence_confirmed=True, measures_mouth=measures) for measures in (False, True))
    assert isinstance(images, MouthImageDriver)
    assert isinstance(motion, MouthMotionDriver)
    assert images._model.generator is motion._model.generator
    assert len(measured) == 1


def test_a_calibration_is_stored_beside_the_checkpoint_and_not_repeated(
    unmeasured: Path, checkpoint: Checkpoint, measured: list[Path | None]
) -> None:
    for _ in range(2):
        driver = load_driver(unmeasured, "cpu", "", licence_confirmed=True, measures_mouth=True)
        assert driver._model.shift == TRAINED_SHIFT - Fraction(60, 1000)
        assert driver._model.follows_speech
    assert measured == [None]
    assert checkpoint.calibration_path.parent == checkpoint.path.parent
    assert load_calibration(checkpoint.calibration_path) == FOUND
    assert store.measured_offset(checkpoint) == -60


def test_a_calibration_of_another_version_is_repeated(unmeasured: Path, checkpoint: Checkpoint, measured: list[Path | None]) -> None:
    save_calibration(FOUND, checkpoint.calibration_path)
    content = json.loads(checkpoint.calibration_path.read_text(encoding="utf-8"))
    checkpoint.calibration_path.write_text(json.dumps(content | {"version": "calibration 0", "offset_ms": 7.0}), encoding="utf-8")
    load_driver(unmeasured, "cpu", "", licence_confirmed=True, measures_mouth=True)
    assert measured == [None]
    again = load_calibration(checkpoint.calibration_path)
    assert again is not None
    assert (again.version, again.offset_ms) == (VERSION, -60)


def test_it_can_be_calibrated_again_with_a_clip(
    unmeasured: Path, checkpoint: Checkpoint, measured: list[Path | None], tmp_path: Path
) -> None:
    save_calibration(Calibration(offset_ms=None, r=0.0, measured_with="", measured=""), checkpoint.calibration_path)
    assert measure(unmeasured, "cpu", "", tmp_path / "clip.mp4", licence_confirmed=True) == (checkpoint, FOUND)
    assert measured == [tmp_path / "clip.mp4"]
    assert load_calibration(checkpoint.calibration_path) == FOUND


def test_a_directory_that_cannot_be_written_is_no_obstacle(
    unmeasured: Path, checkpoint: Checkpoint, measured: list[Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(calibration, "write_durably", refuse)
    assert load_driver(unmeasured, "cpu", "", licence_confirmed=True, measures_mouth=True)._model.shift == FOUND.shift
    assert not checkpoint.calibration_path.exists()
    assert len(measured) == 1


def test_a_checkpoint_that_cannot_be_measured_is_used_as_it_was_trained(
    unmeasured: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "speech_command", lambda path: ("heygem-no-such-program", str(path)))
    driver = load_driver(unmeasured, "cpu", "", licence_confirmed=True, measures_mouth=True)
    assert (driver._model.shift, driver._model.follows_speech) == (TRAINED_SHIFT, True)
    assert not checkpoint.calibration_path.exists()


@pytest.mark.slow  # test_calibration.py measures, and the tests above use what it finds
def test_an_untrained_checkpoint_is_found_to_follow_nothing(
    unmeasured: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real self-test, on the first second of its sentences."""
    monkeypatch.setattr(calibration, "_LONGEST", 1)
    driver = load_driver(unmeasured, "cpu", "", licence_confirmed=True, measures_mouth=True)
    found = load_calibration(checkpoint.calibration_path)
    assert found is not None
    assert found.measured_with == "built-in portrait"
    assert driver._model.follows_speech == found.follows_speech
    assert driver._model.shift == found.shift
