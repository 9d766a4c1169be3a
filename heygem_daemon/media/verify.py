"""Check a finished result by decoding all of it."""

from fractions import Fraction
from pathlib import Path


def verify_result(path: Path, *, frames: int, frame_rate: Fraction, seconds: float, size: tuple[int, int]) -> None:
    """Raise EngineError (`result_invalid`) unless `path` holds exactly `frames` pictures of `size` (width, height) at `frame_rate`
    and a sound track of `seconds` (of speech; it may be longer by padding), both from 0, and decodes without an error."""
    raise NotImplementedError
