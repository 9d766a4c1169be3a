"""Unfinished uploads on disk; the folder is the truth, so that a restart of the page forgets nothing.

    inbox/.heygem-uploads/<draft id>/draft.json          owner, files, and what drop it became
    inbox/.heygem-uploads/<draft id>/drop/videos/a.mp4   the drop, as it will be renamed into the inbox; the size is the offset
    inbox/.heygem-uploads/<draft id>/scripts/            uploaded texts; they come into the drop under the name of the recording
    inbox/.heygem-uploads/<draft id>/<upload id>.offset  while a part with a checksum comes in: the offset that is proven

The first eight digits of a draft id stand for its inbox, and an upload id begins with that of its draft: a request touches its own share
alone. Every function blocks; requests call them through `Shares`.
"""

import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, cast, get_args

from heygem_daemon.core.names import UPLOADS, is_ignored, is_valid_name
from heygem_daemon.core.unused_files import AUDIOS, VIDEOS
from heygem_daemon.web.models import Role
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads.safe_files import (
    delete_below,
    exists_at,
    hand_down_group,
    is_own,
    make_folder,
    open_regular,
    opened_below,
    opened_inbox,
    read_small,
    size_of,
    sync_open_folder,
    write_durably_at,
)

DROP: Final = "drop"
SCRIPTS: Final = "scripts"
STATE: Final = "draft.json"
_STATE_BYTES: Final = 4 * 2**20
_LATEST: Final = 2.0**35
"""Unix time of the year 3058: later ones, which cannot be true, are no dates for some systems."""
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_PRIVATE_MODE: Final = 0o700
_DRAFT_ID: Final = re.compile(r"[0-9a-f]{32}")
_UPLOAD_ID: Final = re.compile(r"([0-9a-f]{32})-[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file of a draft: `name` is what the user called it, `stored` its name in the drop, `length` its bytes when complete."""

    id: str
    name: str
    stored: str
    role: Role
    length: int


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A drop that is being uploaded. `created`: unix time. `drop`, `reference`: of the drop that it became or is about to become."""

    id: str
    owner: str
    created: float
    uploads: tuple[Upload, ...] = ()
    drop: str = ""
    reference: str = ""

    def upload(self, upload_id: str) -> Upload:
        """Return one of its files. Raises WebProblem (`not_found`)."""
        for each in self.uploads:
            if each.id == upload_id:
                return each
        raise WebProblem("not_found")

    def with_upload(self, upload: Upload) -> "Draft":
        return replace(self, uploads=(*self.uploads, upload))

    def without_upload(self, upload_id: str) -> "Draft":
        return replace(self, uploads=tuple(each for each in self.uploads if each.id != upload_id))


def inbox_digits(inbox: Path) -> str:
    """Return the eight digits by which draft ids name their inbox."""
    return hashlib.sha256(os.fsencode(inbox)).hexdigest()[:8]


def new_draft_id(inbox: Path) -> str:
    return inbox_digits(inbox) + secrets.token_hex(12)


def new_upload_id(draft_id: str) -> str:
    return f"{draft_id}-{secrets.token_hex(8)}"


def draft_id_of(upload_id: str) -> str:
    """Return the id of the draft that an upload belongs to. Raises WebProblem (`not_found`) for what is no id."""
    matched = _UPLOAD_ID.fullmatch(upload_id)
    if matched is None:
        raise WebProblem("not_found")
    return matched[1]


def is_draft_id(text: str) -> bool:
    return _DRAFT_ID.fullmatch(text) is not None


def create(inbox: Path, draft: Draft) -> None:
    """Make the folder of a new draft. Raises WebProblem."""
    with opened_inbox(inbox) as root:
        make_folder(UPLOADS, root, _PRIVATE_MODE, exist_ok=True)
        with opened_below(root, UPLOADS) as uploads:
            hand_down_group(uploads, os.fstat(root).st_gid)
            make_folder(draft.id, uploads, _PRIVATE_MODE)
            with opened_below(uploads, draft.id) as folder:
                make_folder(DROP, folder)
                make_folder(SCRIPTS, folder, _PRIVATE_MODE)
                with opened_below(folder, DROP) as drop:
                    make_folder(VIDEOS, drop)
                save(folder, draft)
            sync_open_folder(uploads)


@contextmanager
def opened_draft(inbox: Path, draft_id: str, file_bytes: int) -> Iterator[tuple[int, Draft]]:
    """Hold the folder of a draft open, with what its state file says. Raises WebProblem: `not_found`, those of the inbox.

    `not_found` is also what the page cannot have made: people of the share can put another folder in the place of that of all drafts.
    file_bytes: the largest file that may be uploaded."""
    if not is_draft_id(draft_id):
        raise WebProblem("not_found")
    with opened_inbox(inbox) as root, ExitStack() as stack:
        try:
            folder = stack.enter_context(opened_below(root, UPLOADS, draft_id))
            draft = _parsed(draft_id, read_small(STATE, folder, _STATE_BYTES), file_bytes) if is_own(folder, root) else None
        except OSError as failed:
            if failed.errno in _NOT_THERE:
                raise WebProblem("not_found") from None
            raise
        if draft is None:
            raise WebProblem("not_found")
        yield folder, draft


def save(folder: int, draft: Draft) -> None:
    """Write the state file of a draft. Raises OSError."""
    content = json.dumps({"schema": 1, **asdict(draft)}, ensure_ascii=True)
    write_durably_at(STATE, folder, content.encode(), 0o600)


def delete(inbox: Path, draft_id: str) -> None:
    """Delete a draft with all that was uploaded. Raises WebProblem."""
    with opened_inbox(inbox) as root, opened_below(root, UPLOADS) as uploads:
        delete_below(draft_id, uploads)


def ids(inbox: Path) -> list[str]:
    """Return the ids of all drafts of an inbox, sorted. Raises WebProblem."""
    with opened_inbox(inbox) as root:
        try:
            with opened_below(root, UPLOADS) as uploads:
                return sorted(name for name in os.listdir(uploads) if is_draft_id(name))
        except OSError as failed:
            if failed.errno in _NOT_THERE:
                return []
            raise


def is_published(folder: int, draft: Draft) -> bool:
    """Return whether the drop of this draft has been renamed into the inbox already."""
    return bool(draft.reference) and not exists_at(DROP, folder)


def folders_of(folder: int, upload: Upload) -> tuple[str, ...]:
    """Return the folders on the way to the file of an upload; recordings are in audios/ where there are several of them."""
    if upload.role == "script":
        return (SCRIPTS,)
    if upload.role == "video":
        return (DROP, VIDEOS)
    try:
        with opened_below(folder, DROP, AUDIOS) as audios:
            return (DROP, AUDIOS) if exists_at(upload.stored, audios) else (DROP,)
    except (FileNotFoundError, NotADirectoryError):
        return (DROP,)


def offset_of(folder: int, upload: Upload) -> int:
    """Return how many bytes of an upload have arrived and count. Raises OSError."""
    try:
        with opened_below(folder, *folders_of(folder, upload)) as inside:
            size = size_of(upload.stored, inside)
    except FileNotFoundError:
        return 0
    proven = _proven_offset(folder, upload)
    return min(size, upload.length) if proven is None else min(size, upload.length, proven)


def offsets(folder: int, draft: Draft) -> dict[str, int]:
    """Return the offset of every upload of a draft by its id. Raises OSError."""
    return {each.id: offset_of(folder, each) for each in draft.uploads}


def open_for_writing(folder: int, upload: Upload, offset: int) -> int:
    """Return a descriptor of the file of an upload, cut off at the offset: what lies beyond, no checksum has proven. Raises OSError."""
    with opened_below(folder, *folders_of(folder, upload)) as inside:
        descriptor = open_regular(upload.stored, inside, os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(descriptor, offset)
        forget_proven_offset(folder, upload)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def keep_proven_offset(folder: int, upload: Upload, offset: int) -> None:
    """Write down that only so many bytes count, whatever the size of the file becomes. Raises OSError."""
    write_durably_at(_proven_name(upload), folder, str(offset).encode(), 0o600)


def forget_proven_offset(folder: int, upload: Upload) -> None:
    """Let the size of the file count again. Raises OSError."""
    delete_below(_proven_name(upload), folder)


def delete_upload(folder: int, draft: Draft, upload: Upload) -> None:
    """Take a file out of a draft. Raises OSError."""
    save(folder, draft.without_upload(upload.id))
    forget_proven_offset(folder, upload)
    with opened_below(folder, *folders_of(folder, upload)) as inside:
        delete_below(upload.stored, inside)


def touched(folder: int, draft: Draft) -> float:
    """Return when something of a draft was last written, as unix time. Raises OSError."""
    times = [draft.created, os.stat(STATE, dir_fd=folder, follow_symlinks=False).st_mtime]
    for each in draft.uploads:
        try:
            with opened_below(folder, *folders_of(folder, each)) as inside:
                times.append(os.stat(each.stored, dir_fd=inside, follow_symlinks=False).st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return max(times)


def _proven_name(upload: Upload) -> str:
    return f"{upload.id}.offset"


def _proven_offset(folder: int, upload: Upload) -> int | None:
    content = read_small(_proven_name(upload), folder, 100)
    return int(content) if content is not None and content.isdigit() else None


def _parsed(draft_id: str, content: bytes | None, file_bytes: int) -> Draft | None:
    """Return the draft of a state file, None for one that the page cannot have written."""
    try:
        fields = json.loads(content or b"")
        draft = Draft(
            id=draft_id,
            owner=str(fields["owner"]),
            created=float(fields["created"]),
            uploads=tuple(_upload(each) for each in fields["uploads"]),
            drop=str(fields["drop"]),
            reference=str(fields["reference"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    is_ours = all(each.id.startswith(draft_id) and 0 < each.length <= file_bytes for each in draft.uploads)
    return draft if is_ours and 0 <= draft.created < _LATEST else None


def _upload(fields: Mapping[str, Any]) -> Upload:
    """Return an upload of a state file. Raises ValueError for one that leads out of the draft."""
    stored, role = str(fields["stored"]), fields["role"]
    if not is_valid_name(stored) or is_ignored(stored) or role not in get_args(Role) or not _UPLOAD_ID.fullmatch(str(fields["id"])):
        raise ValueError("not written by the page")
    return Upload(id=str(fields["id"]), name=str(fields["name"]), stored=stored, role=cast(Role, role), length=int(fields["length"]))
