"""Format a log event as a sentence for people, from a template and the fields of the line.

A template is a format string in which `[...]` marks a part that is left out when one of its fields is missing:
`"[{job}/{item}: ]published[ after {seconds:.1f} s]"`. Outside brackets a missing field becomes a question mark.
Three formats are added to those of Python: a list is joined by its format (`{changes:; }`, a comma without one), a mapping reads
as its entries that are not zero, and `{items:#result}` or `{inboxes:#inbox|inboxes}` counts, "1 result", "2 inboxes", missing at zero.
"""

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

from heygem_daemon.core.names import escape_name

_PART: Final = re.compile(r"\[([^\]]*)\]|([^\[]+)")
MAX_LENGTH: Final = 2000
"""Characters of a sentence; a longer field is complete in the line's own fields."""
_BREAK: Final = re.compile(r"\s*[\r\n]\s*")


class _MissingError(Exception):
    """A field that a part needs is missing."""


class _Formatter(string.Formatter):
    def __init__(self, missing: str | None = None) -> None:
        self._missing = missing

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        value = kwargs.get(str(key))
        if value is None:
            return self._placeholder()
        return value

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Mapping):
            return ", ".join(f"{key} {count}" for key, count in value.items() if count)
        if isinstance(value, list | tuple | set | frozenset):
            return (format_spec or ", ").join(str(each) for each in value)
        if format_spec.startswith("#"):
            one, _, many = format_spec[1:].partition("|")
            return f"{value} {one if value == 1 else many or one + 's'}" if value else self._placeholder()
        try:
            return format(value, format_spec)
        except (TypeError, ValueError):  # a field of another type than the template expects is shown as it is
            return str(value)

    def _placeholder(self) -> str:
        if self._missing is None:
            raise _MissingError
        return self._missing


_STRICT: Final = _Formatter()
_TOLERANT: Final = _Formatter(missing="?")


def sentence(template: str, fields: Mapping[str, Any]) -> str:
    """Return the filled-in template as one line that is safe to show. Raises for no field."""
    parts = (_optional(inner, fields) if inner else _TOLERANT.vformat(outer, (), fields) for inner, outer in _PART.findall(template))
    return one_line("".join(parts))


def one_line(text: str) -> str:
    """Return the text as one line of limited length without control characters."""
    return escape_name(truncated(_BREAK.sub(" ", text), MAX_LENGTH))


def truncated(text: str, limit: int) -> str:
    """Return the text with at most about `limit` characters: of a longer one the beginning and the end."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]} ... [{len(text) - limit} characters left out] ... {text[len(text) - limit // 2 :]}"


def names_in(template: str) -> set[str]:
    """Return the names of the fields in a template."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def _optional(part: str, fields: Mapping[str, Any]) -> str:
    try:
        return _STRICT.vformat(part, (), fields)
    except _MissingError:
        return ""
