"""Read the time stamps of a track where its container has no table of them: its real length, the holes in it, and where it starts again."""

import math
from array import array
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.media import commands
from heygem_daemon.media.run import capture
from heygem_daemon.media.types import GAP_SECONDS, MediaLimits, Source

MAX_PACKETS: Final = 4_000_000
"""Packets of a track that are listed: six hours of 180 frames/s."""
REORDER_SECONDS: Final = 0.5
"""s. Time stamps go back by up to this where only the presentation times of reordered frames are known; by more, they start again."""
LIST_TIME_FACTOR: Final = 5
"""How many times longer than an inspection that reads only the header one may take that reads the whole file."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A track as it is shown. seconds: its length without the holes; end: of its last packet on the clock of the file, in s; holes: the
    length of each in s; restarts: how often its time stamps jump back; key_interval: the longest time between key frames in s."""

    packets: int
    seconds: float = 0.0
    end: float = 0.0
    key_interval: float = 0.0
    holes: tuple[float, ...] = ()
    restarts: int = 0

    @property
    def is_steady(self) -> bool:
        return not self.holes and not self.restarts


def timeline(source: Source, stream: int, limits: MediaLimits, *, since: float = 0.0, count: int = MAX_PACKETS) -> Timeline | None:
    """Return the timeline of the first `count` packets of a track from `since` s on, None where it has none; of packets without times (a
    stream of frames without a container) only their number. Reads the file but decodes nothing. Raises what `capture` raises."""
    command = commands.list_packets(source, stream, since=since, count=count)
    answer = capture(command, seconds=limits.probe_seconds * LIST_TIME_FACTOR, path=source.path)
    packets = _parse(answer.stdout)
    timed = packets[~np.isnan(packets[:, :2]).all(axis=1)]
    if len(timed):
        return measure(timed)
    return Timeline(packets=len(packets)) if len(packets) else None


def measure(packets: npt.NDArray[np.float64]) -> Timeline:
    """Return the timeline of packets in the order of the file, as `_parse` gives them, each with one of the two times at least."""
    shown = np.where(np.isnan(packets[:, 0]), packets[:, 1], packets[:, 0])
    decoded = np.where(np.isnan(packets[:, 1]), packets[:, 0], packets[:, 1])
    steps = np.diff(decoded)
    is_hole, is_restart = steps > GAP_SECONDS, steps < -REORDER_SECONDS
    starts = np.append(0, np.flatnonzero(is_hole | is_restart) + 1)
    spans = _spans(shown, starts)
    # What is decoded is shown for as long. That counts where a presentation time is missing, as it may at the end of MPEG program streams.
    is_incomplete = np.logical_or.reduceat(np.isnan(packets[:, 0]), starts)
    spans = np.where(is_incomplete, np.maximum(spans, _spans(decoded, starts)), spans)
    frames = spans / np.maximum(np.diff(np.append(starts, len(packets))) - 1, 1)
    is_held = math.isfinite(packets[-1, 2]) and packets[-1, 2] <= GAP_SECONDS
    last = float(packets[-1, 2] if is_held else frames[-1])
    seconds = float(spans.sum() + frames[:-1].sum()) + last
    clock = np.concatenate([[0.0], np.cumsum(np.where(is_hole | is_restart, 0.0, steps))])
    return Timeline(
        packets=len(packets),
        seconds=seconds,
        end=float(shown.max()) + last,
        key_interval=float(np.diff(np.append(clock[packets[:, 3] > 0], seconds)).max(initial=0.0)) or seconds,
        holes=tuple(float(step) for step in steps[is_hole]),
        restarts=int(is_restart.sum()),
    )


def _spans(times: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how far apart the times of each part are, in s; `starts` are the indices of the first packets of the parts."""
    return np.maximum.reduceat(times, starts) - np.minimum.reduceat(times, starts)


def _parse(printed: bytes) -> npt.NDArray[np.float64]:
    """Return of each packet presentation time, decoding time and duration in s, NaN where it has none, and whether it is a key frame (1):
    float64 [packets, 4]."""
    table = array("d")  # as lists of lists, the numbers of MAX_PACKETS would take gigabytes
    for line in BytesIO(printed):
        cells = line.split(b",")[:4]
        if len(cells) == 4:
            table.extend((*map(_seconds, cells[:3]), float(b"K" in cells[3])))
    return np.frombuffer(table, np.float64).reshape(-1, 4)


def _seconds(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:  # N/A
        return math.nan
