"""The defaults beside the settings: whoever uses a part without a configuration gets what the configuration has by default."""

import inspect
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from heygem_daemon.core.render_options import DEFAULT_OPTIONS
from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.media.types import DEFAULT_LIMITS
from heygem_daemon.publishing.retention import FolderRetention
from heygem_daemon.service.log import StructLog
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import media_limits, wav2lip_options


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
    assert asdict(media_limits(changed)) == limits
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
