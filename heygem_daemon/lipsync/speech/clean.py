"""Sound that is only numbers."""

from collections.abc import Iterable, Iterator

import numpy as np

from heygem_daemon.lipsync.arrays import Float32


def clean(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Float recordings may hold NaN or infinity, which would spoil everything that comes after."""
    for block in blocks:
        yield np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
