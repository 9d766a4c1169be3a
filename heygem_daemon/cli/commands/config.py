"""Apply command line options to the configuration."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os.path import normpath  # Path.resolve() would read the disk, and hang on a dead share
from pathlib import Path
from shlex import join
from typing import Any

import typer

from heygem_daemon.cli.checks.identity import user_name
from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.settings import ConfigurationError, Settings, load


def settings_or_exit(
    config: Path | None,
    *,
    inbox: Sequence[Path] | None = None,
    device: str | None = None,
    engine: Mapping[str, Any] | None = None,
    **paths: Path | None,
) -> Settings:
    """Return the settings with the given options on top; exit 2 with a sentence for every mistake."""
    return or_exit(partial(settings_with, config, inbox=inbox, device=device, engine=engine, **paths))


def or_exit(read: Callable[[], Settings]) -> Settings:
    """Return what `read` gives; exit 2 with a sentence for every mistake in the configuration."""
    try:
        return read()
    except ConfigurationError as problem:
        for line in str(problem).splitlines():
            typer.echo(f"heygem: {line}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None


def settings_with(
    config: Path | None,
    *,
    inbox: Sequence[Path] | None = None,
    device: str | None = None,
    engine: Mapping[str, Any] | None = None,
    **paths: Path | None,
) -> Settings:
    """Return the settings with the given options on top, all paths absolute. Raises ConfigurationError."""
    overrides: dict[str, Any] = {name: path for name, path in paths.items() if path is not None}
    if inbox:
        overrides["inboxes"] = tuple(inbox)
    chosen = {key: value for key, value in {**(engine or {}), "device": device}.items() if value is not None}
    if chosen:
        overrides["engine"] = chosen
    settings = _absolute(load(config, overrides))
    _keep_apart(settings)
    return settings


def refuse_root(*folders: Path) -> None:
    """Exit 2 where root would leave files in folders of the service's user, which the service could then neither change nor delete."""
    for folder in folders:
        owner = folder.stat().st_uid if folder.is_dir() else 0
        if os.geteuid() == 0 and owner != 0:
            name = user_name(owner)
            typer.echo(f"heygem: files that root leaves in {folder} could not be changed by {name}, who owns it. Run it as:", err=True)
            typer.echo(f"        sudo -u {name} {join(('heygem', *sys.argv[1:]))}", err=True)
            raise typer.Exit(ExitCode.USAGE)


def _absolute(settings: Settings) -> Settings:
    changes: dict[str, Any] = {name: getattr(settings, name).absolute() for name in ("outputs", "state", "cache", "weights", "corpus")}
    changes["inboxes"] = tuple(inbox.model_copy(update={"path": inbox.path.absolute()}) for inbox in settings.inboxes)
    return settings.model_copy(update=changes)


def _keep_apart(settings: Settings) -> None:
    """Raise ConfigurationError where one of our folders lies in an inbox: it would be taken for a drop, and moved."""
    folders = [("outputs", settings.outputs), ("state", settings.state), ("cache", settings.cache), ("weights", settings.weights)]
    folders += [("corpus", settings.corpus)]
    folders += [("inbox", inbox.path) for inbox in settings.inboxes]
    mistakes = [
        f"{name} {folder} lies in the inbox {inbox.path}; choose a place outside"
        for inbox in settings.inboxes
        for name, folder in folders
        if folder is not inbox.path and Path(normpath(folder)).is_relative_to(normpath(inbox.path))
    ]
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
