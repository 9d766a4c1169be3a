"""The Wav2Lip engines as a render session gets them: checkpoint found, confirmed, loaded once, calibrated once."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.ports import Driver
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import load_weights
from heygem_daemon.lipsync.wav2lip.calibration import UNMEASURED, Bench, Calibration, calibrate, load_calibration, save_calibration
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.checkpoints.store import Checkpoint
from heygem_daemon.lipsync.wav2lip.driver import LipsDriver, PictureDriver, Trained
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator
from heygem_daemon.lipsync.wav2lip.mouth_measurement import LipReader


def load_driver(models: Path, device: str, checkpoint_name: str, *, licence_confirmed: bool, reads_lips: bool) -> Driver:
    """Return the driver of an engine.

    models: the directory of the model files; checkpoint_name: "" = the one added last; reads_lips: for a renderer that has a mouth
    of its own.

    Raises SetupError: `licence_not_confirmed`, `models_missing`, and what `store.find` and `store.load` raise.
    """
    checkpoint, bench = _loaded(models, device, checkpoint_name, licence_confirmed=licence_confirmed)
    calibration = load_calibration(checkpoint.notes) or _calibrated(checkpoint, bench, None) or UNMEASURED
    trained = Trained(
        generator=bench.generator, sha256=checkpoint.sha256, shift=calibration.shift, follows_speech=calibration.follows_speech
    )
    return (LipsDriver if reads_lips else PictureDriver)(trained, bench.driver, bench.reader)


def measure(
    models: Path, device: str, checkpoint_name: str, clip: Path | None, *, licence_confirmed: bool
) -> tuple[Checkpoint, Calibration | None]:
    """Calibrate a checkpoint anew, with the face and the voice of `clip` where one is given; see `calibrate`. Raises HeygemError."""
    checkpoint, bench = _loaded(models, device, checkpoint_name, licence_confirmed=licence_confirmed)
    return checkpoint, _calibrated(checkpoint, bench, clip)


def _loaded(models: Path, device: str, checkpoint_name: str, *, licence_confirmed: bool) -> tuple[Checkpoint, Bench]:
    if not licence_confirmed:
        raise error("licence_not_confirmed")
    checkpoint = store.find(models, checkpoint_name)
    generator = shared_generator(checkpoint, device)
    companion = PhoneticDriver(load_weights(models))
    return checkpoint, Bench(generator=generator, driver=companion, reader=LipReader(models), models=models)


@lru_cache(maxsize=1)
def shared_generator(checkpoint: Checkpoint, device: str) -> FaceGenerator:
    """Return the network at work; both engines of a process share one. Raises SetupError (see `store.load`)."""
    return FaceGenerator(store.load(checkpoint), device)


def _calibrated(checkpoint: Checkpoint, bench: Bench, clip: Path | None) -> Calibration | None:
    """Measure the checkpoint and keep what was found beside it, where that can be written."""
    calibration = calibrate(bench, clip)
    if calibration is not None:
        with suppress(OSError):
            save_calibration(calibration, checkpoint.notes)
    return calibration
