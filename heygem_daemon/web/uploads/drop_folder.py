"""The folder of a drop under construction: put into its final layout, and renamed into the inbox. A second try finds all as it should be.

Every function blocks; requests call them through `Shares`. They raise OSError where the file system does.
"""

import os
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from heygem_daemon.core.drop import JOB_TOML, DropLimits, plan
from heygem_daemon.core.names import control_of
from heygem_daemon.core.unused_files import AUDIOS, VIDEOS
from heygem_daemon.durable import rename_numbered
from heygem_daemon.intake.listing import list_drop
from heygem_daemon.web.models import Role
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads import draft_store
from heygem_daemon.web.uploads.draft_store import DROP, SCRIPTS, Draft, Upload
from heygem_daemon.web.uploads.draft_sweep import forget_ready
from heygem_daemon.web.uploads.safe_files import (
    SHARED_FILE_MODE,
    delete_below,
    make_folder,
    open_regular,
    opened_below,
    path_of,
    sync_open_folder,
    write_durably_at,
)
from heygem_daemon.web.uploads.stored_names import comparison_key, drop_name, numbered, split_suffix

_SCRIPT_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the drop must hold: names of its recordings, which lie in audios/ where there are several, and of its videos."""

    recordings: tuple[str, ...]
    videos: tuple[str, ...]

    @property
    def has_batch(self) -> bool:
        return len(self.recordings) > 1

    @property
    def recording_folder(self) -> tuple[str, ...]:
        return (DROP, AUDIOS) if self.has_batch else (DROP,)

    def folders(self, role: Role) -> tuple[str, ...]:
        """Return the folders of a draft on the way to the files of a role in the drop."""
        return (DROP, VIDEOS) if role == "video" else self.recording_folder

    @property
    def recording_paths(self) -> set[str]:
        return {f"{AUDIOS}/{name}" if self.has_batch else name for name in self.recordings}

    @property
    def video_paths(self) -> set[str]:
        return {f"{VIDEOS}/{name}" for name in self.videos}


def arrange(folder: int, draft: Draft, layout: Layout) -> None:
    """Put the uploaded recordings where they belong, and delete what is left in the drop of an earlier try."""
    recordings = {each.stored for each in draft.uploads if each.role == "recording"}
    with opened_below(folder, DROP) as drop:
        if layout.has_batch:
            make_folder(AUDIOS, drop, exist_ok=True)
        for each in draft.uploads:
            if each.role == "recording":
                _move(folder, draft_store.folders_of(folder, each), layout.recording_folder, each.stored)
        _keep_only(drop, {VIDEOS, *({AUDIOS} if layout.has_batch else recordings)})
        with opened_below(drop, VIDEOS) as videos:
            _keep_only(videos, {each.stored for each in draft.uploads if each.role == "video"})
        if layout.has_batch:
            with opened_below(drop, AUDIOS) as audios:
                _keep_only(audios, recordings)


def _move(folder: int, source: tuple[str, ...], target: tuple[str, ...], name: str) -> None:
    if source != target:
        with opened_below(folder, *source) as old, opened_below(folder, *target) as new:
            os.rename(name, name, src_dir_fd=old, dst_dir_fd=new)


def _keep_only(folder: int, names: Collection[str]) -> None:
    for name in os.listdir(folder):
        if name not in names:
            delete_below(name, folder)


def add_scripts(folder: int, draft: Draft, layout: Layout, text: str | None) -> dict[str, str]:
    """Put the words into the drop, named so that they count; return recording path -> script path. Raises WebProblem."""
    uploads = [each for each in draft.uploads if each.role == "script"]
    texts: list[tuple[str, bytes, str]] = [(each.name, _content(folder, each), split_suffix(each.stored)[1].lower()) for each in uploads]
    if text and text.strip():
        texts.append(("", text.encode(errors="replace"), ".txt"))
    scripts: dict[str, str] = {}
    with opened_below(folder, *layout.recording_folder) as inside:
        for name, content, suffix in texts:
            recording = _recording_of(name, draft, layout)
            if recording in scripts:
                raise WebProblem("two_scripts")
            stored = f"{split_suffix(recording)[0]}{suffix}" if layout.has_batch else f"speech{suffix}"
            write_durably_at(stored, inside, content)
            scripts[recording] = stored
    prefix = f"{AUDIOS}/" if layout.has_batch else ""
    return {prefix + recording: prefix + script for recording, script in scripts.items()}


def _recording_of(script: str, draft: Draft, layout: Layout) -> str:
    """Return the recording that a script belongs to: the only one, else that of the same name."""
    if not layout.has_batch:
        return layout.recordings[0]
    stem = comparison_key(split_suffix(script)[0])
    named = [each.stored for each in draft.uploads if each.role == "recording" and comparison_key(split_suffix(each.name)[0]) == stem]
    if not script or len(named) != 1:
        raise WebProblem("script_unmatched", name=script or "speech.txt")
    return named[0]


def _content(folder: int, upload: Upload) -> bytes:
    with opened_below(folder, SCRIPTS) as scripts, os.fdopen(open_regular(upload.stored, scripts, os.O_RDONLY), "rb") as file:
        return file.read(_SCRIPT_BYTES)


def write_job_toml(folder: int, text: str) -> None:
    """Write the job.toml of the drop."""
    with opened_below(folder, DROP) as drop:
        write_durably_at(JOB_TOML, drop, text.encode())


def check(folder: int, layout: Layout, scripts: Mapping[str, str], job_toml: str, limits: DropLimits) -> None:
    """Let the recogniser of drops look at the folder as the daemon will. Raises WebProblem (`bad_option` with its sentence)."""
    listing = list_drop(DROP, folder)
    if listing is None or listing.unreadable:
        raise WebProblem("internal")
    found = plan(listing.entries, job_toml=job_toml, limits=limits)
    mistake = found.rejected or found.incomplete or next(iter(found.problems.values()), None)
    if mistake is not None:
        raise WebProblem("bad_option", problem=mistake.message)
    if (set(found.recordings), set(found.videos), dict(found.scripts)) != (layout.recording_paths, layout.video_paths, dict(scripts)):
        raise WebProblem("internal")


def publish(root: int, folder: int, draft: Draft, taken: Collection[str] = ()) -> Draft:
    """Rename the drop into the open inbox `root`, under its name or a numbered one, and let it start at once; return the draft with it.
    taken: names of open jobs of that inbox.

    The draft says beforehand what it becomes: after a crash in between, the same request finds it done. The .ready file comes last: one
    that stood there before its drop would let a drop of that name that is copied by share be taken half copied."""
    free = _free_name(root, draft.drop, taken)
    draft = replace(draft, drop=free)
    draft_store.save(folder, draft)
    _sync_below(folder, DROP)
    target = rename_numbered(path_of(folder) / DROP, path_of(root), free)
    sync_open_folder(root)
    sync_open_folder(folder)
    if target.name != free:
        draft = replace(draft, drop=target.name)
        draft_store.save(folder, draft)
    _write_ready(root, folder, draft.drop)
    return draft


def _write_ready(root: int, folder: int, name: str) -> None:
    """Write NAME.ready, whole from its first moment; without it the drop starts too, once it has settled.

    Until then it lies in the draft, with which it is deleted after a crash in between."""
    temporary = f".{secrets.token_hex(8)}.tmp"
    with suppress(OSError):
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, SHARED_FILE_MODE, dir_fd=folder))
        os.rename(temporary, f"{name}.ready", src_dir_fd=folder, dst_dir_fd=root)
        forget_ready(root, name)


def _free_name(root: int, wanted: str, jobs: Collection[str]) -> str:
    """Return a name that neither a drop nor a control file in the inbox has, nor an open job: what is left of an old hold must not hold
    this drop, and what is asked of a job by its name is not for this one."""
    names = [*os.listdir(root), *jobs]
    taken = {comparison_key(name) for name in names} | {comparison_key(control[0]) for name in names if (control := control_of(name))}
    usable = drop_name(wanted)
    candidates = islice(numbered(usable, is_folder=True, limit=200), len(taken) + 1)
    return next(name for name in candidates if comparison_key(name) not in taken)


def _sync_below(parent: int, name: str) -> None:
    with opened_below(parent, name) as folder, os.scandir(folder) as entries:
        for each in entries:
            if each.is_dir(follow_symlinks=False):
                _sync_below(folder, each.name)
        sync_open_folder(folder)
