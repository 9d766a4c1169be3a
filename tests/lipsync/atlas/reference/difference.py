"""How much two drawings of one frame differ, in the area that drawing changed."""

import numpy as np

from heygem_daemon.lipsync.arrays import Int32
from heygem_daemon.media.frame import Frame


def differences(a: Frame, b: Frame, before: Frame) -> Int32:
    """Return int32 [n]: a - b in luma and both colours, of all blocks of 2x2 pixels in which one of them differs from `before`."""
    changed = np.zeros(before.u.shape, bool)
    for drawn in (a, b):
        luma = drawn.y != before.y
        changed |= luma[::2, ::2] | luma[1::2, ::2] | luma[::2, 1::2] | luma[1::2, 1::2]
        changed |= (drawn.u != before.u) | (drawn.v != before.v)
    pixels = changed.repeat(2, axis=0).repeat(2, axis=1)
    pairs = ((a.y, b.y, pixels), (a.u, b.u, changed), (a.v, b.v, changed))
    return np.concatenate([(ours[where].astype(np.int32) - theirs[where]) for ours, theirs, where in pairs])


def decibels(error: Int32) -> float:
    """Return the peak signal-to-noise ratio of differences [n] of 8-bit codes."""
    return float(10 * np.log10(255**2 / max(float(np.square(error).mean()), 1e-6)))
