"""Sample a curve of 50 rows per second at the times of video frames."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.speech.stream import CURVE_RATE, Curve, frame_rows


def sample(curves: Iterator[Curve], frame_rate: Fraction, frames: int, lead: Fraction) -> Iterator[MouthMotion]:
    """Yield motion at i / frame_rate for i in 0..frames-1, read from the curve `lead` s later, linear between rows.

    curves: consecutive pieces, without end. One block of motion comes out per piece that holds a frame.
    """
    curve = next(curves)
    first_row, done = 0, 0
    while done < frames:
        known = first_row + len(curve) - 1
        last = min(frames, _frames_before(Fraction(known, CURVE_RATE) - lead, frame_rate))
        if last > done:
            times, rows = frame_rows(done, last - done, frame_rate, lead)
            yield _motion(curve, times, rows - first_row)
            done = last
        if done < frames:
            used = min(_row_before(done, frame_rate, lead) - first_row, len(curve) - 1)
            curve, first_row = curve.from_row(used).concatenate(next(curves)), first_row + used


def _frames_before(time: Fraction, frame_rate: Fraction) -> int:
    """Return the number of frames whose time is <= `time`, 0 for a negative one."""
    return 0 if time < 0 else int(time * frame_rate) + 1


def _row_before(frame: int, frame_rate: Fraction, lead: Fraction) -> int:
    return int((frame / frame_rate + lead) * CURVE_RATE)


def _motion(curve: Curve, times: Float64, rows: Float64) -> MouthMotion:
    left = np.minimum(np.floor(rows).astype(np.int64), len(curve) - 1)
    right = np.minimum(left + 1, len(curve) - 1)
    part = (rows - left).astype(np.float32)

    def between(values: Float32) -> Float32:
        weight = part if values.ndim == 1 else part[:, None]
        return np.asarray(values[left] * (1 - weight) + values[right] * weight, np.float32)

    return MouthMotion(times=times, opening=between(curve.opening), width=between(curve.width), visemes=between(curve.visemes))
