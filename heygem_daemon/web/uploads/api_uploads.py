"""The part of the HTTP interface that makes jobs: drafts, uploads by tus, and the job from both."""

from typing import Annotated, Final, cast, get_args

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.requests import ClientDisconnect

from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import CallerOf, Context, WebContext
from heygem_daemon.web.models import DraftStatus, JobCreated, NewDraft, NewJob, Options, Role
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads import tus
from heygem_daemon.web.uploads.drop_writer import DropWriter
from heygem_daemon.web.uploads.job_choices import options_for
from heygem_daemon.web.uploads.upload_writer import UploadWriter

router = APIRouter()
_MARKED: Final = [Depends(tus.marked_problems)]

_TextHeader = Annotated[str | None, Header()]
_NO_CONTENT: Final = 204
_CUT: Final = 400
"""The status of an answer that nobody gets: the connection is gone."""


@router.get("/options")
async def get_options(context: Context, caller: CallerOf) -> Options:
    """Return what a new job may name, and what is in force where it names nothing."""
    return await options_for(context, caller)


@router.post("/drafts", status_code=201)
async def create_draft(body: NewDraft, context: Context, caller: CallerOf) -> DraftStatus:
    """Make an empty draft; files are uploaded into it, and `POST /jobs` makes a job of it."""
    return await context.drafts.create(caller, body.inbox)


@router.get("/drafts/{draft}")
async def get_draft(draft: str, context: Context, caller: CallerOf) -> DraftStatus:
    """Return what has arrived of a draft."""
    return await context.drafts.status(caller, draft)


@router.delete("/drafts/{draft}", status_code=204)
async def delete_draft(draft: str, context: Context, caller: CallerOf) -> Response:
    """Delete a draft with all that was uploaded."""
    await context.drafts.delete(caller, draft)
    return Response(status_code=_NO_CONTENT)


@router.post("/jobs", status_code=201)
async def create_job(body: NewJob, context: Context, caller: CallerOf, response: Response) -> JobCreated:
    """Make a job of a draft, of files in an inbox, or of both. The same draft again returns the same job."""
    created = await DropWriter(context.settings, context.drafts, context.index, caller).publish(body)
    response.headers["Location"] = created.url
    return created


@router.options("/uploads", status_code=204)
async def describe_uploads(context: Context) -> Response:
    """Return what the tus server of these addresses can do."""
    headers = tus.headers(
        tus_version=tus.VERSION,
        tus_extension=tus.EXTENSIONS,
        tus_max_size=context.settings.limits.file_bytes,
        tus_checksum_algorithm=",".join(tus.ALGORITHMS),
    )
    return Response(status_code=_NO_CONTENT, headers=headers)


@router.post("/uploads", status_code=201, dependencies=_MARKED)
async def create_upload(request: Request, context: Context, caller: CallerOf) -> Response:
    """Begin an upload (tus). Upload-Length: its bytes. Upload-Metadata: `draft` its id, `name`, `role` (recording, video or script)."""
    tus.check_version(request.headers.get("tus-resumable"))
    metadata = tus.parse_metadata(request.headers.get("upload-metadata", ""))
    role = metadata.get("role", "")
    if role not in get_args(Role) or not metadata.get("name"):
        raise WebProblem("invalid_request", problem="Upload-Metadata needs draft, name and role (recording, video or script).")
    length = tus.parse_count(request.headers.get("upload-length"), "Upload-Length")
    upload = await context.drafts.add(caller, metadata.get("draft", ""), metadata["name"], cast(Role, role), length)
    _, expires = await context.drafts.upload(caller, upload.id)
    location = f"{request.url.path.rstrip('/')}/{upload.id}"
    return Response(status_code=201, headers=tus.headers(location=location, upload_offset=0, upload_expires=tus.expires(expires)))


@router.head("/uploads/{upload_id}", dependencies=_MARKED)
async def get_offset(upload_id: str, context: Context, caller: CallerOf, tus_resumable: _TextHeader = None) -> Response:
    """Return how much of an upload has arrived (tus)."""
    tus.check_version(tus_resumable)
    upload, expires = await context.drafts.upload(caller, upload_id)
    return Response(
        headers=tus.headers(
            upload_offset=upload.offset,
            upload_length=upload.length,
            upload_expires=tus.expires(expires),
            upload_metadata=tus.metadata(draft=upload_id.partition("-")[0], name=upload.name, role=upload.role),
        )
    )


@router.patch("/uploads/{upload_id}", status_code=204, dependencies=_MARKED)
async def append(upload_id: str, request: Request, context: Context, caller: CallerOf) -> Response:
    """Take the next bytes of an upload (tus); what arrives before a cut counts."""
    tus.check_version(request.headers.get("tus-resumable"))
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != tus.CONTENT_TYPE:
        raise WebProblem("unsupported_media_type", accepted=tus.CONTENT_TYPE)
    offset = tus.parse_count(request.headers.get("upload-offset"), "Upload-Offset")
    checksum = tus.parse_checksum(request.headers.get("upload-checksum"))
    try:
        async with context.drafts.uploading.hold(upload_id) as lock:
            end = await UploadWriter(context.drafts, caller, upload_id, lock).take(request.stream(), offset, checksum)
    except ClientDisconnect:
        return Response(status_code=_CUT)
    _, expires = await context.drafts.upload(caller, upload_id)
    return Response(status_code=_NO_CONTENT, headers=tus.headers(upload_offset=end, upload_expires=tus.expires(expires)))


@router.delete("/uploads/{upload_id}", status_code=204, dependencies=_MARKED)
async def delete_upload(upload_id: str, context: Context, caller: CallerOf, tus_resumable: _TextHeader = None) -> Response:
    """Take a file out of its draft (tus)."""
    tus.check_version(tus_resumable)
    await context.drafts.delete_upload(caller, upload_id)
    return Response(status_code=_NO_CONTENT, headers=tus.headers())


@router.post("/uploads/{upload_id}", status_code=204, dependencies=_MARKED, include_in_schema=False)
async def overridden(upload_id: str, request: Request, context: Context, caller: CallerOf) -> Response:
    """Serve clients behind proxies that let neither PATCH nor DELETE through: X-HTTP-Method-Override names it."""
    return await _overridden(request.headers.get("x-http-method-override", "").upper(), upload_id, request, context, caller)


async def _overridden(method: str, upload_id: str, request: Request, context: WebContext, caller: Caller) -> Response:
    if method == "PATCH":
        return await append(upload_id, request, context, caller)
    if method == "DELETE":
        return await delete_upload(upload_id, context, caller, request.headers.get("tus-resumable"))
    raise WebProblem("invalid_request", problem="X-HTTP-Method-Override must be PATCH or DELETE.")
