"""Hand out results, thumbnails, diagnostic images and dropped videos, with byte ranges; and all results as one streamed ZIP."""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from heygem_daemon.web.context import CallerOf, Context, WebContext
from heygem_daemon.web.files.job_files import job_status, open_output, published_files, results
from heygem_daemon.web.files.open_files import BrokenStreamError, OpenFile, held_open, open_through, read_parts
from heygem_daemon.web.files.ranges import Representation, content_disposition, content_type, requested_range
from heygem_daemon.web.files.sources import open_source
from heygem_daemon.web.files.streamed import StreamedAnswer
from heygem_daemon.web.files.zip_stream import Content, Member, member_names, zip_length, zip_parts
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares

router = APIRouter(tags=["downloads"])

_CACHE: Final = "private, no-cache"
"""Kept by the browser, and asked for each time whether it is still right: who may see it can change."""
_BINARY: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"application/octet-stream": {}}}, 206: {"description": "a part of it"}}


@router.head("/jobs/{job_id}/files/{path:path}", include_in_schema=False)
@router.get("/jobs/{job_id}/files/{path:path}", response_class=Response, responses=_BINARY)
async def get_file(request: Request, context: Context, caller: CallerOf, job_id: str, path: str, *, download: bool = False) -> Response:
    """Download a result, a thumbnail or a diagnostic image: what the status of the job names. Ranges are served."""
    record, status = await job_status(context, caller, job_id)
    if path not in published_files(status):
        raise WebProblem("not_found")
    outputs = context.settings.outputs
    opened = await open_through(context.shares, outputs, partial(open_output, outputs, record.output, path))
    return file_answer(request, context.shares, outputs, opened, download=download)


@router.head("/jobs/{job_id}/sources/{key:path}", include_in_schema=False)
@router.get("/jobs/{job_id}/sources/{key:path}", response_class=Response, responses=_BINARY)
async def get_source(request: Request, context: Context, caller: CallerOf, job_id: str, key: str, *, download: bool = False) -> Response:
    """Download the video that an item was made from, as it was dropped, while its inputs are kept. Ranges are served."""
    opened, inbox = await open_source(context, caller, job_id, key)
    return file_answer(request, context.shares, inbox, opened, download=download)


def file_answer(request: Request, shares: Shares, share: Path, opened: OpenFile, *, download: bool) -> Response:
    """Return the answer for an open file; it closes the file."""

    def close() -> None:
        # Not waited for: closing a file of a dead share may hang as well.
        shares.start(share, lambda: os.close(opened.descriptor))

    try:
        start, length, status, headers = _part(request, Representation(size=opened.size, mtime_ns=opened.mtime_ns))
        if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            headers |= {
                "Content-Type": content_type(opened.name),
                "Content-Disposition": content_disposition(opened.name, download=download),
            }
            read = partial(read_parts, shares, share, opened, start, length)
            return StreamedAnswer(read, length=length, headers=headers, status=status, close=close)
        answer = Response(status_code=status, headers=headers)
    except BaseException:
        close()
        raise
    close()
    return answer


def _part(request: Request, file: Representation) -> tuple[int, int, int, dict[str, str]]:
    """Return what is sent of a file: its first byte, its length, the status, and the headers about it."""
    headers = {"ETag": file.etag, "Last-Modified": file.last_modified, "Cache-Control": _CACHE, "Accept-Ranges": "bytes"}
    conditional = file.precondition(request.headers, is_read=True)
    if conditional is not None:
        return 0, 0, conditional, headers
    wanted = request.headers.get("range")
    # RFC 9110, 14.2: a range is of a GET only.
    if wanted is None or request.method != "GET" or not file.is_current(request.headers.get("if-range")):
        return 0, file.size, HTTPStatus.OK, headers
    try:
        part = requested_range(wanted, file.size)
    except ValueError:
        unsatisfiable = {"Content-Range": f"bytes */{file.size}", "Accept-Ranges": "bytes", "Cache-Control": _CACHE}
        return 0, 0, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, unsatisfiable
    if part is None:
        return 0, file.size, HTTPStatus.OK, headers
    start, length = part
    return start, length, HTTPStatus.PARTIAL_CONTENT, headers | {"Content-Range": f"bytes {start}-{start + length - 1}/{file.size}"}


# -- all results -------------------------------------------------------------------------------------------------------------


@router.head("/jobs/{job_id}/zip", include_in_schema=False)
@router.get("/jobs/{job_id}/zip", response_class=Response, responses={200: {"content": {"application/zip": {}}}})
async def get_zip(context: Context, caller: CallerOf, job_id: str) -> Response:
    """Download all results of a job as one ZIP, which is made while it is sent."""
    record, status = await job_status(context, caller, job_id)
    members = await _members(context, record.output, results(status))
    if not members:
        raise WebProblem("not_found")
    headers = {
        "Content-Type": "application/zip",
        "Content-Disposition": content_disposition(f"{record.output}.zip", download=True),
        "Cache-Control": "no-store",
        "Accept-Ranges": "none",
    }
    opener = _Opener(shares=context.shares, outputs=context.settings.outputs, folder=record.output)
    return StreamedAnswer(partial(zip_parts, members, opener), length=zip_length(members), headers=headers)


async def _members(context: WebContext, folder: str, paths: list[str]) -> list[Member]:
    """Return what there is of the results, each looked at by opening it."""
    members, outputs = [], context.settings.outputs
    for path, name in zip(paths, member_names(paths), strict=True):
        try:
            async with held_open(context.shares, outputs, partial(open_output, outputs, folder, path)) as opened:
                members.append(Member(name=name, path=path, size=opened.size, mtime_ns=opened.mtime_ns))
        except WebProblem as problem:
            if problem.code != "not_found":
                raise
    return members


@dataclass(frozen=True, kw_only=True)
class _Opener:
    """Opens the results of one job, each when its turn comes."""

    shares: Shares
    outputs: Path
    folder: str

    @asynccontextmanager
    async def __call__(self, member: Member) -> AsyncIterator[Content]:
        try:
            opened = await open_through(self.shares, self.outputs, partial(open_output, self.outputs, self.folder, member.path))
        except WebProblem as problem:
            raise BrokenStreamError(f"{member.name}: {problem.code}") from problem
        try:
            yield _Result(shares=self.shares, outputs=self.outputs, opened=opened)
        finally:
            self.shares.start(self.outputs, lambda: os.close(opened.descriptor))


@dataclass(frozen=True, kw_only=True)
class _Result:
    """An open result."""

    shares: Shares
    outputs: Path
    opened: OpenFile

    @property
    def size(self) -> int:
        return self.opened.size

    @property
    def mtime_ns(self) -> int:
        return self.opened.mtime_ns

    def parts(self) -> AsyncGenerator[bytes, None]:
        return read_parts(self.shares, self.outputs, self.opened, 0, self.opened.size)

    async def is_unchanged(self) -> bool:
        try:
            found = await self.shares.call(self.outputs, lambda: os.fstat(self.opened.descriptor))
        except (WebProblem, OSError):
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)
