"""Where the weights of the speech driver are: learned here, put here by hand, or shipped."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from heygem_daemon.core.errors import error

FILE_NAME: Final = "phonetic.safetensors"
LOCAL: Final = Path("local") / FILE_NAME
"""Inside the directory of the model files: weights that `heygem learn` adopted. They win."""


def weights_file(models: Path) -> Path:
    """Return the weights to use. models: the directory of the model files. Raises SetupError (`models_missing`)."""
    for path in (models / LOCAL, models / FILE_NAME, *shipped_places()):
        if path.is_file():
            return path
    raise error("models_missing", name=FILE_NAME)


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
