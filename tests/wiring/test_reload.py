"""SIGHUP: what changed is said, what can be applied is applied, mistakes change nothing."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.cli.commands.config import settings_with
from heygem_daemon.daemon.clock import Instant
from heygem_daemon.daemon.main_loop import Daemon
from heygem_daemon.service.log import StructLog
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.build import build
from heygem_daemon.wiring.reload import AT_START_ONLY, changes
from tests.e2e.site import Site


class Heard(StructLog):
    """The real log, which also remembers."""

    def __init__(self) -> None:
        super().__init__(style="json", stream=io.StringIO())
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.level = ""

    def __call__(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        self.lines.append((event, fields))
        super().__call__(event, level=level, **fields)

    def set_level(self, level: str) -> None:
        self.level = level
        super().set_level(level)

    def last(self, event: str) -> dict[str, object]:
        return next(fields for name, fields in reversed(self.lines) if name == event)


@pytest.fixture
def log() -> Heard:
    return Heard()


@pytest.fixture
def config(tmp_path: Path, weights: Path) -> Iterator[Path]:
    with Site(folder=tmp_path / "site", weights=weights, cache=tmp_path / "cache") as site:
        yield site.folder / "heygem.toml"


@pytest.fixture
def daemon(config: Path, log: Heard) -> Iterator[Daemon]:
    made = build(settings_with(config), log=log, until_idle=False, read=lambda: settings_with(config))
    yield made
    made.executor.stop(0.0)
    made._close()


def rewrite(config: Path, *swaps: tuple[str, str], more: str = "") -> None:
    text = config.read_text(encoding="utf-8")
    for before, after in swaps:
        assert before in text
        text = text.replace(before, after)
    config.write_text(text + more, encoding="utf-8")


def test_nothing_changed_is_said_too(daemon: Daemon, log: Heard) -> None:
    daemon.reconfigure(daemon)
    assert log.last("config_reloaded") == {"changes": []}


def test_what_changed_is_said_and_holds_from_now_on(daemon: Daemon, config: Path, log: Heard, tmp_path: Path) -> None:
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
    assert set(log.last("config_reloaded")["changes"]) == {  # type: ignore[call-overload]
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
    assert daemon.arrivals.rules.settle_seconds == 7.0
    assert daemon.pace.grace == 9.0
    assert daemon.dispatch._policy.attempts == 7
    assert daemon.dispatch.breaker.threshold == 9
    assert daemon.dispatch._defaults.reserve_bytes == daemon.reporting.identity.reserve_bytes == 5
    assert daemon.inspector.limits.megapixels == 1.0  # type: ignore[attr-defined]
    assert daemon.scanner.seconds == 3.0  # type: ignore[attr-defined]
    assert log.level == "warning"
    daemon.tick(Instant.now())
    assert "heygem_running" in textfile.read_text(encoding="utf-8")


def test_what_needs_a_restart_is_said_and_stays_as_it_is(daemon: Daemon, config: Path, log: Heard, tmp_path: Path) -> None:
    before = daemon.publisher
    rewrite(config, (str(tmp_path / "site" / "outputs"), str(tmp_path / "elsewhere")))
    for _ in range(2):
        daemon.reconfigure(daemon)
        (told,) = log.last("config_needs_restart")["changes"]  # type: ignore[misc,attr-defined]
        assert told == f"outputs: {tmp_path / 'site' / 'outputs'} -> {tmp_path / 'elsewhere'}"
    assert daemon.dispatch._defaults.outputs == str(tmp_path / "site" / "outputs")
    assert daemon.publisher is before


def test_mistakes_are_told_and_change_nothing(daemon: Daemon, config: Path, log: Heard) -> None:
    good = config.read_text(encoding="utf-8")
    for text in (
        good.replace("settle_seconds = 0.4", "settle_secnds = 9.0"),
        good + "[engine\n",
        good.replace('device = "cpu"', 'name = "x"'),
    ):
        config.write_text(text, encoding="utf-8")
        daemon.reconfigure(daemon)
        assert log.lines[-1][0] == "config_refused"
        assert daemon.arrivals.rules.settle_seconds == 0.4
    config.write_text(good, encoding="utf-8")
    daemon.reconfigure(daemon)
    assert log.last("config_reloaded") == {"changes": []}


def test_an_address_with_a_password_is_not_written_to_the_log(daemon: Daemon, config: Path, log: Heard) -> None:
    rewrite(config, more='[hooks]\nwebhook = "http://user:secret@localhost:1/"\ncommand = ["x", "--token", "secret"]\n')
    daemon.reconfigure(daemon)
    told = log.last("config_reloaded")["changes"]
    assert "hooks.webhook: changed" in told  # type: ignore[operator]
    assert "secret" not in repr(log.lines)


def test_a_worker_is_replaced_when_what_it_was_started_with_changed(daemon: Daemon, config: Path) -> None:
    (first,) = daemon.executor.devices()
    rewrite(config, ("threads = 1", "threads = 2"))
    daemon.reconfigure(daemon)
    daemon.executor.poll()
    (second,) = daemon.executor.devices()
    assert first["pid"] != second["pid"]
    command = Path(f"/proc/{second['pid']}/cmdline").read_bytes().split(b"\0")
    assert command[command.index(b"--threads") + 1] == b"2"


def test_every_setting_that_needs_a_restart_exists() -> None:
    names = {change.setting for change in changes(Settings(), Settings())} | set(_names(Settings().model_dump()))
    assert names >= AT_START_ONLY


def _names(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield prefix + name
