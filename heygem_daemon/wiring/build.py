"""Build the daemon from its settings and its adapters."""

import os
from collections.abc import Callable
from pathlib import Path

from heygem_daemon import __version__
from heygem_daemon.core.names import MARKER
from heygem_daemon.daemon.adoption import Adoption
from heygem_daemon.daemon.candidates import CandidateTracker
from heygem_daemon.daemon.control_files import ControlFiles
from heygem_daemon.daemon.dispatcher import Dispatcher
from heygem_daemon.daemon.former_jobs import FormerJobs
from heygem_daemon.daemon.health import Health
from heygem_daemon.daemon.ignored_tracker import IgnoredTracker
from heygem_daemon.daemon.inboxes import Inboxes
from heygem_daemon.daemon.job_store import JobStore
from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.daemon.requests import RequestHandler
from heygem_daemon.daemon.runtime_config import RuntimeConfig
from heygem_daemon.daemon.status_reporter import Identity, StatusReporter
from heygem_daemon.daemon.sweeps import Sweeps
from heygem_daemon.intake.claims import FolderClaims
from heygem_daemon.machine import process_namespace
from heygem_daemon.publishing.survey import OutputsSurvey
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.adapters import Adapters
from heygem_daemon.wiring.config_mapping import devices, runtime_config, unknown_users
from heygem_daemon.wiring.reload import Reload


def build(settings: Settings, adapters: Adapters, *, until_idle: bool, read: Callable[[], Settings]) -> Daemon:
    """Return the daemon and start its workers. `read` reads the settings again, for a reload."""
    config = runtime_config(settings)
    inboxes = _inboxes(config, adapters, until_idle)
    daemon = Daemon(
        config=config,
        clock=adapters.clock,
        change_notifier=adapters.change_notifier,
        inspector=adapters.inspector,
        ledger=adapters.ledger,
        executor=adapters.executor,
        publisher=adapters.publisher,
        sweeps=Sweeps(
            retention=adapters.retention,
            ledger=adapters.ledger,
            clock_memory=adapters.clock_memory,
            log=adapters.log,
            interval=config.intervals.sweep,
            history_seconds=config.history_seconds,
        ),
        store=inboxes.store,
        candidates=inboxes.candidates,
        dispatcher=inboxes.dispatcher,
        requests=inboxes.requests,
        inboxes=inboxes,
        reporter=_reporter(settings, adapters, inboxes),
        service_notifier=adapters.service_notifier,
        log=adapters.log,
        health=inboxes.health,
        reconfigure=Reload(settings=settings, read=read, adapters=adapters),
    )
    if unknown := unknown_users(settings):
        adapters.log("users_unknown", level="warning", users=unknown)
    adapters.executor.start()
    outputs = str(settings.outputs)
    adapters.log("daemon_started", version=__version__, inboxes=config.inboxes, outputs=outputs, devices=devices(settings))
    return daemon


def _inboxes(config: RuntimeConfig, adapters: Adapters, until_idle: bool) -> Inboxes:
    """Return the inboxes with all that a drop meets on its way: candidates, the job store, the dispatcher, requests."""
    log, ledger, publisher, claims = adapters.log, adapters.ledger, adapters.publisher, FolderClaims(MARKER)
    store = JobStore(ledger=ledger, claims=claims, publisher=publisher, log=log, zips=config.zip)
    dispatcher = Dispatcher(
        store=store, executor=adapters.executor, publisher=publisher, claims=claims, log=log, config=config, until_idle=until_idle
    )
    candidates = CandidateTracker(
        claims=claims,
        inspector=adapters.inspector,
        status_writer=adapters.status_writer,
        ledger=ledger,
        log=log,
        rules=config.rules,
        open_jobs=store.jobs.values,
        until_idle=until_idle,
    )
    former = FormerJobs(
        survey=OutputsSurvey(Path(config.outputs)),
        adoption=Adoption(claims=claims, publisher=publisher),
        claims=claims,
        status_writer=adapters.status_writer,
        ledger=ledger,
        inbox_memory=adapters.inbox_memory,
        store=store,
        candidates=candidates,
        dispatcher=dispatcher,
        clock=adapters.clock,
        log=log,
    )
    requests = RequestHandler(
        store=store,
        dispatcher=dispatcher,
        ledger=ledger,
        claims=claims,
        publisher=publisher,
        status_writer=adapters.status_writer,
        log=log,
    )
    return Inboxes(
        paths=config.inboxes,
        intervals=config.intervals,
        scanner=adapters.scanner,
        claims=claims,
        change_notifier=adapters.change_notifier,
        store=store,
        candidates=candidates,
        dispatcher=dispatcher,
        requests=requests,
        controls=ControlFiles(
            store=store, dispatcher=dispatcher, candidates=candidates, requests=requests, ledger=ledger, claims=claims, log=log
        ),
        ignored=IgnoredTracker(log=log),
        former=former,
        health=Health(clock=adapters.clock),
        clock=adapters.clock,
        log=log,
    )


def _reporter(settings: Settings, adapters: Adapters, inboxes: Inboxes) -> StatusReporter:
    return StatusReporter(
        store=inboxes.store,
        candidates=inboxes.candidates,
        dispatcher=inboxes.dispatcher,
        inboxes=inboxes,
        status_writer=adapters.status_writer,
        ledger=adapters.ledger,
        executor=adapters.executor,
        publisher=adapters.publisher,
        hooks=adapters.hooks,
        metrics_exporter=adapters.metrics_exporter,
        job_lines=adapters.job_lines,
        clock=adapters.clock,
        log=adapters.log,
        identity=Identity(
            version=__version__,
            pid=os.getpid(),
            namespace=process_namespace(),
            started=adapters.clock.now().wall,
            outputs=str(settings.outputs),
            reserve_bytes=settings.disk.reserve_bytes,
        ),
    )
