"""Run `heygem check` as a child: it probes folders that may hang, and its programs are none that this process should load."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from heygem_daemon.settings import Settings
from heygem_daemon.web.models import CheckReport, Finding
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.words import text

KEEP_SECONDS: Final = 60.0
LIMIT_SECONDS: Final = 150.0
"""The child limits its own steps: some seconds a folder, two minutes for the weights."""
_MAX_BYTES: Final = 2**20


def command(settings: Settings, *, complete: bool) -> tuple[str, ...]:
    """Return the command that checks this configuration; the rest of it the child reads where this process has read it."""
    # -P: the folder in which the page was started is no place to load modules from.
    words = [sys.executable, "-P", "-m", "heygem_daemon", "check", "--json"]
    words += [] if complete else ["--guest"]
    for inbox in settings.inboxes:
        words += ["--inbox", str(inbox.path)]
    for name in ("outputs", "state", "cache", "weights"):
        words += [f"--{name}", str(getattr(settings, name))]
    return (*words, "--device", settings.engine.device)


class SelfCheck:
    """The last report, kept for a minute; who asks meanwhile waits for the check that runs."""

    def __init__(self, settings: Settings, shares: Shares, command: Callable[..., Sequence[str]] = command) -> None:
        self._settings = settings
        self._shares = shares
        self._command = command
        self._lock = asyncio.Lock()
        self._report: CheckReport | None = None

    async def report(self, language: str) -> CheckReport:
        """Return what `heygem check` finds; a check that fails is a finding itself."""
        async with self._lock:
            if self._report is None or (datetime.now(UTC) - self._report.checked).total_seconds() > KEEP_SECONDS:
                self._report = await self._run(language)
            report = self._report
        if report.complete:
            return report
        return report.model_copy(update={"findings": [Finding(severity="note", what=text(language, "check.partial")), *report.findings]})

    async def _run(self, language: str) -> CheckReport:
        complete = await self._is_owner()
        try:
            findings = await _findings(self._command(self._settings, complete=complete))
        except TimeoutError:
            findings = [Finding(severity="error", what=text(language, "check.timeout", seconds=int(LIMIT_SECONDS)))]
        except (OSError, ValueError, TypeError, LookupError):
            findings = [Finding(severity="error", what=text(language, "check.failed"), fix="sudo heygem check")]
        return CheckReport(checked=datetime.now(UTC).astimezone(), complete=complete, findings=findings)

    async def _is_owner(self) -> bool:
        """Return whether this process has the rights of the daemon: the state folder, on the local disk, is its own."""
        state = self._settings.state
        with suppress(OSError):
            return await asyncio.to_thread(lambda: Path(state).stat().st_uid == os.geteuid())
        return False


async def _findings(words: Sequence[str]) -> list[Finding]:
    """Run a check and return what it prints. Raises TimeoutError, OSError, ValueError, TypeError, LookupError."""
    child = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, limit=_MAX_BYTES
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            content, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    found: Any = json.loads(content)
    if not isinstance(found, list):
        raise TypeError("no list")
    return [Finding(**{name: each[name] for name in Finding.model_fields}) for each in found]
