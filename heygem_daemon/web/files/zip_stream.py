"""Stream a ZIP of files that are stored as they are: no temporary file, flat memory, its length known before the first byte.

The standard library writes it, onto a stream that cannot seek: stream-zip would need either a whole file in memory or a first reading of
it for its checksum, and zipstream-ng is LGPL.
"""

import re
import time
import zipfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Protocol

from heygem_daemon.web.files.open_files import BrokenStreamError

_LOCAL_HEADER: Final = 30
_CENTRAL_HEADER: Final = 46
_END: Final = 22
_ZIP64_END: Final = 56 + 20
_ZIP64_EXTRA: Final = 20
_DESCRIPTOR: Final = 16
_ZIP64_DESCRIPTOR: Final = 24
"""Bytes of the parts of a ZIP file (PKWARE's APPNOTE 6.3.10, 4.3)."""
_DOS_YEARS: Final = (1980, 2107)
_UNFIT: Final = re.compile(r"[\\:\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What Windows takes for a folder, a drive or a stream, and what no name should hold: who unpacks may have another system."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file that is to be in the ZIP under `name`; size and time are checked again when its turn comes.

    path: where it lies in the folder of the job."""

    name: str
    path: str = ""
    size: int
    mtime_ns: int

    def info(self) -> zipfile.ZipInfo:
        moment = time.localtime(self.mtime_ns // 10**9)[:6]
        if not _DOS_YEARS[0] <= moment[0] <= _DOS_YEARS[1]:
            moment = (1980, 1, 1, 0, 0, 0)
        info = zipfile.ZipInfo(self.name, moment)
        info.file_size = self.size
        info.external_attr = 0o100644 << 16
        return info

    @property
    def is_zip64(self) -> bool:
        """Return whether zipfile.ZipFile.open writes this one's sizes as 64 bit."""
        return self.size * 1.05 > zipfile.ZIP64_LIMIT


class Content(Protocol):
    """An open member."""

    @property
    def size(self) -> int: ...

    @property
    def mtime_ns(self) -> int: ...

    def parts(self) -> AsyncGenerator[bytes, None]:
        """Yield its bytes."""
        ...

    async def is_unchanged(self) -> bool:
        """Return whether it is still the file that was opened, with the same size and time."""
        ...


class Opener(Protocol):
    """Opens a member when its turn comes."""

    def __call__(self, member: Member) -> AbstractAsyncContextManager[Content]: ...


def member_names(paths: Iterable[str]) -> list[str]:
    """Return the names in a ZIP for these paths, in their order: safe to unpack anywhere, and no two equal where case is ignored."""
    wanted = list(paths)
    names, taken = [], {path.casefold() for path in wanted if not _UNFIT.search(path)}
    for path in wanted:
        name = path
        if _UNFIT.search(path):
            safe = PurePosixPath(_UNFIT.sub("_", path))
            choices = (safe, *(safe.with_stem(f"{safe.stem}-{number}") for number in range(2, len(wanted) + 2)))
            name = next(str(each) for each in choices if str(each).casefold() not in taken)
            taken.add(name.casefold())
        names.append(name)
    return names


def zip_length(members: Iterable[Member]) -> int:
    """Return the length in bytes of what `zip_parts` yields for these members."""
    offset, directory, count = 0, 0, 0
    for member in members:
        name = len(member.name.encode())
        beyond = 2 * (member.size > zipfile.ZIP64_LIMIT) + (offset > zipfile.ZIP64_LIMIT)
        directory += _CENTRAL_HEADER + name + (4 + 8 * beyond if beyond else 0)
        offset += _LOCAL_HEADER + name + member.size
        offset += _ZIP64_EXTRA + _ZIP64_DESCRIPTOR if member.is_zip64 else _DESCRIPTOR
        count += 1
    is_zip64 = count > zipfile.ZIP_FILECOUNT_LIMIT or max(offset, directory) > zipfile.ZIP64_LIMIT
    return offset + directory + _END + (_ZIP64_END if is_zip64 else 0)


async def zip_parts(members: Iterable[Member], opener: Opener) -> AsyncGenerator[bytes, None]:
    """Yield the ZIP of these members. Raises BrokenStreamError where one vanished or changed, so that no ZIP looks whole and is not."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as bundle:  # type: ignore[call-overload]  # a stream needs write and flush only
        for member in members:
            async with opener(member) as content:
                _require((content.size, content.mtime_ns) == (member.size, member.mtime_ns), member)
                with bundle.open(member.info(), "w") as packed:
                    async for part in content.parts():
                        packed.write(part)
                        yield sink.take()
                _require(await content.is_unchanged(), member)
            yield sink.take()
    yield sink.take()


def _require(is_same: bool, member: Member) -> None:
    if not is_same:
        raise BrokenStreamError(f"{member.name} changed while it was packed")


class _Sink:
    """What zipfile writes to: hands it on in the order it comes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None: ...

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
