"""Make a job: check what is asked for, complete the drop in its draft, and rename it into the inbox."""

import asyncio
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from heygem_daemon.core.drop import DropLimits
from heygem_daemon.core.job_options import parse_job_toml
from heygem_daemon.core.names import UPLOADS, escape_name
from heygem_daemon.settings import Settings
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs.index import JobIndex
from heygem_daemon.web.models import JobChoices, JobCreated, NewJob, Role
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.uploads import draft_store, drop_folder
from heygem_daemon.web.uploads.draft_store import Draft, Upload
from heygem_daemon.web.uploads.drafts import Drafts
from heygem_daemon.web.uploads.drop_folder import Layout
from heygem_daemon.web.uploads.job_choices import engines
from heygem_daemon.web.uploads.job_toml import Value, face_value, job_toml
from heygem_daemon.web.uploads.named_files import NamedFile, NamedFiles
from heygem_daemon.web.uploads.safe_files import opened_below, opened_inbox
from heygem_daemon.web.uploads.stored_names import drop_name, stored_name
from heygem_daemon.web.user_rights import highest_priority

_NAMED: Final = 3
"""Unfinished files named in a sentence."""
_SPACES: Final = re.compile(r"\s+")


class DropWriter:
    """Makes the jobs of one caller."""

    def __init__(self, settings: Settings, drafts: Drafts, index: JobIndex, caller: Caller) -> None:
        self._settings = settings
        self._drafts = drafts
        self._index = index
        self._caller = caller

    async def publish(self, job: NewJob) -> JobCreated:
        """Make a job; the same draft again returns the same job. Raises WebProblem."""
        drop_name(job.name)
        check_choices(job.options, engines(self._settings))
        consent = self._consent(job)
        if job.draft is not None:
            return await self._publish(job, job.draft, consent)
        if job.recording is None or not job.videos:
            raise WebProblem("no_recording" if job.recording is None else "no_videos")
        draft_id = (await self._drafts.create(self._caller, job.inbox)).draft
        try:
            return await self._publish(job, draft_id, consent)
        except BaseException:
            with suppress(WebProblem):
                await asyncio.shield(self._drafts.delete(self._caller, draft_id))
            raise

    async def _publish(self, job: NewJob, draft_id: str, consent: str | None) -> JobCreated:
        inbox = self._drafts.inbox_of(draft_id)
        async with self._drafts.lock(draft_id):
            draft, is_published = await self._drafts.work(self._caller, draft_id, _with_state, published=True)
            if is_published:
                return _created(draft)
            await self._check_complete(draft)
            named = _named_files(draft, job)
            layout = _layout(draft, named)
            await self._drafts.work(self._caller, draft_id, partial(drop_folder.arrange, layout=layout))
            files = NamedFiles(drafts=self._drafts, caller=self._caller, inbox=inbox, draft_id=draft_id)
            for each in named:
                await files.bring(each, layout.folders(each.role))
            draft = replace(draft, drop=job.name, reference=secrets.token_hex(8))
            options = self._allowed(job.options, inbox)
            text = _job_toml(options, draft, named, consent)
            taken = self._index.names_in(inbox)
            draft = await self._drafts.shares.call(inbox, partial(self._finish, inbox, draft, layout, job.script, text, taken=taken))
        self._index.expect(
            reference=draft.reference, name=draft.drop, inbox=inbox, owner=draft.owner, priority=self._priority(options, inbox)
        )
        return _created(draft)

    def _finish(self, inbox: Path, draft: Draft, layout: Layout, script: str | None, text: str, *, taken: Collection[str]) -> Draft:
        limits = DropLimits(items=self._settings.limits.items, file_bytes=self._settings.limits.file_bytes)
        with opened_inbox(inbox) as root, opened_below(root, UPLOADS, draft.id) as folder:
            scripts = drop_folder.add_scripts(folder, draft, layout, script)
            drop_folder.write_job_toml(folder, text)
            drop_folder.check(folder, layout, scripts, text, limits)
            return drop_folder.publish(root, folder, draft, taken)

    async def _check_complete(self, draft: Draft) -> None:
        """Raise WebProblem (`draft_incomplete`) where files have not arrived whole."""
        there = await self._drafts.work(self._caller, draft.id, draft_store.offsets)
        missing = [each.name for each in draft.uploads if there[each.id] < each.length or self._drafts.uploading.is_held(each.id)]
        if missing:
            shown = ", ".join(escape_name(name) for name in missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
            raise WebProblem("draft_incomplete", names=shown, count=len(missing))

    def _consent(self, job: NewJob) -> str | None:
        """Return who confirms the consent, and when. Raises WebProblem (`consent_missing`)."""
        given = job.consent is not None and job.consent.given
        by = _SPACES.sub(" ", escape_name(self._caller.name or (job.consent.by if job.consent else ""))).strip()
        if self._settings.web.require_consent and not (given and by):
            raise WebProblem("consent_missing")
        return f"{by or 'somebody'}, {datetime.now(UTC).astimezone().isoformat(timespec='seconds')}" if given else None

    def _allowed(self, options: JobChoices, inbox: Path) -> JobChoices:
        """Return the choices with the priority that the caller may give, where he asks for a higher one."""
        highest = highest_priority(self._caller, self._settings, inbox)
        return options if options.priority is None or options.priority <= highest else options.model_copy(update={"priority": highest})

    def _priority(self, options: JobChoices, inbox: Path) -> int:
        own = next((each.priority for each in self._settings.inboxes if each.path == inbox), 0)
        return own if options.priority is None else options.priority


def check_choices(options: JobChoices, known: Sequence[str]) -> None:
    """Raise WebProblem (`bad_option`, with the sentence of the check of job.toml) for a choice that is none."""
    if options.engine is not None and options.engine not in known:
        raise WebProblem("bad_option", problem=f"engine must be one of {', '.join(known)}.")
    _, mistake = parse_job_toml(job_toml(_values(options), {name: face_value(face) for name, face in (options.faces or {}).items()}))
    if mistake is not None:
        raise WebProblem("bad_option", problem=mistake.message)


def _values(options: JobChoices) -> dict[str, Value]:
    """Return the keys of job.toml that are chosen, but for `faces`."""
    chosen: dict[str, Value] = {key: value for key, value in options.model_dump(exclude={"faces"}).items() if value is not None}
    if "face" in chosen:
        chosen["face"] = face_value(str(chosen["face"]))
    return chosen


def _job_toml(options: JobChoices, draft: Draft, named: Sequence[NamedFile], consent: str | None) -> str:
    origin = {"reference": draft.reference, "owner": draft.owner, "consent": consent}
    values = {**_values(options), **{key: value for key, value in origin.items() if value}}
    return job_toml(values, _faces(options.faces or {}, draft, named))


def _faces(chosen: Mapping[str, str], draft: Draft, named: Sequence[NamedFile]) -> dict[str, Value]:
    """Return the faces by the names that the videos have in the drop; they may be chosen by stored, shown or inbox name."""
    stored = {each.name: each.stored for each in draft.uploads if each.role == "video"}
    stored |= {each.path.rpartition("/")[2]: each.stored for each in named if each.role == "video"}
    stored |= {each.path: each.stored for each in named if each.role == "video"}
    stored |= {name: name for name in list(stored.values())}
    unknown = next((name for name in chosen if name not in stored), None)
    if unknown is not None:
        raise WebProblem("bad_option", problem=f"faces names {escape_name(unknown)}, which is no video of this job.")
    return {stored[name]: face_value(face) for name, face in chosen.items()}


def _named_files(draft: Draft, job: NewJob) -> tuple[NamedFile, ...]:
    """Return the files of the inbox that a job names, with names that nothing else in the drop has."""
    taken: dict[Role, list[str]] = {"recording": [], "video": [], "script": []}
    for each in draft.uploads:
        taken[each.role].append(each.stored)
    found: list[NamedFile] = []
    wanted: list[tuple[str, Role]] = [(path, "video") for path in job.videos]
    if job.recording is not None:
        wanted.append((job.recording, "recording"))
    for path, role in wanted:
        stored = stored_name(path.rpartition("/")[2], role, taken[role])
        taken[role].append(stored)
        found.append(NamedFile(path=path, role=role, stored=stored))
    return tuple(found)


def _layout(draft: Draft, named: Sequence[NamedFile]) -> Layout:
    """Return what the drop must hold. Raises WebProblem: no_recording, no_videos."""
    files: list[Upload | NamedFile] = [*draft.uploads, *named]
    layout = Layout(
        recordings=tuple(each.stored for each in files if each.role == "recording"),
        videos=tuple(each.stored for each in files if each.role == "video"),
    )
    if not layout.recordings:
        raise WebProblem("no_recording")
    if not layout.videos:
        raise WebProblem("no_videos")
    return layout


def _with_state(folder: int, draft: Draft) -> tuple[Draft, bool]:
    return draft, draft_store.is_published(folder, draft)


def _created(draft: Draft) -> JobCreated:
    return JobCreated(id=draft.reference, name=draft.drop, url=f"/api/v1/jobs/{draft.reference}")
