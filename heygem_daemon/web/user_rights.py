"""What `[users]` lets a caller ask of jobs. The daemon believes the page's control files, so the page keeps the rules for its users itself.

Others' jobs do not exist for a user, so whoever may see a job is its owner or an administrator.
"""

from pathlib import Path

from heygem_daemon.core.users import UserRules, Who
from heygem_daemon.settings import Settings
from heygem_daemon.web.caller import Caller


def may_ask(caller: Caller, settings: Settings, kind: str) -> bool:
    """Return whether a caller may ask this (cancel, hold, resume, retry, priority) of a job that is shown to him."""
    users = settings.users
    rules = UserRules(cancel=users.cancel, hold=users.hold, retry=users.retry, prioritize=users.prioritize)
    return caller.is_admin or rules.who_may(kind) is not Who.ADMIN


def highest_priority(caller: Caller, settings: Settings, inbox: Path | None) -> int:
    """Return the highest priority that a caller may give a job in this inbox; of no inbox, in any."""
    usual = [each.priority for each in settings.inboxes if inbox in {None, each.path}]
    return 100 if caller.is_admin else max(settings.users.highest_priority, *usual, -100)
