"""Read the configuration again while the daemon works, apply what can take effect at once, and log what needs a restart."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.lipsync.engines import engine_names
from heygem_daemon.settings import ConfigurationError, Settings
from heygem_daemon.wiring.adapters import Adapters
from heygem_daemon.wiring.config_mapping import runtime_config, unknown_users
from heygem_daemon.wiring.observers import job_hooks, metrics_exporter

RESTART_REQUIRED: Final = frozenset({"outputs", "state", "cache", "weights", "corpus", "engine.device", "log.format"})
_SECRET: Final = frozenset({"hooks.command", "hooks.webhook"})
"""Addresses and arguments may hold a password: that they changed is logged, not to what."""

_FORMER_HOOKS_SECONDS: Final = 600.0
"""How long the former hooks may take to finish what they were given already."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One setting with another value than before."""

    setting: str
    before: object
    after: object

    def __str__(self) -> str:
        """Return for instance `engine.quality: 16 -> 18`."""
        return f"{self.setting}: changed" if self.setting in _SECRET else f"{self.setting}: {self.before} -> {self.after}"


def changes(before: Settings, after: Settings) -> list[Change]:
    """Return every setting that differs, by its path of names."""
    old, new = (dict(_flatten(settings.model_dump(mode="json"))) for settings in (before, after))
    return [Change(setting=setting, before=old[setting], after=new[setting]) for setting in new if old[setting] != new[setting]]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(kw_only=True)
class Reload:
    """Call it with the daemon: reads the settings and applies what can be applied. What cannot keeps its value until the next start."""

    settings: Settings
    read: Callable[[], Settings]
    adapters: Adapters

    def __call__(self, daemon: Daemon) -> None:
        try:
            settings = self.read()
            _refuse_unknown_engine(settings)
        except ConfigurationError as problem:
            self.adapters.log("config_refused", level="error", reason="; ".join(str(problem).splitlines()))
            return
        changed = changes(self.settings, settings)
        deferred = [change for change in changed if change.setting in RESTART_REQUIRED]
        self.settings = _with_values_in_force(self.settings, settings)
        self._apply(daemon, {change.setting.partition(".")[0] for change in changed})
        if unknown := unknown_users(self.settings):
            self.adapters.log("users_unknown", level="warning", users=unknown)
        self.adapters.log("config_reloaded", changes=[str(change) for change in changed if change not in deferred])
        if deferred:
            self.adapters.log("config_needs_restart", level="warning", changes=[str(change) for change in deferred])

    def _apply(self, daemon: Daemon, sections: Collection[str]) -> None:
        settings, log = self.settings, self.adapters.log
        self.adapters.apply(settings)
        daemon.apply(runtime_config(settings))
        if "hooks" in sections:
            former, daemon.reporter.hooks = daemon.reporter.hooks, job_hooks(settings, log)
            threading.Thread(target=former.close, args=(_FORMER_HOOKS_SECONDS,), name="former hooks", daemon=True).start()
        if "metrics" in sections:
            daemon.reporter.metrics_exporter.withdraw()
            daemon.reporter.metrics_exporter = metrics_exporter(settings, log)


def _refuse_unknown_engine(settings: Settings) -> None:
    if settings.engine.name not in engine_names():
        raise ConfigurationError(f"engine.name: {settings.engine.name} is none of {', '.join(engine_names())}")


def _with_values_in_force(before: Settings, after: Settings) -> Settings:
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
