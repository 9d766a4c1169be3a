"""Faces, stills, waveforms and playable copies of media, made by a child process and kept for a while.

A file is opened once, by the page, following no link (open_files.py); the child gets it as /proc/<page>/fd/<number>. So it is the file that
the caller may see, whatever somebody on the share makes of its name meanwhile.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from heygem_daemon.previews.protocol import Kind, PreviewRequest
from heygem_daemon.settings import Settings
from heygem_daemon.web.media.preview_cache import FileIdentity, PreviewCache, default_folder
from heygem_daemon.web.media.preview_process import PreviewProcess, preview_command
from heygem_daemon.web.models import FaceCheck, Peaks
from heygem_daemon.web.problems import WebProblem

T = TypeVar("T")

QUICK_SECONDS: Final = 20.0
PEAKS_SECONDS: Final = 300.0
PROXY_SECONDS: Final = 600.0
"""s that the child may take for a face check or a still, for a waveform, and for a copy."""


@dataclass(frozen=True, kw_only=True)
class PreviewSource:
    """A file that the page holds open. close: closes a descriptor without waiting for it."""

    descriptor: int
    identity: FileIdentity
    close: Callable[[int], None]


@dataclass(kw_only=True)
class _Shared:
    task: "asyncio.Task[Any]"
    users: int = 0


class PreviewClient:
    """What is made of a file is made once, for all who ask; when nobody waits for it any more it is given up."""

    def __init__(self, settings: Settings) -> None:
        self.cache = PreviewCache(default_folder(settings.web.state))
        self.process = PreviewProcess(preview_command(settings))
        self._shared: dict[str, _Shared] = {}

    async def close(self) -> None:
        """End the child and give up what is being made."""
        for shared in list(self._shared.values()):
            shared.task.cancel()
        await self.process.close()

    async def faces(self, source: PreviewSource) -> FaceCheck:
        """Return who could speak in a video or a portrait. Raises WebProblem (`preview_failed`, `preview_busy`)."""
        key = source.identity.key("faces")
        if (known := await asyncio.to_thread(self._known_faces, key)) is not None:
            return known
        return await self._once(key, source, lambda path: self._check_faces(key, path))

    @asynccontextmanager
    async def received(self, content: AsyncIterator[bytes]) -> AsyncIterator[Path]:
        """Hold what `content` yields in a file that nobody else can read. Raises what `content` raises."""
        with self.cache.scratch() as folder:
            path = folder / "image"
            with path.open("wb") as file:
                async for chunk in content:
                    file.write(chunk)
            yield path

    async def faces_of_frame(self, image: Path) -> FaceCheck:
        """Return who could speak in a video of which `image` shows one frame. Raises WebProblem."""
        request = PreviewRequest(number=0, kind=Kind.FACES, path=str(image), seconds=QUICK_SECONDS, is_frame=True)
        return FaceCheck.model_validate(await self.process.ask(request))

    async def still(self, source: PreviewSource) -> Path:
        """Return a JPEG of a video: the frame that its face check shows, where there is one. Raises WebProblem."""
        try:
            await self.faces(source)
        except WebProblem as problem:
            if problem.fields.get("error") != "models_missing":
                raise
            return await self._kept(f"{source.identity.key('still')}.jpg", source, Kind.STILL, QUICK_SECONDS)
        return self.cache.folder / f"{source.identity.key('faces')}.jpg"

    async def peaks(self, source: PreviewSource, count: int) -> Peaks:
        """Return the waveform of a recording. Raises WebProblem."""
        name = f"{source.identity.key(f'peaks {count}')}.json"

        async def measure(path: str) -> Peaks:
            request = PreviewRequest(number=0, kind=Kind.PEAKS, path=path, count=count, seconds=PEAKS_SECONDS)
            result = await self.process.ask(request)
            await asyncio.to_thread(self.cache.write, name, result)
            return Peaks.model_validate(result)

        known = await asyncio.to_thread(self.cache.read, name)
        return Peaks.model_validate(known) if known else await self._once(name, source, measure)

    async def proxy(self, source: PreviewSource) -> Path:
        """Return a small mp4 of a video that every browser plays. Raises WebProblem."""
        return await self._kept(f"{source.identity.key('proxy')}.mp4", source, Kind.PROXY, PROXY_SECONDS)

    def _known_faces(self, key: str) -> FaceCheck | None:
        known = self.cache.read(f"{key}.json") if self.cache.find(f"{key}.jpg") else None
        return FaceCheck.model_validate(known) if known else None

    async def _check_faces(self, key: str, path: str) -> FaceCheck:
        with self.cache.scratch() as folder:
            still = folder / "still.jpg"
            request = PreviewRequest(number=0, kind=Kind.FACES, path=path, output=str(still), seconds=QUICK_SECONDS)
            result = await self.process.ask(request)
            await asyncio.to_thread(self.cache.keep, still, f"{key}.jpg")
            await asyncio.to_thread(self.cache.write, f"{key}.json", result)
        return FaceCheck.model_validate(result)

    async def _kept(self, name: str, source: PreviewSource, kind: Kind, seconds: float) -> Path:
        """Return the file of this name in the cache; the child writes it where it is not there yet."""

        async def make(path: str) -> Path:
            with self.cache.scratch() as folder:
                made = folder / name
                await self.process.ask(PreviewRequest(number=0, kind=kind, path=path, output=str(made), seconds=seconds))
                return await asyncio.to_thread(self.cache.keep, made, name)

        if (known := await asyncio.to_thread(self.cache.find, name)) is not None:
            return known
        return await self._once(name, source, make)

    async def _once(self, key: str, source: PreviewSource, make: Callable[[str], Awaitable[T]]) -> T:
        """Return what `make` makes of the file of this path, or what somebody else is making under this key already."""
        shared = self._shared.get(key)
        if shared is None:
            # Our own copy of the descriptor: who asked first may go, and another file would take its number.
            shared = _Shared(task=asyncio.create_task(self._with_copy(os.dup(source.descriptor), source, make)))
            self._shared[key] = shared
            shared.task.add_done_callback(lambda _task: self._shared.pop(key, None))
        shared.users += 1
        try:
            made: T = await asyncio.shield(shared.task)
        finally:
            shared.users -= 1
            if not shared.users and not shared.task.done():
                self._shared.pop(key, None)
                shared.task.cancel()
        return made

    @staticmethod
    async def _with_copy(descriptor: int, source: PreviewSource, make: Callable[[str], Awaitable[T]]) -> T:
        try:
            return await make(f"/proc/{os.getpid()}/fd/{descriptor}")
        finally:
            source.close(descriptor)
