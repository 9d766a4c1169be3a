"""job.toml: the options of one drop. Every mistake is named, together with what would be right."""

import difflib
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.render_options import BEST_QUALITY, CHANNELS, FACES, FITS, WORST_QUALITY

MAX_TEXT: Final = 200_000
"""Characters of a transcript; enough for four hours of fast speech."""

CHANNEL: Final = re.compile(r"left|right|mix|[1-9][0-9]{0,3}")
BACKGROUND: Final = re.compile(r"#[0-9A-Fa-f]{6}")
LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,12}){0,3}")

PRIORITIES: Final = (-100, 100)
"""Lowest and highest."""


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """The options of a job.toml; None leaves one to the configuration. Those of RenderOptions have the same names here.

    zip: also write a ZIP of the results."""

    engine: str | None = None
    fit: str | None = None
    face: str | None = None
    label: bool | None = None
    quality: int | None = None
    priority: int | None = None
    zip: bool | None = None
    explain: bool | None = None
    track: int | None = None
    channel: str | None = None
    channels: str | None = None
    background: str | None = None
    undriven_limit: float | None = None
    text: str | None = None
    language: str | None = None


NO_OPTIONS: Final = JobOptions()

_Check = Callable[[Any], Any]


def _integer(value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"a whole number from {low} to {high}")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(" or ".join(f'"{word}"' for word in allowed))
    return str(value)


def _engine(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("the name of an engine in quotes")
    return value


def _face(value: Any) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not is_number and value not in FACES:
        raise ValueError(", ".join(f'"{word}"' for word in FACES) + " or the number of a face, counted from 0")
    return str(value)


def _track(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("the number of an audio track, counted from 1")
    return value


def _channel(value: Any) -> str:
    is_text = isinstance(value, str | int) and not isinstance(value, bool)
    if not is_text or not CHANNEL.fullmatch(str(value)):
        raise ValueError('"left", "right", "mix" or the number of a channel, counted from 1')
    return str(value)


def _background(value: Any) -> str:
    if not isinstance(value, str) or not BACKGROUND.fullmatch(value):
        raise ValueError('a colour in quotes, e.g. "#00ff00"')
    return value.lower()


def _fraction(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"the spoken words in quotes, at most {MAX_TEXT} characters")
    return value


def _language(value: Any) -> str:
    if not isinstance(value, str) or not LANGUAGE.fullmatch(value):
        raise ValueError('the code of a language in quotes, e.g. "en", "zh" or "pt-br"')
    return value


_CHECKS: Final[dict[str, _Check]] = {
    "engine": _engine,
    "fit": lambda value: _one_of(value, FITS),
    "face": _face,
    "label": _boolean,
    "quality": lambda value: _integer(value, BEST_QUALITY, WORST_QUALITY),
    "priority": lambda value: _integer(value, *PRIORITIES),
    "zip": _boolean,
    "explain": _boolean,
    "track": _track,
    "channel": _channel,
    "channels": lambda value: _one_of(value, CHANNELS),
    "background": _background,
    "undriven_limit": _fraction,
    "text": _text,
    "language": _language,
}
KEYS: Final = tuple(_CHECKS)


def parse_job_toml(text: str | None) -> tuple[JobOptions, HeygemError | None]:
    """Return the options of a job.toml (None: the file is absent), and its first mistake: `bad_job_toml` or `unknown_option`."""
    try:
        table = tomllib.loads((text or "").removeprefix("\ufeff"))
    except (ValueError, RecursionError) as malformed:  # a plain ValueError: a number of more than 4300 digits
        return NO_OPTIONS, error("bad_job_toml", problem=escape_name(str(malformed)))
    for key, value in table.items():
        if key not in _CHECKS:
            return NO_OPTIONS, error("unknown_option", key=escape_name(key), suggestion=_suggestion(key))
        try:
            table[key] = _CHECKS[key](value)
        except ValueError as wrong:
            return NO_OPTIONS, error("bad_job_toml", problem=f"{key} must be {wrong}.")
    return JobOptions(**table), None


def _suggestion(key: str) -> str:
    near = difflib.get_close_matches(key.lower(), KEYS, n=1)
    return f'Did you mean "{near[0]}"?' if near else f"The keys are {', '.join(KEYS)}."
