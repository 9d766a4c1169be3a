"""`python -m tests.prove.upload_process INBOX DRAFT`: what the page does at the end of an upload, in a process that can be killed.

A browser that got no answer sends the same request again: a second call finds what the first one has done."""

import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from heygem_daemon.web.models import Role
from heygem_daemon.web.uploads import draft_store, draft_sweep, drop_folder
from heygem_daemon.web.uploads.draft_store import Draft, Upload
from heygem_daemon.web.uploads.safe_files import opened_inbox

UPLOAD: Final = "tests.prove.upload_process"
FILE_BYTES: Final = 2**30


def make_draft(inbox: Path, name: str, files: Mapping[str, bytes]) -> str:
    """Upload these files (by their paths in the drop) completely, and return the id of the draft."""
    draft = Draft(id=draft_store.new_draft_id(inbox), owner="amy", created=time.time(), drop=name)
    draft_store.create(inbox, draft)
    for path, content in files.items():
        upload_id, stored = draft_store.new_upload_id(draft.id), path.rpartition("/")[2]
        role: Role = "video" if path.startswith("videos/") else "recording"
        draft = draft.with_upload(Upload(id=upload_id, name=stored, stored=stored, role=role, length=len(content)))
        (inbox / ".heygem-uploads" / draft.id / "drop" / path).write_bytes(content)
    with draft_store.opened_draft(inbox, draft.id, FILE_BYTES) as (folder, _):
        draft_store.save(folder, draft)
    return draft.id


def finish(inbox: Path, draft_id: str) -> None:
    """Make the draft a drop, unless that is done already."""
    with opened_inbox(inbox) as root, draft_store.opened_draft(inbox, draft_id, FILE_BYTES) as (folder, draft):
        if not draft_store.is_published(folder, draft):
            drop_folder.publish(root, folder, replace(draft, reference=secrets.token_hex(8)))


def sweep(inbox: Path) -> None:
    """Delete what is left of drafts, as the page does some hours later."""
    for draft_id in draft_store.ids(inbox):
        later = time.time() + 30 * 86400
        draft_sweep.sweep_draft(inbox, draft_id, FILE_BYTES, later, later)


if __name__ == "__main__":
    finish(Path(sys.argv[1]), sys.argv[2])
