"""The defaults beside the settings: whoever uses a part without a configuration gets what the configuration has by default."""

import inspect
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.core.render_options import DEFAULT_OPTIONS
from heygem_daemon.executors.local import LocalExecutor
from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.machine import Machine, memory_available
from heygem_daemon.media.types import DEFAULT_LIMITS
from heygem_daemon.publishing.retention import FolderRetention
from heygem_daemon.service.log import StructLog
from heygem_daemon.settings import ConfigurationError, Settings, load
from heygem_daemon.wiring import config_mapping
from heygem_daemon.wiring.config_mapping import media_limits, wav2lip_options, worker_plan


def default(of: Callable[..., Any], parameter: str) -> object:
    return inspect.signature(of).parameters[parameter].default


@pytest.fixture
def settings() -> Settings:
    return Settings()


def test_the_limits_of_media_are_those_of_the_settings(settings: Settings) -> None:
    assert media_limits(settings) == DEFAULT_LIMITS


def test_the_options_of_a_render_are_those_of_the_settings(settings: Settings) -> None:
    assert settings.engine.render_options() == DEFAULT_OPTIONS
    assert wav2lip_options(settings) == Wav2LipOptions()


def test_every_limit_and_option_that_is_set_arrives(settings: Settings) -> None:
    limits = {"recording_seconds": 11.0, "video_seconds": 12.0, "megapixels": 13.0, "file_bytes": 14, "streams": 15, "probe_seconds": 16.0}
    limits |= {"still_megapixels": 17.0}
    options = {"checkpoint": "mine", "licence_confirmed": True, "detail": False}
    changed = settings.model_copy(
        update={"limits": settings.limits.model_copy(update=limits), "wav2lip": settings.wav2lip.model_copy(update=options)}
    )
    assert asdict(media_limits(changed)) == limits | {"patience": 1.0}  # which belongs to a try, not to the settings
    assert asdict(wav2lip_options(changed)) == options


def test_a_render_session_has_the_defaults_of_the_settings(settings: Settings) -> None:
    assert default(RenderSession, "cache_bytes") == settings.keep.cache_bytes
    assert default(RenderSession, "device") == settings.engine.device
    assert default(RenderSession, "threads") == settings.engine.threads


def test_the_keep_times_are_those_of_the_settings(settings: Settings) -> None:
    assert default(FolderRetention, "done_days") == settings.keep.done_days
    assert default(FolderRetention, "failed_days") == settings.keep.failed_days
    assert default(FolderRetention, "staging_days") == settings.keep.staging_days


def test_the_log_is_that_of_the_settings(settings: Settings) -> None:
    assert default(StructLog, "style") == settings.log.format
    assert default(StructLog, "level") == settings.log.level


def test_the_plan_of_the_workers_follows_the_settings(settings: Settings) -> None:
    on = Machine(cores=8, memory_bytes=64 * 2**30)
    chosen = settings.engine.model_copy(update={"device": "cpu, cpu", "items_at_once": 3, "threads": 5})
    plan = worker_plan(settings.model_copy(update={"engine": chosen}), on)
    assert (plan.items, plan.threads, plan.workers[-1]) == (6, 5, ("cpu-6", "cpu"))
    assert worker_plan(settings, on).items == 2
    assert default(LocalExecutor, "memory") is memory_available


def test_cards_are_asked_for_only_where_their_memory_matters(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(config_mapping, "read_machine", lambda *, with_cards: asked.append(with_cards))
    for changes in ({"device": "cpu"}, {"device": "cuda:1", "items_at_once": 2}, {"device": "auto"}, {"device": "cpu,cuda"}):
        config_mapping.machine(settings.model_copy(update={"engine": settings.engine.model_copy(update=changes)}))
    assert asked == [False, False, True, True]


@pytest.mark.parametrize(("text", "value"), [('"auto"', "auto"), ("1", 1), ("64", 64)])
def test_items_at_once_is_auto_or_a_number(tmp_path: Path, text: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heygem.toml").write_text(f"[engine]\nitems_at_once = {text}\n", encoding="ascii")
    assert load(tmp_path / "heygem.toml").engine.items_at_once == value
    monkeypatch.setenv("HEYGEM_ENGINE__ITEMS_AT_ONCE", text.strip('"'))
    assert load().engine.items_at_once == value


@pytest.mark.parametrize("text", ["0", "65", '"many"', "1.5"])
def test_other_values_of_items_at_once_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "heygem.toml").write_text(f"[engine]\nitems_at_once = {text}\n", encoding="ascii")
    with pytest.raises(ConfigurationError, match="items_at_once"):
        load(tmp_path / "heygem.toml")
