"""Command line options over the configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from heygem_daemon.settings import ConfigurationError, Settings, load


def settings_or_exit(
    config: Path | None,
    *,
    inbox: Sequence[Path] | None = None,
    device: str | None = None,
    engine: Mapping[str, Any] | None = None,
    **paths: Path | None,
) -> Settings:
    """Return the settings with the given options on top; exit 2 with a sentence for every mistake. All paths come out absolute."""
    overrides: dict[str, Any] = {name: path for name, path in paths.items() if path is not None}
    if inbox:
        overrides["inboxes"] = tuple(inbox)
    chosen = {key: value for key, value in {**(engine or {}), "device": device}.items() if value is not None}
    if chosen:
        overrides["engine"] = chosen
    try:
        return _absolute(load(config, overrides))
    except ConfigurationError as problem:
        for line in str(problem).splitlines():
            typer.echo(f"heygem: {line}", err=True)
        raise typer.Exit(2) from None


def _absolute(settings: Settings) -> Settings:
    changes: dict[str, Any] = {name: getattr(settings, name).absolute() for name in ("outputs", "state", "cache", "weights")}
    changes["inboxes"] = tuple(inbox.model_copy(update={"path": inbox.path.absolute()}) for inbox in settings.inboxes)
    return settings.model_copy(update=changes)
