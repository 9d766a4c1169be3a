"""The smooth step from 0 to 1 with which weights fade in."""

from typing import TYPE_CHECKING, TypeVar

from heygem_daemon.lipsync.arrays import Float32, Float64

if TYPE_CHECKING:
    from torch import Tensor

_Values = TypeVar("_Values", float, Float32, Float64, "Tensor")


def smoothstep(x: _Values, low: float = 0.0, high: float = 1.0) -> _Values:
    """Return 0 below `low`, 1 above `high`, and 3t² - 2t³ in between; x is a number, an array or a tensor, and so is the result."""
    t = (x - low) / (high - low)
    t = min(1.0, max(0.0, t)) if isinstance(t, float) else t.clip(0.0, 1.0)
    step: _Values = t * t * (3 - 2 * t)
    return step
