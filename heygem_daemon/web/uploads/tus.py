"""The tus protocol 1.0.0 (tus.io): what its headers mean, and how the bytes of a request come into a file.

A server of our own: the one library on PyPI that is kept (tuspyserver 4.4) writes and locks on the event loop, so that one frozen share
would stop the whole page, opens files through links, keeps uploads apart from where they are needed, and has no checksums.
"""

import asyncio
import base64
import binascii
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect

from heygem_daemon.web.problems import WebProblem

T = TypeVar("T")

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,termination,checksum,expiration"
CONTENT_TYPE: Final = "application/offset+octet-stream"
ALGORITHMS: Final = ("sha1", "sha256")

BLOCK_BYTES: Final = 2**20
"""Written at a time: what a request holds in memory."""
SYNC_BYTES: Final = 16 * 2**20
"""Written before the disk must have it: else the last sync of a large file could outlast the time limit of its share."""
MAX_METADATA: Final = 16_000


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """The Upload-Checksum of a request."""

    algorithm: str
    digest: bytes

    def matches(self, computed: "hashlib._Hash") -> bool:
        return computed.digest() == self.digest


def headers(**more: object) -> dict[str, str]:
    """Return the headers of an answer: Tus-Resumable, and those given with `_` for `-` (upload_offset=5)."""
    named = {"-".join(part.capitalize() for part in name.split("_")): str(value) for name, value in more.items()}
    return {"Tus-Resumable": VERSION, "Cache-Control": "no-store", **named}


def marked_problems() -> Iterator[None]:
    """Give the errors of an endpoint, whose dependency this is, the header of the protocol."""
    try:
        yield
    except WebProblem as problem:
        problem.headers.setdefault("Tus-Resumable", VERSION)
        raise


def metadata(**values: str) -> str:
    """Return an Upload-Metadata header."""
    return ",".join(f"{key} {base64.b64encode(value.encode(errors='replace')).decode()}" for key, value in values.items())


def expires(unix: float) -> str:
    """Return a time as Upload-Expires has it."""
    return formatdate(unix, usegmt=True)


def check_version(value: str | None) -> None:
    """Raise WebProblem (`unsupported_tus_version`) unless the client speaks our version."""
    if value != VERSION:
        raise WebProblem("unsupported_tus_version", headers={"Tus-Version": VERSION}, version=VERSION)


def parse_count(value: str | None, header: str) -> int:
    """Return the number of bytes in a header. Raises WebProblem (`invalid_request`)."""
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise WebProblem("invalid_request", problem=f"{header} must be a number of bytes.")
    return int(value)


def parse_metadata(value: str) -> dict[str, str]:
    """Return the keys of an Upload-Metadata header, with their values decoded. Raises WebProblem (`invalid_request`)."""
    if len(value) > MAX_METADATA:
        raise WebProblem("invalid_request", problem="Upload-Metadata is too long.")
    found: dict[str, str] = {}
    for pair in value.split(","):
        key, _, encoded = pair.strip().partition(" ")
        try:
            found[key] = base64.b64decode(encoded.strip(), validate=True).decode(errors="backslashreplace")
        except (binascii.Error, ValueError):
            raise WebProblem("invalid_request", problem="Upload-Metadata must be `key base64` pairs with commas between.") from None
    return found


def parse_checksum(value: str | None) -> Checksum | None:
    """Return the checksum of an Upload-Checksum header, None without one. Raises WebProblem (`invalid_request`)."""
    if value is None:
        return None
    algorithm, _, encoded = value.partition(" ")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if algorithm not in ALGORITHMS or len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise WebProblem("invalid_request", problem=f"Upload-Checksum must be one of {', '.join(ALGORITHMS)} and its digest in base64.")
    return Checksum(algorithm=algorithm, digest=digest)


async def receive(
    stream: AsyncIterator[bytes],
    *,
    offset: int,
    length: int,
    run: Callable[[Callable[[], T]], Awaitable[T]],
    write: Callable[[Sequence[bytes], int], T],
    digest: "hashlib._Hash | None" = None,
) -> int:
    """Write what a request sends, block by block from `offset`, and return the new offset; a cut connection ends it early.

    run: runs a function in a thread of the share. write: writes blocks at an offset. digest: is fed everything. What arrived before a
    cut is written. Raises WebProblem (`upload_too_large`) for bytes beyond `length`, and what writing raises."""
    blocks: list[bytes] = []
    size = 0
    try:
        async for block in stream:
            if offset + size + len(block) > length:
                raise WebProblem("upload_too_large", limit=length)
            blocks.append(block)
            size += len(block)
            if size >= BLOCK_BYTES:
                offset = await _flush(blocks, offset, run, write, digest)
                size = 0
    except (ClientDisconnect, WebProblem, asyncio.CancelledError):
        if blocks:
            await _flush(blocks, offset, run, write, digest)
        raise
    return await _flush(blocks, offset, run, write, digest) if blocks else offset


async def _flush(
    blocks: list[bytes],
    offset: int,
    run: Callable[[Callable[[], T]], Awaitable[T]],
    write: Callable[[Sequence[bytes], int], T],
    digest: "hashlib._Hash | None",
) -> int:
    ready, size = tuple(blocks), sum(map(len, blocks))
    blocks.clear()

    def work() -> T:
        if digest is not None:
            for block in ready:
                digest.update(block)
        return write(ready, offset)

    await run(work)
    return offset + size


def write_blocks(descriptor: int, blocks: Sequence[bytes], offset: int) -> None:
    """Write blocks at an offset, all of them, and let the disk have them where SYNC_BYTES are full. Raises OSError."""
    data = b"".join(blocks)
    view, at = memoryview(data), offset
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
    if at // SYNC_BYTES != offset // SYNC_BYTES:
        os.fdatasync(descriptor)
