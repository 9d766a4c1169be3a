"""Find the weights of the speech driver: learned on this server, put beside the model files by hand, or shipped."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.speech.model import PhoneticModel, load

FILE_NAME: Final = "phonetic.safetensors"
SHIPPED_BYTES: Final = 18_700_258
SHIPPED_SHA256: Final = "eebadf433921229590ac6b75487e49d56b698cc08bde493a018b2083b42f31c7"
"""Of the file that is shipped: one of its size with another content is damaged. Others carry a hash of their content."""
LOCAL: Final = Path("local") / FILE_NAME
"""Path below the directory of the model files: weights that `heygem learn` adopted. They have priority."""


def load_weights(models: Path) -> PhoneticModel:
    """Return the weights to use. models: the directory of the model files. Raises SetupError (`models_missing`, `weights_damaged`).

    Learned weights of another version of the network, and damaged ones, are ignored: the shipped ones are used until `heygem learn` is run
    again.
    """
    if (models / LOCAL).is_file():
        with suppress(ValueError):
            return load(models / LOCAL)
    own = models / FILE_NAME
    path = own if own.is_file() else shipped_weights()
    try:
        model = load(path)
    except ValueError as problem:
        raise error("weights_damaged", name=path.name, path=path, problem=str(problem)) from problem
    if path.stat().st_size == SHIPPED_BYTES and model.sha256 != SHIPPED_SHA256:
        raise error("weights_damaged", name=path.name, path=path, problem="its sha256 differs from that of the file that was shipped")
    return model


def shipped_weights() -> Path:
    """Return the weights that came with the project. Raises SetupError (`models_missing`)."""
    for path in shipped_places():
        if path.is_file():
            return path
    raise error("models_missing", name=FILE_NAME)


def shipped_places() -> tuple[Path, ...]:
    """Return where the project's own weights may lie: in the checkout, or where the installed package puts its data."""
    return tuple(_places())


def _places() -> Iterator[Path]:
    yield Path(__file__).parents[3] / "weights" / FILE_NAME
    yield Path(sys.prefix) / "share" / "heygem-daemon" / FILE_NAME
