"""Write job.toml: every text escaped, whatever its characters."""

import re
from collections.abc import Mapping
from typing import Final

_ESCAPED: Final = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}

Value = str | bool | int | float
HEADING: Final = "# Written by the page.\n"


def job_toml(values: Mapping[str, Value], faces: Mapping[str, Value]) -> str:
    """Return the text of a job.toml with these keys, and the table `faces` where it has any."""
    lines = [f"{key} = {toml_value(value)}" for key, value in values.items()]
    table = ["", "[faces]", *(f"{toml_value(name)} = {toml_value(face)}" for name, face in faces.items())] if faces else []
    return HEADING + "".join(f"{line}\n" for line in (*lines, *table))


def toml_value(value: Value) -> str:
    """Return a value as TOML writes it. Lone surrogates, which TOML cannot hold, become question marks."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return f'"{_ESCAPED.sub(lambda found: _escape(found[0]), value)}"'


def _escape(char: str) -> str:
    if 0xD800 <= ord(char) <= 0xDFFF:
        return "?"
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def face_value(face: str) -> Value:
    """Return a face as job.toml holds it: a number where it is one."""
    return int(face) if face.isascii() and face.isdigit() and len(face) < 10 else face
