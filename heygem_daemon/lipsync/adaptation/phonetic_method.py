"""Learn and measure the weights of the driver `phonetic`, as the driver itself uses them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from heygem_daemon.lipsync.adaptation.adapt import WeightStore
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.cross_validation import Method
from heygem_daemon.lipsync.adaptation.finetune import FINE_COPIES, Encoded, encode_copies, fine_tune
from heygem_daemon.lipsync.adaptation.scores import Prediction
from heygem_daemon.lipsync.speech.model import PhoneticModel, load, save
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.recording_motion import motion_at
from heygem_daemon.lipsync.speech.weights import FILE_NAME, shipped_weights


def phonetic_store(models: Path) -> WeightStore[PhoneticModel]:
    """Return the weights to start from: those beside the model files, else those that came with the project.

    Raises SetupError (`models_missing`).
    """
    own = models / FILE_NAME
    return WeightStore(shipped=own if own.is_file() else shipped_weights(), load=load, save=save)


def phonetic_method(store: WeightStore[PhoneticModel], *, seed: int = 0) -> Method[PhoneticModel]:
    """Return the method. Encoding takes most of the time: `prepare` does it once for all folds, the same whatever they are."""
    shipped, encoded = store.load(store.shipped), Encoded()

    def prepare(clips: Sequence[AvClip]) -> None:
        encoded.clear()
        encoded.update(encode_copies(shipped, clips, copies=FINE_COPIES, seed=seed))

    return Method(shipped=shipped, fine_tune=partial(fine_tune, encoded=encoded), predict=predict, prepare=prepare, seed=seed)


def predict(model: PhoneticModel, clips: Sequence[AvClip]) -> dict[str, Prediction]:
    """Return the opening and width that the driver predicts at the frames of each clip, by clip name."""
    driver = PhoneticDriver(model)
    motions = {clip.name: motion_at(driver, clip.audio, clip.true_times) for clip in clips}
    return {name: Prediction(opening=motion.opening, width=motion.width) for name, motion in motions.items()}
