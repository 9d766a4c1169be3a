"""Delete what is left of drafts: those that nobody continues, and the remains of those that became drops."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from heygem_daemon.core.names import UPLOADS
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads import draft_store
from heygem_daemon.web.uploads.safe_files import delete_below, exists_at, opened_below, opened_inbox

PUBLISHED_SECONDS: Final = 3600.0
"""How long a draft whose drop was taken still answers a request that is sent again."""


def sweep_draft(inbox: Path, draft_id: str, file_bytes: int, too_old: float, now: float) -> None:
    """Delete a draft that was not touched since `too_old`, one whose drop was taken long before `now` (unix times), and one whose state
    cannot be read once it is old. Raises WebProblem.

    A drop that was taken before its .ready file was written would leave that file for the next drop of its name, which would then be
    taken half copied: it goes as soon as the drop has."""
    try:
        with draft_store.opened_draft(inbox, draft_id, file_bytes) as (folder, draft):
            touched = draft_store.touched(folder, draft)
            if draft_store.is_published(folder, draft):
                with opened_inbox(inbox) as root:
                    forget_ready(root, draft.drop)
                    if not exists_at(draft.drop, root):
                        too_old = now - PUBLISHED_SECONDS
    except WebProblem as problem:
        if problem.code != "not_found":
            raise
        touched = _changed(inbox, draft_id)
    if touched < too_old:
        draft_store.delete(inbox, draft_id)


def forget_ready(root: int, name: str) -> None:
    """Delete the .ready file of a drop that is gone from the open inbox `root`. Raises OSError."""
    if name and not exists_at(name, root):
        delete_below(f"{name}.ready", root)


def _changed(inbox: Path, draft_id: str) -> float:
    with opened_inbox(inbox) as root, opened_below(root, UPLOADS) as uploads, suppress(FileNotFoundError):
        return os.stat(draft_id, dir_fd=uploads, follow_symlinks=False).st_mtime
    return float("inf")
