"""Draw the frames of a stream, in order, several at once: by threads on the CPU, or in batches on a card."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from heygem_daemon.lipsync.atlas.compositor import Compositor
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.lipsync.ports import NotDriven, RenderedFrame
from heygem_daemon.media.frame import Frame


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawTask:
    """A frame, and what is drawn on its face; a frame without them passes through untouched. The others: see `RenderedFrame`."""

    frame: Frame
    face: Face | None = None
    spec: DrawSpec | None = None
    target_opening: float = float("nan")
    not_driven: NotDriven | None = None

    def rendered(self, frame: Frame) -> RenderedFrame:
        """Return the outcome with the drawn frame."""
        return RenderedFrame(frame=frame, target_opening=self.target_opening, not_driven=self.not_driven)


class Drawer(Protocol):
    """Draws what a stream of tasks asks for."""

    def draw(self, tasks: Iterator[DrawTask]) -> Generator[RenderedFrame, None, None]:
        """Yield a frame for each task, in order; closing the iterator waits for what is being drawn."""
        ...


class ThreadDrawer:
    """Draws on as many frames at once as there are threads. At most two frames more than that are held."""

    def __init__(self, compositor: Compositor, threads: int) -> None:
        self._compositor, self._threads = compositor, threads

    def draw(self, tasks: Iterator[DrawTask]) -> Generator[RenderedFrame, None, None]:
        """See `Drawer`."""
        if self._threads == 1:
            yield from map(self._drawn, tasks)
            return
        waiting: deque[Future[RenderedFrame]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="draw") as pool:
            try:
                for task in tasks:
                    waiting.append(pool.submit(self._drawn, task))
                    if len(waiting) > self._threads + 1:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _drawn(self, task: DrawTask) -> RenderedFrame:
        if task.face is None or task.spec is None:
            return task.rendered(task.frame)
        return task.rendered(self._compositor.draw(task.frame, task.face, task.spec))
