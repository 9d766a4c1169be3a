"""The choice of an administrator reaches the codecs of the worker."""

import dataclasses
from pathlib import Path

import pytest

from heygem_daemon.lipsync import pipeline
from heygem_daemon.lipsync.engines import NO_OPTIONS
from heygem_daemon.media.types import MediaLimits
from heygem_daemon.settings import Engine, Settings
from heygem_daemon.wiring.config_mapping import worker_commands
from heygem_daemon.worker.options import WorkerOptions
from heygem_daemon.worker.session import LipSyncSession


def test_the_setting_is_an_option_of_the_worker() -> None:
    settings = Settings(engine=Engine(hardware_codecs="all"))
    command = worker_commands(settings, 1)("cuda", "cuda")
    assert command[command.index("--hardware-codecs") + 1] == "all"


def test_a_session_uses_the_codecs_of_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[str, str]] = []
    monkeypatch.setattr(pipeline, "use_card_codecs", lambda device, choice: used.append((device, choice)))
    plain = WorkerOptions(
        models=tmp_path / "none", cache=tmp_path, device="cpu", threads=1, cache_bytes=0, limits=MediaLimits(), wav2lip=NO_OPTIONS
    )
    for options in (plain, dataclasses.replace(plain, hardware_codecs="off")):
        assert LipSyncSession(options).device() == "cpu"
    assert used == [("cpu", "auto"), ("cpu", "off")]
