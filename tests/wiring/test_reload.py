"""SIGHUP: changes are logged, what can be applied is applied, mistakes in the file change nothing."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heygem_daemon.cli.commands.config import settings_with
from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.executors.inline import InlineExecutor
from heygem_daemon.intake.inspector import MediaInspector
from heygem_daemon.intake.timeout_scanner import TimeoutScanner
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.adapters import production_adapters
from heygem_daemon.wiring.build import build
from heygem_daemon.wiring.reload import RESTART_REQUIRED, changes
from tests.daemon.doubles import RecordingLog, StubSession
from tests.e2e.site import Site


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
def config(tmp_path: Path, weights: Path) -> Iterator[Path]:
    with Site(folder=tmp_path / "site", weights=weights, cache=tmp_path / "cache") as site:
        yield site.folder / "heygem.toml"


@pytest.fixture
def daemon(config: Path, log: RecordingLog) -> Iterator[Daemon]:
    """The product's daemon, but for its worker processes."""
    settings = settings_with(config)
    adapters = replace(production_adapters(settings, log), executor=InlineExecutor(lambda: StubSession(Path())))
    made = build(settings, adapters, until_idle=False, read=lambda: settings_with(config))
    yield made
    made.close()


@pytest.fixture
def daemon_with_worker(config: Path, log: RecordingLog) -> Iterator[Daemon]:
    settings = settings_with(config)
    made = build(settings, production_adapters(settings, log), until_idle=False, read=lambda: settings_with(config))
    yield made
    made.executor.stop(0.0)
    made.close()


def last(log: RecordingLog, event: str) -> list[str]:
    """Return the changes that the last event of this name lists."""
    listed = log.events_named(event)[-1]["changes"]
    assert isinstance(listed, list)
    return listed


def arguments_of(pid: int, expected: str) -> list[str]:
    """Return the command line of a process once it has the expected argument: until exec is over it is empty or the parent's."""
    deadline = time.monotonic() + 30
    while True:
        arguments = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
        if expected in arguments:
            return arguments
        assert time.monotonic() < deadline, arguments
        time.sleep(0.005)


def rewrite(config: Path, *swaps: tuple[str, str], more: str = "") -> None:
    text = config.read_text(encoding="utf-8")
    for before, after in swaps:
        assert before in text
        text = text.replace(before, after)
    config.write_text(text + more, encoding="utf-8")


def test_a_reload_without_a_change_is_logged_too(daemon: Daemon, log: RecordingLog) -> None:
    daemon.reconfigure(daemon)
    assert last(log, "config_reloaded") == []


def test_changes_are_logged_and_hold_from_now_on(daemon: Daemon, config: Path, log: RecordingLog, tmp_path: Path) -> None:
    textfile = tmp_path / "heygem.prom"
    rewrite(
        config,
        ("settle_seconds = 0.4", "settle_seconds = 7.0\nanswer_seconds = 3.0"),
        ("reserve_bytes = 0", "reserve_bytes = 5"),
        ("grace_seconds = 0", "grace_seconds = 9"),
        more="[retry]\nattempts = 7\nbreaker_failures = 9\n[limits]\nmegapixels = 1.0\n"
        f'[log]\nlevel = "warning"\n[metrics]\ntextfile = "{textfile}"\n',
    )
    daemon.reconfigure(daemon)
    assert set(last(log, "config_reloaded")) == {
        "intake.settle_seconds: 0.4 -> 7.0",
        "intake.answer_seconds: 10.0 -> 3.0",
        "disk.reserve_bytes: 0 -> 5",
        "stop.grace_seconds: 0.0 -> 9.0",
        "retry.attempts: 3 -> 7",
        "retry.breaker_failures: 3 -> 9",
        "limits.megapixels: 40.0 -> 1.0",
        "log.level: info -> warning",
        f"metrics.textfile:  -> {textfile}",
    }
    assert daemon.candidates.rules.settle_seconds == 7.0
    assert daemon.config.intervals.grace == daemon.inboxes.intervals.grace == 9.0
    assert daemon.dispatcher._config.retry.attempts == 7
    assert daemon.dispatcher.breaker.threshold == 9
    assert daemon.dispatcher._config.reserve_bytes == daemon.reporter.identity.reserve_bytes == 5
    assert isinstance(daemon.inspector, MediaInspector)
    assert daemon.inspector.limits.megapixels == 1.0
    assert isinstance(daemon.inboxes.scanner, TimeoutScanner)
    assert daemon.inboxes.scanner.seconds == 3.0
    assert log.level == "warning"
    daemon.tick(daemon.clock.now())
    assert "heygem_running" in textfile.read_text(encoding="utf-8")


