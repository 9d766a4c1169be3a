"""Sound that is only numbers."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt


def clean(blocks: Iterable[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
    """Float recordings may hold NaN or infinity, which would spoil everything that comes after."""
    for block in blocks:
        yield np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
