"""Load the drivers of the Wav2Lip engines: find the checkpoint, check the licence, load and calibrate it once."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import load_weights
from heygem_daemon.lipsync.wav2lip.calibration import UNMEASURED, Calibration, CalibrationRig, calibrate, load_calibration, save_calibration
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.checkpoints.store import Checkpoint
from heygem_daemon.lipsync.wav2lip.driver import CalibratedModel, MouthImageDriver, MouthMotionDriver
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurer


def load_driver(
    models: Path, device: str, checkpoint_name: str, *, licence_confirmed: bool, measures_mouth: bool
) -> MouthImageDriver | MouthMotionDriver:
    """Return the driver of an engine.

    models: the directory of the model files; checkpoint_name: "" = the one added last; measures_mouth: for a renderer that
    draws a mouth of its own.

    Raises SetupError: `licence_not_confirmed`, `models_missing`, and what `store.find` and `store.load` raise.
    """
    checkpoint, rig = _load_rig(models, device, checkpoint_name, licence_confirmed=licence_confirmed)
    calibration = load_calibration(checkpoint.calibration_path) or _calibrate(checkpoint, rig, None) or UNMEASURED
    model = CalibratedModel(
        generator=rig.generator, sha256=checkpoint.sha256, shift=calibration.shift, follows_speech=calibration.follows_speech
    )
    return (MouthMotionDriver if measures_mouth else MouthImageDriver)(model, rig.fallback_driver, rig.measurer)


def measure(
    models: Path, device: str, checkpoint_name: str, clip: Path | None, *, licence_confirmed: bool
) -> tuple[Checkpoint, Calibration | None]:
    """Calibrate a checkpoint again, with the face and the voice of `clip` where one is given; see `calibrate`. Raises HeygemError."""
    checkpoint, rig = _load_rig(models, device, checkpoint_name, licence_confirmed=licence_confirmed)
    return checkpoint, _calibrate(checkpoint, rig, clip)


def _load_rig(models: Path, device: str, checkpoint_name: str, *, licence_confirmed: bool) -> tuple[Checkpoint, CalibrationRig]:
    if not licence_confirmed:
        raise error("licence_not_confirmed")
    checkpoint = store.find(models, checkpoint_name)
    generator = shared_generator(checkpoint, device)
    fallback_driver = PhoneticDriver(load_weights(models), device)
    return checkpoint, CalibrationRig(generator=generator, fallback_driver=fallback_driver, measurer=MouthMeasurer(models), models=models)


@lru_cache(maxsize=1)
def shared_generator(checkpoint: Checkpoint, device: str) -> FaceGenerator:
    """Return the generator of a checkpoint; both engines of a process share one. Raises SetupError (see `store.load`)."""
    return FaceGenerator(store.load(checkpoint), device)


def _calibrate(checkpoint: Checkpoint, rig: CalibrationRig, clip: Path | None) -> Calibration | None:
    """Calibrate the checkpoint and save the result beside it, where that can be written."""
    calibration = calibrate(rig, clip)
    if calibration is not None:
        with suppress(OSError):
            save_calibration(calibration, checkpoint.calibration_path)
    return calibration
