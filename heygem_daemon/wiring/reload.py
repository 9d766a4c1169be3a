"""The configuration read again while the daemon works: what changed, what takes effect at once, and what only at the next start."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.executors.local import LocalExecutor
from heygem_daemon.intake.inspector import MediaInspector
from heygem_daemon.intake.timeout_scanner import TimeoutScanner
from heygem_daemon.lipsync.engines import engine_names
from heygem_daemon.service.counting_log import CountingLog
from heygem_daemon.service.log import StructLog
from heygem_daemon.settings import ConfigurationError, Settings
from heygem_daemon.wiring.config_mapping import media_limits, retention, runtime_config, worker_commands
from heygem_daemon.wiring.observers import job_hooks, metrics_exporter

RESTART_REQUIRED: Final = frozenset({"outputs", "state", "cache", "weights", "corpus", "engine.device", "log.format"})
_SECRET: Final = frozenset({"hooks.command", "hooks.webhook"})
"""Addresses and arguments may hold a password: that they changed is told, not to what."""


_FORMER_HOOKS_SECONDS: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class Change:
    setting: str
    before: object
    after: object

    def __str__(self) -> str:
        """Return for instance `engine.quality: 16 -> 18`."""
        return f"{self.setting}: changed" if self.setting in _SECRET else f"{self.setting}: {self.before} -> {self.after}"


def changes(before: Settings, after: Settings) -> list[Change]:
    """Return every setting that differs, by its path of names."""
    old, new = (dict(_flat(settings.model_dump(mode="json"))) for settings in (before, after))
    return [Change(setting=setting, before=old[setting], after=new[setting]) for setting in new if old[setting] != new[setting]]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(kw_only=True)
class Reload:
    """Call it with the daemon: reads the settings and applies what can be applied. What cannot keeps its value until the next start."""

    settings: Settings
    read: Callable[[], Settings]
    counting_log: CountingLog
    log: StructLog
    executor: LocalExecutor
    scanner: TimeoutScanner
    inspector: MediaInspector

    def __call__(self, daemon: Daemon) -> None:
        try:
            read = self.read()
            _refuse_unknown_engine(read)
        except ConfigurationError as problem:
            self.counting_log("config_refused", level="error", reason="; ".join(str(problem).splitlines()))
            return
        changed = changes(self.settings, read)
        late = [change for change in changed if change.setting in RESTART_REQUIRED]
        self.settings = _keeping(self.settings, read)
        self._apply(daemon, {change.setting.partition(".")[0] for change in changed})
        self.counting_log("config_reloaded", changes=[str(change) for change in changed if change not in late])
        if late:
            self.counting_log("config_needs_restart", level="warning", changes=[str(change) for change in late])

    def _apply(self, daemon: Daemon, sections: Collection[str]) -> None:
        settings = self.settings
        self.log.set_level(settings.log.level)
        daemon.adopt(runtime_config(settings))
        daemon.retention = retention(settings)
        self.scanner.seconds = settings.intake.answer_seconds
        self.inspector.limits = media_limits(settings)
        self.executor.renew(worker_commands(settings))
        if "hooks" in sections:
            former, daemon.reporting.hooks = daemon.reporting.hooks, job_hooks(settings, self.counting_log)
            # What the former hooks were told already, they finish.
            threading.Thread(target=former.close, args=(_FORMER_HOOKS_SECONDS,), name="former hooks", daemon=True).start()
        if "metrics" in sections:
            daemon.reporting.metrics_exporter = metrics_exporter(settings, self.counting_log)


def _refuse_unknown_engine(settings: Settings) -> None:
    if settings.engine.name not in engine_names():
        raise ConfigurationError(f"engine.name: {settings.engine.name} is none of {', '.join(engine_names())}")


def _keeping(before: Settings, after: Settings) -> Settings:
    """Return `after` with the values of RESTART_REQUIRED as they are in force."""
    kept: dict[str, Any] = {}
    for setting in RESTART_REQUIRED:
        section, _, name = setting.partition(".")
        if not name:
            kept[section] = getattr(before, section)
            continue
        model: BaseModel = kept.get(section) or getattr(after, section)
        kept[section] = model.model_copy(update={name: getattr(getattr(before, section), name)})
    return after.model_copy(update=kept)
