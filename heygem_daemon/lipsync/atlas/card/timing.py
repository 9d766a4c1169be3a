"""Time the parts of drawing a batch on a device: for benchmarks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from heygem_daemon.lipsync.atlas.card.batch import PlannedFrame
from heygem_daemon.lipsync.atlas.card.compositor import CardCompositor, StartedBatch
from heygem_daemon.lipsync.imaging.card.staging import Download


@dataclass(frozen=True, kw_only=True)
class DrawingTimes:
    """Milliseconds for each frame. upload: the CPU packs a batch and starts its copy; launch: the CPU starts all kernels; device: from the
    begin of the copy to the end of the last kernel; finish: the CPU takes the result and writes it into the frames.

    upload, launch and finish of one batch run while the device draws another one.
    """

    upload: float
    launch: float
    device: float
    finish: float


def drawing_times(compositor: CardCompositor, planned: Sequence[PlannedFrame], batch: int) -> DrawingTimes:
    """Draw the frames in batches of `batch`, one batch after the other, and return the mean times. Draw some before: kernels are compiled
    and memory is taken by the first ones."""
    device = compositor.device
    totals = dict.fromkeys(("upload", "launch", "device", "finish"), 0.0)
    for first in range(0, len(planned), batch):
        part = tuple(planned[first : first + batch])
        clock = _Clock(device)
        there = compositor.upload(part)
        totals["upload"] += clock.lap()
        pixels = compositor.draw_on_device(there)
        totals["launch"] += clock.lap()
        totals["device"] += clock.device_time()
        StartedBatch(planned=part, size=there.size, pixels=Download(pixels)).frames()
        totals["finish"] += clock.lap()
    return DrawingTimes(**{name: total / max(1, len(planned)) for name, total in totals.items()})


class _Clock:
    """Measures time on the CPU from one lap to the next, and on a device since the clock was made, both in ms."""

    def __init__(self, device: torch.device) -> None:
        self._is_card = device.type == "cuda"
        if self._is_card:
            torch.cuda.synchronize(device)
            self._begin = torch.cuda.current_stream(device).record_event(_event())
        self._device, self._start = device, time.perf_counter()
        self._last = self._start

    def lap(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return 1000 * passed

    def device_time(self) -> float:
        """Wait for the device. A CPU has worked all the time."""
        if not self._is_card:
            return 1000 * (time.perf_counter() - self._start)
        end = torch.cuda.current_stream(self._device).record_event(_event())
        end.synchronize()
        self._last = time.perf_counter()
        return float(self._begin.elapsed_time(end))


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
