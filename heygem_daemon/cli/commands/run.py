"""`heygem run`: the daemon in this process."""

import faulthandler
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import typer

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.ports import StopSignal
from heygem_daemon.service.log import StructLog
from heygem_daemon.service.python_messages import logged_by
from heygem_daemon.service.signals import stop_signals
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.adapters import production_adapters
from heygem_daemon.wiring.build import build
from heygem_daemon.wiring.config_mapping import check_engine
from heygem_daemon.wiring.instance_lock import AlreadyRunningError, only_instance


def run(settings: Settings, *, until_idle: bool, read: Callable[[], Settings]) -> ExitCode:
    """Work until a signal, or until nothing is left. `read` reads the settings again (SIGHUP).

    Whatever happens is a line of the log: a reader of JSON lines finds nothing else."""
    faulthandler.enable()  # a crash in native code, or SIGABRT from the watchdog, prints where every thread was
    log = StructLog(style=settings.log.format, level=settings.log.level)
    with stop_signals(is_last=True) as stop, logged_by(log):
        try:
            return _run(settings, stop, log, until_idle=until_idle, read=read)
        except (AlreadyRunningError, HeygemError) as problem:
            log("daemon_not_started", level="error", reason=str(problem), error_code=getattr(problem, "code", None))
            _print(log, [str(problem)])
        except Exception:  # noqa: BLE001 - the border of the process
            log("daemon_crashed", level="error", exc_info=True)
        finally:
            faulthandler.cancel_dump_traceback_later()
    return ExitCode.PROBLEM


def _run(settings: Settings, stop: StopSignal, log: StructLog, *, until_idle: bool, read: Callable[[], Settings]) -> ExitCode:
    with ExitStack() as lock:
        check_engine(settings)
        lock.enter_context(only_instance(settings))
        daemon = build(settings, production_adapters(settings, log), until_idle=until_idle, read=read)
        succeeded = daemon.run(stop, until_idle=until_idle)
    offline = [scan.reason for scan in daemon.inboxes.scans.values() if not scan.online]
    if until_idle and offline:
        _print(log, offline)
        return ExitCode.PROBLEM
    return ExitCode.SOME_FAILED if until_idle and not succeeded else ExitCode.OK


def _print(log: StructLog, sentences: Sequence[str]) -> None:
    """Print to people what is in the log already: on a terminal its lines are hard to read."""
    if log.style == "text":
        typer.echo("\n".join(f"heygem: {sentence}" for sentence in sentences), err=True)
