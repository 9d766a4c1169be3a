"""Convert an alignment to viseme posteriors at 50 rows per second and to a gate that closes the lips, piece by piece."""

from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.motion import VISEMES, viseme_index
from heygem_daemon.lipsync.speech.transcript.alignment import ROW_RATE, Alignment
from heygem_daemon.lipsync.speech.transcript.graph import SILENCE

_EDGE: Final = 0.02
"""s on each side of a border, over which one viseme fades into the next."""
_LIPS: Final = viseme_index("PP")
_SHORTEST_CLOSURE: Final = 0.06
"""s for which the lips stay together at least; Lofqvist & Gracco 1997 found 80-150 ms from lips together to release."""
_BEFORE_BURST: Final = 0.09
"""s of silence that belong to a voiceless stop after a pause: the lips are together before it bursts."""
_CONFIDENCE: Final = (0.15, 0.45)
"""Confidences (mean odds against the likeliest viseme) from which a segment begins to count, and at which it counts fully."""
_TRANSCRIPT_WEIGHT: Final = 0.85
"""Weight of the transcript where its confidence is full; the rest is the posteriors of the network."""


def aligned_posteriors(alignment: Alignment, first_row: int, rows: int) -> Float32:
    """Return float32 [rows, 16] from row `first_row` on (row k is centred on k / 50 s): one viseme, with soft edges of +-20 ms.

    A row sums to 1 in the transcript and its pauses, to 0 in other speech. Pieces are equal to the same rows of the whole.
    """
    segments = alignment.columns
    return _spread_to_rows(alignment, first_row, rows, np.ones(len(segments.viseme), np.float32))


def blend_posteriors(posteriors: Float32, alignment: Alignment, first_row: int) -> Float32:
    """Return `posteriors` (float32 [n, 16], rows from `first_row` on) blended with the transcript by the confidence of its segments."""
    low, high = _CONFIDENCE
    weights = _TRANSCRIPT_WEIGHT * np.clip((alignment.columns.confidence - low) / (high - low), 0, 1)
    transcript = _spread_to_rows(alignment, first_row, len(posteriors), weights.astype(np.float32))
    return np.asarray(transcript + posteriors * (1 - transcript.sum(1, keepdims=True)), np.float32)


def _spread_to_rows(alignment: Alignment, first_row: int, rows: int, weights: Float32) -> Float32:
    """Return float32 [rows, 16]: each row is the mean over a triangle of +-_EDGE around its centre. weights: float32 [N], by segment."""
    spread = np.zeros((rows, len(VISEMES)), np.float64)
    segments = alignment.columns
    begin, end = (first_row - 1) / ROW_RATE - _EDGE, (first_row + rows) / ROW_RATE + _EDGE
    low, high = np.searchsorted(segments.end, begin), np.searchsorted(segments.start, end)
    centres = (first_row + np.arange(rows)) / ROW_RATE
    for place in range(int(low), int(high)):
        start, stop = float(segments.start[place]), float(segments.end[place])
        nearest = slice(*np.searchsorted(centres, (start - _EDGE, stop + _EDGE)))
        overlap = _ramp((stop - centres[nearest]) / _EDGE) - _ramp((start - centres[nearest]) / _EDGE)
        spread[nearest, segments.viseme[place]] += weights[place] * overlap
    return spread.astype(np.float32)


def _ramp(values: Float64) -> Float64:
    """Return the integral of a triangle over -1..1: 0 at -1, 1/2 at 0, 1 at 1."""
    inside = np.clip(values, -1, 1)
    return np.asarray(0.5 + inside - 0.5 * inside * np.abs(inside))


def closure_gate(alignment: Alignment, times: Float64) -> Float32:
    """Return float32 [T]: 1 where the lips must meet (p b m), 0 elsewhere, with ramps of 20 ms. times: float64 [T], s of the recording.

    The silence before the burst of a p after a pause belongs to its closure. Segments that the audio contradicts close nothing.
    """
    gate = np.zeros(len(times), np.float64)
    if not len(times):
        return gate.astype(np.float32)
    segments = alignment.columns
    reach = _BEFORE_BURST + _SHORTEST_CLOSURE + _EDGE
    low, high = np.searchsorted(segments.end, times.min() - reach), np.searchsorted(segments.start, times.max() + reach)
    for place in range(int(low), int(high)):
        if segments.viseme[place] == _LIPS and segments.confidence[place] >= _CONFIDENCE[0]:
            start, stop = _closure(alignment, place)
            gate = np.maximum(gate, np.clip(np.minimum(times - start, stop - times) / _EDGE + 1, 0, 1))
    return gate.astype(np.float32)


def _closure(alignment: Alignment, place: int) -> tuple[float, float]:
    """Return from when to when the lips are together for the segment at `place`."""
    segments = alignment.columns
    start, stop = float(segments.start[place]), float(segments.end[place])
    before = place - 1
    follows_pause = before >= 0 and segments.viseme[before] == SILENCE and segments.end[before] > start - 1 / ROW_RATE
    if follows_pause:
        start = max(start - _BEFORE_BURST, float(segments.start[before]))
    missing = max(_SHORTEST_CLOSURE - (stop - start), 0.0)
    return start - missing / 2, stop + missing / 2
