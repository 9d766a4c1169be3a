"""Refuse a TOML text that would be costly to parse, by one linear look at it.

tomllib is quadratic in the parts of a dotted key (1 s for 16 kB of them) and recursive in nesting; within these limits no text of any
structure took it longer than 0.1 s.
"""

import re
from typing import Final

MAX_CHARACTERS: Final = 512 * 1024
"""Of the whole text: one with 200,000 characters in quotes fits, even where some are escaped."""
MAX_STRUCTURE: Final = 32 * 1024
"""Characters outside quotes and comments."""
MAX_ESCAPES: Final = 50_000
MAX_PARTS: Final = 8
"""Of a dotted key."""
MAX_NESTING: Final = 16
"""Arrays and tables inside each other."""

_QUOTED_OR_COMMENT: Final = re.compile(
    r'"""(?:[^"\\]|\\.?|"{1,2}(?!"))*+(?:"{3,5}|\Z)'
    r"|'''(?:[^']|'{1,2}(?!'))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n]?)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
"""Ends where tomllib sees the end; an unfinished one goes on to the end of its line or of the text, where tomllib gives up."""
_LONG_KEY: Final = re.compile(rf"(?:\.[^.=,\n\[\]{{}}]*+){{{MAX_PARTS}}}")
_BRACKET: Final = re.compile(r"[\[\]{}]")


def too_costly(text: str) -> str | None:
    """Return in words why a text is not parsed, to follow "it"; None where it may be."""
    if len(text) > MAX_CHARACTERS:
        return f"is longer than {MAX_CHARACTERS} characters."
    if text.count("\\") > MAX_ESCAPES:
        return f"has more than {MAX_ESCAPES} backslashes."
    structure = _QUOTED_OR_COMMENT.sub(lambda found: "" if found[0].startswith("#") else '""', text)
    if len(structure) > MAX_STRUCTURE:
        return f"has more than {MAX_STRUCTURE} characters outside quotes."
    if _LONG_KEY.search(structure):
        return f"has a key of more than {MAX_PARTS} parts with dots between."
    if _nesting(structure) > MAX_NESTING:
        return f"has more than {MAX_NESTING} arrays or tables inside each other."
    return None


def _nesting(structure: str) -> int:
    deepest = depth = 0
    for bracket in _BRACKET.findall(structure):
        depth = depth + 1 if bracket in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest
