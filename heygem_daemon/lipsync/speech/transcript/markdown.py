"""Take the text out of Markdown: what a person reads, without the signs that lay it out."""

import re
from typing import Final

_FRONT_MATTER: Final = re.compile(r"---\r?\n(?:(?!---)[^\n]*\n)*---\s*(?:\n|\Z)")
_SIGNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"^ {0,3}(?:`{3,}|~{3,}|={3,}|-{3,}|\*{3,}|_{3,}).*$", re.MULTILINE), ""),  # fences, rules, underlines of headings
    (re.compile(r"^ {0,9}(?:#{1,6}|>|[-*+]|\d{1,3}[.)])[ \t]{1,9}", re.MULTILINE), ""),  # headings, quotations, lists
    (re.compile(r"!\[[^\[\]\n]{0,500}\]\([^()\n]{0,2000}\)"), ""),  # images
    (re.compile(r"\[([^\[\]\n]{0,500})\]\([^()\n]{0,2000}\)"), r"\1"),  # links
    (re.compile(r"<[^<>\n]{0,500}>"), ""),
    (re.compile(r"\*{1,3}|`|(?<!\w)_{1,3}|_{1,3}(?!\w)|~~"), ""),  # emphasis
)


def markdown_text(text: str) -> str:
    """Return the words of a Markdown text."""
    plain = _FRONT_MATTER.sub("", text, count=1) if text.startswith("---") else text
    for sign, replacement in _SIGNS:
        plain = sign.sub(replacement, plain)
    return plain
