"""What the product's adapters have in common: one thread for outputs, whose limits are those of the configuration."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.status import Heartbeat, moment
from heygem_daemon.publishing.timed_outputs import TimedPublisher, TimedStatusWriter
from heygem_daemon.settings import Inbox, Settings
from heygem_daemon.wiring.adapters import Adapters, production_adapters
from tests.daemon.doubles import RecordingLog


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("inbox", "outputs", "state"):
        (tmp_path / name).mkdir()
    outputs, state, cache = (tmp_path / name for name in ("outputs", "state", "cache"))
    return Settings(inboxes=(Inbox(path=tmp_path / "inbox"),), outputs=outputs, state=state, cache=cache)


@pytest.fixture
def adapters(settings: Settings) -> Iterator[Adapters]:
    made = production_adapters(settings, RecordingLog())
    yield made
    made.change_notifier.close()
    made.inspector.close()
    made.publisher.close()
    made.ledger.close()


def test_the_heartbeat_is_in_outputs_and_in_the_state_folder_and_there_also_without_outputs(adapters: Adapters, settings: Settings) -> None:
    for pid in (1, 2):
        adapters.status_writer.write_heartbeat(Heartbeat(pid=pid, outputs="/out", state="running", heartbeat=moment(5)))
        assert Heartbeat.read((settings.state / "heartbeat.json").read_bytes()).pid == pid
        shutil.rmtree(settings.outputs, ignore_errors=True)


def test_a_status_writer_has_to_be_given(adapters: Adapters) -> None:
    fields = {field.name: getattr(adapters, field.name) for field in dataclasses.fields(adapters) if field.name != "status_writer"}
    with pytest.raises(TypeError, match="status_writer"):
        Adapters(**fields)


def test_results_and_statuses_share_the_thread_of_outputs_whose_limit_can_be_changed(adapters: Adapters, settings: Settings) -> None:
    publisher, writer = adapters.publisher, adapters.status_writer
    assert isinstance(publisher, TimedPublisher)
    assert isinstance(writer, TimedStatusWriter)
    assert publisher._thread is writer._thread
    assert writer._thread.seconds == settings.intake.answer_seconds
    longer = settings.intake.model_copy(update={"answer_seconds": 25.0})
    adapters.apply(settings.model_copy(update={"intake": longer}))
    assert writer._thread.seconds == 25.0
