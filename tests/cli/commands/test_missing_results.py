"""A published result that somebody deleted: `heygem status` names it, and `heygem retry` takes the job again."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.status_builder import job_status
from heygem_daemon.ledger.sqlite import SqliteLedger
from tests.cli.checks.conftest import dead_share
from tests.cli.runner import heygem
from tests.core.making import item, job

__all__ = ["dead_share"]


@pytest.fixture
def options(tmp_path: Path) -> tuple[str, ...]:
    config = tmp_path / "heygem.toml"
    config.write_text(f'inboxes = ["{tmp_path}/inbox"]\noutputs = "{tmp_path}/outputs"\nstate = "{tmp_path}/state"\n', encoding="utf-8")
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / MARKER).touch()
    over = job(item("a", State.SUCCEEDED), output="lesson-01", inbox=str(tmp_path / "inbox")).rollup(1.0)
    ledger = SqliteLedger(tmp_path / "state" / "ledger.sqlite3")
    ledger.put(over)
    ledger.close()
    folder = tmp_path / "outputs" / "lesson-01"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(job_status(over, now=1.0).to_json(), encoding="utf-8")
    (folder / "a.mp4").write_bytes(b"film")
    return ("--config", str(config))


def test_a_job_whose_results_are_there_is_not_tried_again(options: tuple[str, ...]) -> None:
    refused = heygem("retry", "lesson-01", *options)
    assert refused.code == 1
    assert "or whose results were deleted" in refused.stderr
    assert "no longer in outputs" not in heygem("status", "lesson-01", *options).stdout


def test_a_deleted_result_is_named_and_can_be_made_again(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "outputs" / "lesson-01" / "a.mp4").unlink()
    shown = heygem("status", "lesson-01", *options)
    assert shown.code == 0
    assert "a.mp4 is no longer in outputs" in " ".join(shown.stdout.split())
    assert heygem("retry", "lesson-01", *options).code == 0


def test_outputs_that_are_away_are_no_deleted_results(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "outputs").rename(tmp_path / "away")
    refused = heygem("retry", "lesson-01", *options)
    assert (refused.code, f"{tmp_path}/outputs cannot be reached (No such file or directory)" in refused.stderr) == (1, True)


def test_a_job_whose_inbox_is_away_is_not_tried_again_and_the_reason_is_given(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "outputs" / "lesson-01" / "a.mp4").unlink()
    (tmp_path / "inbox" / MARKER).unlink()
    refused = heygem("retry", "lesson-01", *options)
    assert (refused.code, f"{tmp_path}/inbox cannot be reached" in refused.stderr) == (1, True)
    assert not requests(tmp_path)


def test_a_dead_share_does_not_hold_the_command(options: tuple[str, ...], tmp_path: Path, dead_share: Path) -> None:
    config = tmp_path / "heygem.toml"
    text = config.read_text(encoding="utf-8").replace(f"{tmp_path}/outputs", str(dead_share))
    config.write_text(f"{text}[intake]\nanswer_seconds = 1\n", encoding="utf-8")
    refused = heygem("retry", "lesson-01", *options)
    assert (refused.code, f"{dead_share} cannot be reached (it does not answer)" in refused.stderr) == (1, True)


def requests(folder: Path) -> Sequence[tuple[str, str]]:
    with closing(SqliteLedger(folder / "state" / "ledger.sqlite3")) as ledger:
        return ledger.requests(1)
