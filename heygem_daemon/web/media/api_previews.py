"""Look into a video or a recording before it is a job, or while its inputs are kept: faces, a still, a waveform, a copy that plays."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import CallerOf, Context, WebContext
from heygem_daemon.web.files.downloads import file_answer
from heygem_daemon.web.files.open_files import OpenFile, open_file, open_folder, open_folders, open_through
from heygem_daemon.web.files.sources import open_source
from heygem_daemon.web.media.preview_cache import FileIdentity
from heygem_daemon.web.media.preview_client import PreviewSource
from heygem_daemon.web.models import FaceCheck, Peaks
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.uploads.draft_store import draft_id_of
from heygem_daemon.web.words import catalog

T = TypeVar("T")

router = APIRouter(tags=["previews"])

LARGEST_IMAGE: Final = 8 * 2**20
"""Bytes of an image whose faces are checked."""
IMAGE_TYPES: Final = ("image/jpeg", "image/png")
GONE_SECONDS: Final = 0.5
"""How often it is looked whether the browser still waits."""
_JPEG: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"image/jpeg": {}}}}
_MP4: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"video/mp4": {}}}, 206: {"description": "a part of it"}}
_IMAGE_BODY: Final = {
    "requestBody": {"required": True, "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in IMAGE_TYPES}}
}


@router.post("/faces", openapi_extra=_IMAGE_BODY)
async def check_image(request: Request, context: Context, caller: CallerOf) -> FaceCheck:
    """Find the faces on a still of a video, which is sent as JPEG or PNG."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in IMAGE_TYPES:
        raise WebProblem("unsupported_media_type", accepted=", ".join(IMAGE_TYPES))
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > LARGEST_IMAGE:
        raise _too_large()
    async with context.previews.received(_limited(request)) as image:
        return await _unless_gone(request, caller, context.previews.faces_of_frame(image))


async def _limited(request: Request) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > LARGEST_IMAGE:
            raise _too_large()
        yield chunk


def _too_large() -> WebProblem:
    return WebProblem("request_too_large", limit=LARGEST_IMAGE, headers={"Connection": "close"})


@router.get("/uploads/{upload_id}/faces")
async def check_upload(request: Request, context: Context, caller: CallerOf, upload_id: str) -> FaceCheck:
    """Find the faces in an uploaded video or portrait; `still_url` shows them."""
    async with _upload(context, caller, upload_id) as (source, _):
        check = await _unless_gone(request, caller, context.previews.faces(source))
    return check.model_copy(update={"still_url": str(request.app.url_path_for("get_still", upload_id=upload_id))})


@router.get("/uploads/{upload_id}/still", response_class=Response, responses=_JPEG)
async def get_still(request: Request, context: Context, caller: CallerOf, upload_id: str) -> Response:
    """Get a still of an uploaded video or portrait: the one that its face check is about."""
    async with _upload(context, caller, upload_id) as (source, _):
        path = await _unless_gone(request, caller, context.previews.still(source))
    return await _kept_file(request, context, path, "still.jpg")


@router.get("/uploads/{upload_id}/peaks")
async def get_peaks(
    request: Request, context: Context, caller: CallerOf, upload_id: str, count: Annotated[int, Query(ge=1, le=10_000)] = 400
) -> Peaks:
    """Get the waveform of an uploaded recording."""
    async with _upload(context, caller, upload_id) as (source, _):
        return await _unless_gone(request, caller, context.previews.peaks(source, count))


@router.head("/jobs/{job_id}/sources/{key:path}/preview", include_in_schema=False)
@router.get("/jobs/{job_id}/sources/{key:path}/preview", response_class=Response, responses=_MP4)
async def get_preview(request: Request, context: Context, caller: CallerOf, job_id: str, key: str) -> Response:
    """Get a small copy (H.264) of the video of an item, for browsers that cannot play it as it is. It is made at the first request."""
    opened, inbox = await open_source(context, caller, job_id, key)
    async with _held(context.shares, inbox, opened) as source:
        path = await _unless_gone(request, caller, context.previews.proxy(source))
    return await _kept_file(request, context, path, "preview.mp4")


@asynccontextmanager
async def _upload(context: WebContext, caller: Caller, upload_id: str) -> AsyncIterator[tuple[PreviewSource, Path]]:
    """Hold a finished upload open, with its inbox. Raises WebProblem."""
    path = await context.drafts.finished_file(caller, upload_id)
    inbox = context.drafts.inbox_of(draft_id_of(upload_id))
    opened = await open_through(context.shares, inbox, partial(_open, inbox, path.relative_to(inbox).parts))
    async with _held(context.shares, inbox, opened) as source:
        yield source, inbox


def _open(inbox: Path, parts: tuple[str, ...]) -> OpenFile:
    with open_folder(inbox) as root, open_folders(root, parts[:-1]) as folder:
        return open_file(folder, parts[-1])


@asynccontextmanager
async def _held(shares: Shares, share: Path, opened: OpenFile) -> AsyncIterator[PreviewSource]:
    """Turn an open file into the source of a preview, and close it afterwards."""

    def close(descriptor: int) -> None:
        # Not waited for: closing a file of a dead share may hang as well.
        shares.start(share, lambda: os.close(descriptor))

    try:
        identity = await shares.call(share, lambda: FileIdentity.of(opened.descriptor))
        yield PreviewSource(descriptor=opened.descriptor, identity=identity, close=close)
    finally:
        close(opened.descriptor)


async def _kept_file(request: Request, context: WebContext, path: Path, name: str) -> Response:
    """Return the answer for a file of the cache."""
    folder = path.parent

    def opened() -> OpenFile:
        with open_folder(folder) as parent:
            found = open_file(parent, path.name)
        return OpenFile(descriptor=found.descriptor, name=name, size=found.size, mtime_ns=found.mtime_ns)

    return file_answer(request, context.shares, folder, await open_through(context.shares, folder, opened), download=False)


def _in_words(problem: WebProblem, language: str) -> WebProblem:
    """Return what the child found wrong, in the caller's language; the sentences of the child are in English."""
    code = str(problem.fields.get("error", ""))
    if problem.code != "preview_failed" or code == "models_missing":
        return WebProblem("preview_models_missing") if code == "models_missing" else problem
    translated = catalog(language).get(f"error.{code}", "")
    return WebProblem("preview_failed", reason=problem.fields.get("detail", "") if language == "en" else translated)


async def _unless_gone(request: Request, caller: Caller, work: Awaitable[T]) -> T:
    """Return what `work` returns; give it up when the browser does not wait any more. The body of the request must have been read."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=GONE_SECONDS)
            if done:
                return task.result()
            if await request.is_disconnected():
                raise WebProblem("preview_busy")  # nobody reads the answer
    except WebProblem as problem:
        raise _in_words(problem, caller.language) from problem
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
