"""`heygem run`: the daemon in this process."""

import faulthandler
from collections.abc import Callable
from contextlib import ExitStack

import typer

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.service.log import StructLog
from heygem_daemon.service.signals import stop_signals
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.adapters import production_adapters
from heygem_daemon.wiring.build import build
from heygem_daemon.wiring.config_mapping import check_engine
from heygem_daemon.wiring.instance_lock import AlreadyRunningError, only_instance


def run(settings: Settings, *, until_idle: bool, read: Callable[[], Settings]) -> ExitCode:
    """Work until a signal, or until nothing is left. `read` reads the settings again (SIGHUP)."""
    faulthandler.enable()  # a crash in native code, or SIGABRT from the watchdog, prints where every thread was
    log = StructLog(style=settings.log.format, level=settings.log.level)
    with stop_signals() as stop, ExitStack() as lock:
        try:
            check_engine(settings)
            lock.enter_context(only_instance(settings))
            daemon = build(settings, production_adapters(settings, log), until_idle=until_idle, read=read)
        except (AlreadyRunningError, HeygemError) as problem:
            typer.echo(f"heygem: {problem}", err=True)
            return ExitCode.PROBLEM
        try:
            succeeded = daemon.run(stop, until_idle=until_idle)
        except Exception:
            log("daemon_crashed", level="error", exc_info=True)
            raise
    offline = [scan.reason for scan in daemon.inboxes.scans.values() if not scan.online]
    if until_idle and offline:
        typer.echo("\n".join(f"heygem: {reason}" for reason in offline), err=True)
        return ExitCode.PROBLEM
    return ExitCode.SOME_FAILED if until_idle and not succeeded else ExitCode.OK
