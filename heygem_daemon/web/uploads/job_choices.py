"""What a new job may choose: engines, defaults, types of files, inboxes."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from heygem_daemon.core.engine_names import CHECKPOINT_ENGINES, FREE_ENGINES
from heygem_daemon.core.file_types import RECORDING_SUFFIXES, STILL_SUFFIXES, VIDEO_SUFFIXES
from heygem_daemon.core.names import escape_name, is_pause
from heygem_daemon.settings import Inbox, Settings
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.models import InboxChoice, Options
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.uploads.safe_files import opened_inbox
from heygem_daemon.web.user_rights import highest_priority

if TYPE_CHECKING:
    from heygem_daemon.web.context import WebContext

LANGUAGES: Final = ("en", "zh", "ar", "cs", "da", "de", "el", "es", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko", "nl", "no", "pl",
                    "pt", "pt-br", "ro", "ru", "sv", "th", "tr", "uk", "vi")  # fmt: skip
"""Those that a form offers first; others may be written by hand."""
_SECONDS: Final = 2.0
"""How long an inbox may take to show that it is there: a form must open beside a share that is frozen."""


def engines(settings: Settings) -> tuple[str, ...]:
    """Return the engines that a job may name, the configured one first."""
    usable = (*FREE_ENGINES, *(CHECKPOINT_ENGINES if settings.wav2lip.licence_confirmed else ()))
    return (settings.engine.name, *(name for name in usable if name != settings.engine.name))


async def options_for(context: "WebContext", caller: Caller) -> Options:
    """Return the choices of a new job."""
    settings = context.settings
    engine = settings.engine
    defaults = {
        "engine": engine.name,
        "fit": engine.fit,
        "face": engine.face,
        "quality": engine.quality,
        "zip": engine.zip,
        "explain": engine.explain,
        "label": engine.visible_label,
        "channels": engine.channels,
        "background": engine.background,
        "undriven_limit": engine.undriven_limit,
        "priority": settings.inboxes[0].priority,
    }
    return Options(
        inboxes=await _inboxes(context.shares, settings.inboxes),
        engines=list(engines(settings)),
        defaults=defaults,
        require_consent=settings.web.require_consent,
        consent_names_user=bool(caller.name),
        upload_bytes=settings.web.upload_bytes,
        upload_files=settings.web.upload_files,
        recording_suffixes=sorted(RECORDING_SUFFIXES),
        video_suffixes=sorted(VIDEO_SUFFIXES | STILL_SUFFIXES),
        languages=list(LANGUAGES),
        highest_priority=highest_priority(caller, settings, None),
    )


async def _inboxes(shares: Shares, inboxes: Sequence[Inbox]) -> list[InboxChoice]:
    return list(await asyncio.gather(*(_inbox(shares, number, inbox) for number, inbox in enumerate(inboxes))))


def _is_paused(root: int) -> bool:
    with os.scandir(root) as found:
        return any(is_pause(entry.name, is_folder=entry.is_dir(follow_symlinks=False)) for entry in found)


async def _inbox(shares: Shares, number: int, inbox: Inbox) -> InboxChoice:
    def look() -> tuple[bool, int]:
        with opened_inbox(inbox.path) as root:
            disk = os.fstatvfs(root)
            return _is_paused(root), disk.f_bavail * disk.f_frsize

    name = escape_name(inbox.path.name or str(inbox.path))
    with suppress(WebProblem, TimeoutError):
        async with asyncio.timeout(_SECONDS):
            paused, free = await shares.call(inbox.path, look)
        return InboxChoice(id=number, name=name, online=True, paused=paused, free_bytes=free)
    return InboxChoice(id=number, name=name, online=False, paused=False)
