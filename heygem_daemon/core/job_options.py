"""job.toml: the options of one drop. Every mistake is named, together with what would be right."""

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.names import escape_name, is_valid_name
from heygem_daemon.core.render_options import BEST_QUALITY, CHANNELS, FACES, FITS, WORST_QUALITY
from heygem_daemon.core.toml_limits import too_costly

MAX_TEXT: Final = 200_000
"""Characters of a transcript; enough for four hours of fast speech."""

CHANNEL: Final = re.compile(r"left|right|mix|[1-9][0-9]{0,3}")
BACKGROUND: Final = re.compile(r"#[0-9A-Fa-f]{6}")
LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,12}){0,3}")

MIN_SECONDS: Final = 0.1
"""s of the shortest trial."""
MAX_SECONDS: Final = 1e6
"""s of the longest."""
MAX_NUMBER: Final = 9999
"""Of a face, a track or a channel: TOML knows whole numbers of any length."""
_MAX_FILE_NAME: Final = 255
_MAX_ENGINE: Final = 100
"""Characters."""
_MAX_MISSPELT: Final = 40
"""Characters of a key for which a similar one is looked for."""

PRIORITIES: Final = (-100, 100)
"""Lowest and highest."""
_PRIORITY: Final = re.compile(r"[+-]?[0-9]{1,3}")

MAX_OWNER: Final = 200
MAX_CONSENT: Final = 1000
"""Characters."""
REFERENCE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """The options of a job.toml; None leaves one to the configuration. Those of RenderOptions have the same names here.

    zip: also write a ZIP of the results. owner: who asked for the job, reference: the client's own name of it, consent: who agreed to be
    shown, and when; none of the three changes a result. faces: file name of a video -> the face that speaks in it, in place of `face`."""

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
    owner: str | None = None
    reference: str | None = None
    consent: str | None = None
    faces: Mapping[str, str] | None = None
    first_seconds: float | None = None

    def for_video(self, name: str) -> "JobOptions":
        """Return the options for the video of this file name: `face` is the one that `faces` has for it, where it has one."""
        faces = {_composed(video): face for video, face in (self.faces or {}).items()}
        return replace(self, face=faces.get(_composed(name), self.face))

    def unknown_video(self, names: Iterable[str]) -> str | None:
        """Return the first key of `faces` that is none of the file names of the videos; None where all are."""
        known = {_composed(name) for name in names}
        return next((video for video in self.faces or () if _composed(video) not in known), None)


def _composed(name: str) -> str:
    """Return a name in the form in which all systems spell it the same: macOS writes an accent as a character of its own."""
    return unicodedata.normalize("NFC", name)


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
    if not isinstance(value, str) or not value or len(value) > _MAX_ENGINE or escape_name(value) != value:
        raise ValueError("the name of an engine in quotes")
    return value


def _face(value: Any) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER
    if not is_number and value not in FACES:
        raise ValueError(", ".join(f'"{word}"' for word in FACES) + " or the number of a face, counted from 0")
    return str(value)


def _faces(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError('a table of file names and faces, e.g. { "teacher-a.mp4" = "left" }')
    faces: dict[str, str] = {}
    for video, face in value.items():
        if len(video) > _MAX_FILE_NAME:
            raise ValueError(f"a table of file names, and none has more than {_MAX_FILE_NAME} characters")
        try:
            faces[video] = _face(face)
        except ValueError as wrong:
            raise ValueError(f"a table in which {escape_name(video)} is {wrong}") from None
    return faces


def _seconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not MIN_SECONDS <= value <= MAX_SECONDS:
        raise ValueError(f"a number of seconds, from {MIN_SECONDS:g} to {MAX_SECONDS:.0f}")
    return float(value)


def _track(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_NUMBER:
        raise ValueError("the number of an audio track, counted from 1")
    return value


def _channel(value: Any) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_NUMBER
    if not (is_number or (isinstance(value, str) and CHANNEL.fullmatch(value))):
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


def _line(value: Any, what: str, limit: int) -> str:
    """Return a text of one line without spaces around it."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > limit or not is_valid_name(f"x{text}".replace("/", "")):
        raise ValueError(f"{what} in quotes, on one line of at most {limit} characters")
    return text


def _reference(value: Any) -> str:
    if not isinstance(value, str) or not REFERENCE.fullmatch(value):
        raise ValueError('at most 64 letters, digits, ".", "_" and "-" in quotes')
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
    "owner": lambda value: _line(value, "the name of a user", MAX_OWNER),
    "reference": _reference,
    "consent": lambda value: _line(value, "who agreed, and when,", MAX_CONSENT),
    "faces": _faces,
    "first_seconds": _seconds,
}
KEYS: Final = tuple(_CHECKS)
_ORIGIN_KEYS: Final = ("owner", "reference", "consent")
"""What a drop says about where it comes from; valid even where another key is wrong, for its owner must find it."""


def parse_priority(text: str) -> int | None:
    """Return the whole number from -100 to 100 that a text is, spaces and line ends around it left out; None where it is none."""
    found = _PRIORITY.fullmatch(text.removeprefix("\ufeff").strip())
    lowest, highest = PRIORITIES
    return int(found.group()) if found and lowest <= int(found.group()) <= highest else None


def parse_job_toml(text: str | None) -> tuple[JobOptions, HeygemError | None]:
    """Return the options of a job.toml (None: the file is absent), and its first mistake: `bad_job_toml` or `unknown_option`.

    Of one with a mistake the valid ones of owner, reference and consent are returned. Whatever the text is, this takes 0.1 s at most."""
    content = (text or "").removeprefix("\ufeff")
    costly = too_costly(content)
    if costly is not None:
        return NO_OPTIONS, error("bad_job_toml", problem=f"it {costly}")
    try:
        table = tomllib.loads(content)
    except (ValueError, RecursionError) as malformed:  # a plain ValueError: a number of more than 4300 digits
        return NO_OPTIONS, error("bad_job_toml", problem=escape_name(str(malformed)))
    options: dict[str, Any] = {}
    problem: HeygemError | None = None
    for key, value in table.items():
        if key not in _CHECKS:
            problem = problem or error("unknown_option", key=escape_name(key), suggestion=_suggestion(key))
            continue
        try:
            options[key] = _CHECKS[key](value)
        except ValueError as wrong:
            problem = problem or error("bad_job_toml", problem=f"{key} must be {wrong}.")
    if problem is not None:
        options = {key: value for key, value in options.items() if key in _ORIGIN_KEYS}
    return JobOptions(**options), problem


def _suggestion(key: str) -> str:
    near = difflib.get_close_matches(key.lower(), KEYS, n=1) if len(key) <= _MAX_MISSPELT else []
    return f'Did you mean "{near[0]}"?' if near else f"The keys are {', '.join(KEYS)}."
