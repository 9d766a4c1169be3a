"""Draw the frames of a stream in batches on a card, while the CPU plans the next ones."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

import torch

from heygem_daemon.lipsync.atlas.card.batch import PlannedFrame
from heygem_daemon.lipsync.atlas.card.compositor import CardCompositor, StartedBatch
from heygem_daemon.lipsync.atlas.card.resident import BATCH
from heygem_daemon.lipsync.atlas.drawers import DrawTask
from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.ports import RenderedFrame

_HELD_BYTES: Final = 256 << 20
"""Bytes of the frames of one batch; two batches are held at once: one is planned while the other is drawn."""


class BatchDrawer:
    """Draws on the frames of a presenter on a device; see `drawers.Drawer`. batch: frames drawn at once, at most BATCH; 0 = so many."""

    def __init__(self, presenter: Presenter, device: str, batch: int = 0) -> None:
        self._compositor, self._batch = CardCompositor(presenter, torch.device(device)), min(batch or BATCH, BATCH)

    def draw(self, tasks: Iterator[DrawTask]) -> Generator[RenderedFrame, None, None]:
        """Yield a frame for each task, in order, up to two batches late."""
        before: tuple[list[DrawTask], list[StartedBatch]] = ([], [])
        for batch in _batches(tasks, self._batch):
            started = self._compositor.start(planned_frames(self._compositor, batch))
            yield from _finished(*before)
            before = (batch, started)
        yield from _finished(*before)


def planned_frames(compositor: CardCompositor, tasks: Iterable[DrawTask]) -> list[PlannedFrame]:
    """Return the plans of those tasks that have a face to draw on."""
    return [compositor.plan(task.frame, task.face, task.spec) for task in tasks if task.face is not None and task.spec is not None]


def _batches(tasks: Iterator[DrawTask], most: int) -> Iterator[list[DrawTask]]:
    """Yield the tasks in batches of `most`, or fewer where the frames are large."""
    for first in tasks:
        count = max(1, min(most, _HELD_BYTES // first.frame.i420().nbytes))
        yield [first, *islice(tasks, count - 1)]


def _finished(tasks: Sequence[DrawTask], started: Sequence[StartedBatch]) -> Iterator[RenderedFrame]:
    """Yield the frames of the tasks once they are drawn; those without a face are as they were."""
    drawn = chain.from_iterable(batch.frames() for batch in started)
    for task in tasks:
        yield task.rendered(task.frame if task.face is None or task.spec is None else next(drawn))
