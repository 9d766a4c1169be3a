"""Jobs as the HTTP interface shows them, in the caller's language: entries of lists, and one job in detail.

English sentences come from the status itself, with its details; other languages have one sentence for each code (`error.<code>`,
`warning.<code>` in the catalogs) and for each kind of reason (reasons.py).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final
from urllib.parse import quote

from heygem_daemon.core.job import State
from heygem_daemon.core.status import ErrorStatus, ItemStatus, JobStatus, WarningStatus
from heygem_daemon.core.warning_codes import WARNINGS
from heygem_daemon.settings import Settings
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs.index import JobIndex
from heygem_daemon.web.jobs.job_record import FAILURES, JobRecord
from heygem_daemon.web.jobs.reasons import translate
from heygem_daemon.web.jobs.verdicts import verdicts
from heygem_daemon.web.models import ExplainedItem, ItemCounts, JobDetail, JobEntry, ProblemAnswer
from heygem_daemon.web.user_rights import may_ask
from heygem_daemon.web.words import catalog, text

DAY: Final = 86400.0
_RETRIED: Final = FAILURES | {State.CANCELLED}
_URGENCY: Final = ("cancel", "retry", "hold", "resume", "priority")
"""Of several requests that are pending, the first is named."""


@dataclass(frozen=True, kw_only=True)
class Describer:
    """Describes jobs to one caller."""

    index: JobIndex
    settings: Settings
    caller: Caller

    def entry(self, record: JobRecord) -> JobEntry:
        """Return the entry of a job in a list."""
        base = job_url(record.id)
        return JobEntry(
            id=record.id,
            reference=record.reference,
            name=record.name,
            output=record.output,
            inbox=PurePath(record.inbox).name,
            owner=record.owner,
            state=record.state,
            since=_date(record.since),
            dropped=None if record.dropped is None else _date(record.dropped),
            finished=None if record.finished is None else _date(record.finished),
            why=self.why(record),
            error_code=record.error.code if record.error else None,
            priority=record.priority,
            position=record.position,
            stage="" if record.is_final else record.stage,
            percent=record.percent,
            eta_s=record.eta_s,
            items=ItemCounts(total=record.total, done=record.done, failed=record.failed),
            engine=", ".join(engine for engine, _count in record.engines),
            seconds=record.seconds,
            thumbnail=f"{base}/files/{quote(record.thumbnail)}" if record.thumbnail else None,
            warnings=record.warnings,
            actions=self.actions(record),
            requested=sorted(self.index.requests.of(record)),
        )

    def why(self, record: JobRecord) -> str:
        """Return in one sentence why a job waits, how it ended, or what was asked of it; "" where there is nothing to say."""
        language, alive = self.caller.language, self.index.is_daemon_alive
        requested = self.index.requests.of(record)
        for kind in _URGENCY:
            if kind in requested:
                return text(language, f"why.requested.{kind}" + ("" if alive else ".silent"))
        if record.is_final:
            return self._problem(record.error).message if record.error and record.state in FAILURES else self._in_words(record.reason)
        if not record.output:
            return self._why_not_taken(record, alive=alive)
        if not alive:
            return text(language, "why.silent")
        return self._in_words(record.reason if record.state is State.SETTLING else record.waiting_for or record.reason)

    def _in_words(self, sentence: str) -> str:
        return translate(self.caller.language, sentence) if sentence else ""

    def _why_not_taken(self, record: JobRecord, *, alive: bool) -> str:
        inbox = self.index.inbox_of(record)
        if inbox is not None and not inbox.online:
            return text(self.caller.language, "why.drop.offline")
        return text(self.caller.language, "why.drop.new" if alive else "why.drop.silent")

    def actions(self, record: JobRecord) -> list[str]:
        """Return what the caller can ask of a job now."""
        return [kind for kind in self._possible(record) if may_ask(self.caller, self.settings, kind)]

    def _possible(self, record: JobRecord) -> list[str]:
        if record.inbox and self.index.inbox_of(record) is None:
            return []  # an inbox that is not configured any more: no daemon would read the control file
        if record.is_final:
            may_be_retried = record.state in _RETRIED or record.missing > 0
            return ["retry"] if may_be_retried and self.keeps_inputs(record) else []
        if not record.output and not self.caller.is_admin:
            return []  # a control file would go by its name, and be for every job of that name
        is_held = record.is_held or "hold" in self.index.requests.of(record)
        return ["cancel", "resume" if is_held else "hold", "priority"]

    def keeps_inputs(self, record: JobRecord) -> bool:
        """Return whether the inputs of a job are still there, by the time for which they are kept."""
        keep = self.settings.keep
        days = keep.done_days if record.state is State.SUCCEEDED else keep.failed_days
        return not record.is_final or days == 0 or record.ended > time.time() - days * DAY

    # -- one job ------------------------------------------------------------------------------------------------------

    def detail(self, record: JobRecord, status: JobStatus | None, sizes: Mapping[str, int], fit: str | None = None) -> JobDetail:
        """Return everything about a job. sizes: bytes of its results, by their path in its folder."""
        if status is None:
            return JobDetail(entry=self.entry(record), fit=fit)
        has_results = any(item.state is State.SUCCEEDED and item.output for item in status.items)
        return JobDetail(
            entry=self.entry(record),
            status=status if self.caller.is_admin else status.model_copy(update={"inbox": PurePath(status.inbox).name}),
            error=self._problem(status.error) if status.error else None,
            warnings=[self._job_warning(each) for each in status.warnings],
            items=[self._item(record, item, sizes) for item in status.items],
            zip_url=f"{job_url(record.id)}/zip" if has_results else None,
            fit=fit,
        )

    def _item(self, record: JobRecord, item: ItemStatus, sizes: Mapping[str, int]) -> ExplainedItem:
        files = f"{job_url(record.id)}/files"
        source = f"{job_url(record.id)}/sources/{quote(item.key, safe='')}" if self.keeps_inputs(record) else None
        return ExplainedItem(
            key=item.key,
            state=item.state,
            error=self._problem(item.error) if item.error else None,
            warnings=[self._item_warning(code, item.warning_details.get(code, "")) for code in item.warnings],
            verdicts=verdicts(item, self.caller.language),
            result_url=f"{files}/{quote(item.output)}" if item.output else None,
            source_url=source,
            source_preview_url=f"{source}/preview" if source else None,
            thumbnail_url=f"{files}/{quote(item.thumbnail)}" if item.thumbnail else None,
            explain_url=f"{files}/{quote(item.explain)}" if item.explain else None,
            bytes=sizes.get(item.output) if item.output else None,
        )

    # -- words --------------------------------------------------------------------------------------------------------

    def _problem(self, error: ErrorStatus) -> ProblemAnswer:
        return self._of_catalog("error", error.code, error.message, error.hint)

    def _job_warning(self, warning: WarningStatus) -> ProblemAnswer:
        return self._of_catalog("warning", warning.code, warning.message, warning.hint)

    def _item_warning(self, code: str, detail: str) -> ProblemAnswer:
        spec = WARNINGS.get(code)
        message = " ".join(word for word in (spec.message if spec else code, detail) if word)
        return self._of_catalog("warning", code, message, spec.hint if spec else "")

    def _of_catalog(self, kind: str, code: str, message: str, hint: str) -> ProblemAnswer:
        """Return the sentence and hint of a code; in English, and where the catalog has none, those that were written with it."""
        known = {} if self.caller.language == "en" else catalog(self.caller.language)
        key = f"{kind}.{code}"
        return ProblemAnswer(code=code, message=known.get(key, message), hint=known.get(f"{key}.hint", hint))


def job_url(job_id: str) -> str:
    return f"/api/v1/jobs/{quote(job_id, safe='')}"


def _date(unix: float) -> datetime:
    """Return a unix time in the server's time zone."""
    return datetime.fromtimestamp(round(unix, 3), tz=UTC).astimezone()
