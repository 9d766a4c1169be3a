"""Who dropped what, and what the users of a share may do: the administrator's `[users]`.

A user of a share is known by the number that the file system gives to what he makes there (uid): the server sets it, and nobody can give
a folder away. The `owner` in a job.toml is only a text, believed of the page alone, which has asked for a password. Where a share gives
everybody the same number, everybody is one user here.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from heygem_daemon.core.job import Job, JobWarning
from heygem_daemon.core.storage import human_bytes
from heygem_daemon.core.warning_codes import WARNINGS, WarningCode

ROOT: Final = 0
FOREIGN_ROOT: Final = -1
"""In the place of root on a network file system, which is no administrator: a root of any computer, or what is shown for everything."""
NOBODY: Final = ""
"""The owner of a drop whose parts belong to several users, and of a job from before owners were recorded."""


class Who(StrEnum):
    """Who may do something to a job."""

    ANYBODY = "anybody"
    OWNER = "owner"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What one owner has in the queue: jobs that are not over, and the bytes of their inputs."""

    drops: int = 0
    size: int = 0

    def with_drop(self, size: int) -> "Waiting":
        return Waiting(drops=self.drops + 1, size=self.size + size)


NOTHING_WAITS: Final = Waiting()


@dataclass(frozen=True, kw_only=True)
class UserRules:
    """What users may do. `hold` is also for .resume and .ready. `waiting_drops` and `waiting_bytes` limit what one owner has in the queue;
    0 = no limit. `admins` are the uids of administrators, for whom none of this holds; `page` is the uid of the page, which applies these
    rules to its users itself: None where it has no user of its own."""

    highest_priority: int = 100
    cancel: Who = Who.ANYBODY
    hold: Who = Who.ANYBODY
    retry: Who = Who.ANYBODY
    prioritize: Who = Who.ANYBODY
    pause: Who = Who.ANYBODY
    waiting_drops: int = 0
    waiting_bytes: int = 0
    admins: frozenset[int] = frozenset({ROOT})
    page: int | None = None

    def owner_of(self, uid: int | None, named: str | None) -> str:
        """Return the owner of a drop from the uid of its folder and the name that its job.toml gives."""
        if uid is None:
            return NOBODY
        return f"page user {named}" if uid == self.page and named else f"uid {uid}"

    def is_trusted(self, uid: int | None) -> bool:
        """Whether what comes from this uid is an administrator's, or the page's, which has asked already."""
        return uid is not None and (uid in self.admins or uid == self.page)

    def is_limited(self, uid: int | None, named: str | None) -> bool:
        """Whether the limits of what waits hold for a drop: for all but those of administrators (on the page: without users)."""
        has_limit = bool(self.waiting_drops or self.waiting_bytes)
        return has_limit and uid not in self.admins and (uid is None or uid != self.page or bool(named))

    def who_may(self, kind: str) -> Who:
        """Return who may do what a control file of this kind asks for."""
        match kind:
            case "cancel":
                return self.cancel
            case "retry":
                return self.retry
            case "priority":
                return self.prioritize
            case "pause":
                return self.pause
            case _:
                return self.hold

    def may(self, kind: str, uids: Collection[int], owner: str) -> bool:
        """Whether a control file that these uids made (several where it lies there in several spellings) counts for a drop of `owner`."""
        who = self.who_may(kind)
        if who is Who.ANYBODY or any(self.is_trusted(uid) for uid in uids):
            return True
        return who is Who.OWNER and any(self.owner_of(uid, None) == owner for uid in uids)

    def priority(self, wanted: int, uids: Collection[int], inbox_priority: int) -> int:
        """Return what these uids get of the priority that they ask for; what an inbox gives to all of its drops is never too high."""
        if any(self.is_trusted(uid) for uid in uids):
            return wanted
        return min(wanted, max(self.highest_priority, inbox_priority))

    def why_not_yet(self, waiting: Waiting, size: int) -> str | None:
        """Return in words why a drop of `size` bytes stays in the inbox, None where it may come in. The first one always may."""
        if self.waiting_drops and waiting.drops >= self.waiting_drops:
            drops = "1 drop" if self.waiting_drops == 1 else f"{self.waiting_drops} drops"
            return f"You have {drops} waiting; this one is taken when one of them is done"
        if self.waiting_bytes and waiting.drops and waiting.size + size > self.waiting_bytes:
            limit = human_bytes(self.waiting_bytes)
            return f"Your drops that wait may have {limit} together; this one is taken when some of them are done"
        return None


NO_RULES: Final = UserRules()


def waiting_by_owner(jobs: Iterable[Job]) -> dict[str, Waiting]:
    """Return what the owners of open jobs have in the queue."""
    found: dict[str, Waiting] = {}
    for job in jobs:
        found[job.dropped_by] = found.get(job.dropped_by, NOTHING_WAITS).with_drop(job.size)
    return found


def priority_lowered(wanted: int, given: int) -> JobWarning:
    """Return the warning of a job that asked for a higher priority than users may give."""
    message = f"The priority {wanted} was lowered to {given}, the highest one that the administrator allows."
    return JobWarning(code=WarningCode.PRIORITY_LOWERED, message=message, hint=WARNINGS[WarningCode.PRIORITY_LOWERED].hint)


def request_refused(file: str, who: Who) -> JobWarning:
    """Return the warning of a job that somebody asked something of who may not. file: the name of the control file, safe to show."""
    return JobWarning(
        code=WarningCode.REQUEST_REFUSED,
        message=f"{file} was not applied: {may_only(who)}.",
        hint=WARNINGS[WarningCode.REQUEST_REFUSED].hint,
    )


def may_only(who: Who) -> str:
    """Return in words that only some may do it."""
    return "only an administrator may do that here" if who is Who.ADMIN else "only who dropped the folder may do that here"
