"""Which control files count for which drops, by whose they are."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from heygem_daemon.core.job import Job
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.scan import InboxScan
from heygem_daemon.core.users import UserRules, Who
from heygem_daemon.daemon.candidate import Candidate

Control = tuple[str, str]
"""The name before the suffix as the file system gives it, and the suffix."""


@dataclass(frozen=True, kw_only=True)
class ControlRights:
    """The rights of those who put control files into the inbox of this scan."""

    scan: InboxScan
    users: UserRules

    def may(self, control: Control, owner: str) -> bool:
        """Whether a control file counts for a drop of this owner."""
        return self.users.may(control[1], self.uids(control), owner)

    def uids(self, control: Control) -> frozenset[int]:
        return self.scan.control_uids.get(control, frozenset())

    def refused(self, controls: Iterable[Control], jobs: Iterable[Job], candidates: Iterable[Candidate]) -> dict[Control, Job | Candidate]:
        """Return the control files that are about a job or a candidate, but count for none, with the first that each is about."""
        by_name: dict[str, list[Control]] = defaultdict(list)
        for control in controls:
            if self.users.who_may(control[1]) is not Who.ANYBODY:
                by_name[escape_name(control[0])].append(control)
        if not by_name:
            return {}
        about: dict[Control, Job | Candidate] = {}
        counting: set[Control] = set()
        for target, names, owner in (*map(self._job, jobs), *map(self._candidate, candidates)):
            for control in [control for name in names for control in by_name.get(name, ())]:
                if self.may(control, owner):
                    counting.add(control)
                elif isinstance(target, Candidate) or control[1] != "ready":  # a job has no use for .ready
                    about.setdefault(control, target)
        return {control: target for control, target in about.items() if control not in counting}

    def _job(self, job: Job) -> tuple[Job | Candidate, Collection[str], str]:
        return job, {job.name, job.id}, job.dropped_by

    def _candidate(self, candidate: Candidate) -> tuple[Job | Candidate, Collection[str], str]:
        return candidate, {escape_name(name) for name in candidate.control_names}, candidate.owner(self.users)