def test_what_needs_a_restart_is_logged_and_stays_as_it_is(daemon: Daemon, config: Path, log: RecordingLog, tmp_path: Path) -> None:
    before = daemon.publisher
    rewrite(config, (str(tmp_path / "site" / "outputs"), str(tmp_path / "elsewhere")))
    for _ in range(2):
        daemon.reconfigure(daemon)
        (change,) = last(log, "config_needs_restart")
        assert change == f"outputs: {tmp_path / 'site' / 'outputs'} -> {tmp_path / 'elsewhere'}"
    assert daemon.dispatcher._config.outputs == str(tmp_path / "site" / "outputs")
    assert daemon.publisher is before


def test_mistakes_are_logged_and_change_nothing(daemon: Daemon, config: Path, log: RecordingLog) -> None:
    good = config.read_text(encoding="utf-8")
    for text in (
        good.replace("settle_seconds = 0.4", "settle_secnds = 9.0"),
        good + "[engine\n",
        good.replace('device = "cpu"', 'name = "x"'),
    ):
        config.write_text(text, encoding="utf-8")
        daemon.reconfigure(daemon)
        assert log.events[-1][0] == "config_refused"
        assert daemon.candidates.rules.settle_seconds == 0.4
    config.write_text(good, encoding="utf-8")
    daemon.reconfigure(daemon)
    assert last(log, "config_reloaded") == []


def test_an_address_with_a_password_is_not_written_to_the_log(daemon: Daemon, config: Path, log: RecordingLog) -> None:
    rewrite(config, more='[hooks]\nwebhook = "http://user:secret@localhost:1/"\ncommand = ["x", "--token", "secret"]\n')
    daemon.reconfigure(daemon)
    assert "hooks.webhook: changed" in last(log, "config_reloaded")
    assert "secret" not in repr(log.events)


def test_a_worker_is_replaced_when_what_it_was_started_with_changed(daemon_with_worker: Daemon, config: Path) -> None:
    daemon = daemon_with_worker
    (first,) = daemon.executor.workers()
    rewrite(config, ("threads = 1", "threads = 2"))
    daemon.reconfigure(daemon)
    daemon.executor.poll()
    (second,) = daemon.executor.workers()
    assert first.pid != second.pid
    assert second.pid is not None
    command = arguments_of(second.pid, "--threads")
    assert command[command.index("--threads") + 1] == "2"


def test_more_results_at_once_are_more_workers_from_now_on(daemon_with_worker: Daemon, config: Path, log: RecordingLog) -> None:
    daemon = daemon_with_worker
    (first,) = daemon.executor.workers()
    rewrite(config, ("items_at_once = 1", "items_at_once = 2"))
    daemon.reconfigure(daemon)
    daemon.executor.poll()
    assert last(log, "config_reloaded") == ["engine.items_at_once: 1 -> 2"]
    assert [worker.worker for worker in daemon.executor.workers()] == ["cpu", "cpu-2"]
    assert daemon.executor.workers()[0].pid == first.pid
    assert [event["items"] for event in log.events_named("workers_planned")] == [1, 2]
    rewrite(config, ("items_at_once = 2", "items_at_once = 1"))
    daemon.reconfigure(daemon)
    for _ in range(2):
        daemon.executor.poll()
    assert [worker.pid for worker in daemon.executor.workers()] == [first.pid]


def test_every_setting_that_needs_a_restart_exists() -> None:
    names = {change.setting for change in changes(Settings(), Settings())} | set(_names(Settings().model_dump()))
    assert names >= RESTART_REQUIRED


def _names(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_a_file_of_metrics_that_is_no_longer_written_is_deleted(daemon: Daemon, config: Path, tmp_path: Path) -> None:
    textfile, text = tmp_path / "heygem.prom", config.read_text(encoding="utf-8")
    config.write_text(f'{text}[metrics]\ntextfile = "{textfile}"\n', encoding="utf-8")
    daemon.reconfigure(daemon)
    daemon.tick(daemon.clock.now())
    assert textfile.exists()
    config.write_text(text, encoding="utf-8")
    daemon.reconfigure(daemon)
    assert not textfile.exists()
    daemon.reporter.metrics_exporter.withdraw()
