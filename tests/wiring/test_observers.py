"""What an administrator configured for the end of a job is what runs there."""

from pathlib import Path

from heygem_daemon.core.job import State
from heygem_daemon.core.status import JobStatus, moment
from heygem_daemon.settings import Hooks, Settings
from heygem_daemon.wiring.observers import NullHooks, job_hooks


def test_a_webhook_with_a_secret_file_is_never_sent_without_its_signature(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = []

    def log(event: str, /, *, level: str = "info", **fields: object) -> None:
        lines.append({"event": event, "level": level, **fields})

    secret_file = tmp_path / "gone"
    hooks = job_hooks(Settings(hooks=Hooks(webhook="http://127.0.0.1:9/", secret_file=str(secret_file))), log)
    hooks.job_ended(JobStatus(job="x", name="x", output="x", state=State.FAILED, since=moment(0)))
    hooks.close(60)
    (line,) = lines
    assert (line["event"], line["reason"]) == ("hook_failed", f"The secret file {secret_file} cannot be read: No such file or directory")


def test_where_nothing_is_configured_nothing_runs() -> None:
    assert isinstance(job_hooks(Settings(), lambda *_arguments, **_fields: None), NullHooks)
