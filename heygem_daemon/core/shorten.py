"""Shorten texts that come from users or foreign programs, before they go into errors, status files and logs."""

from typing import Final

ELLIPSIS: Final = "…"


def shortened(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters: the beginning of a longer one, and an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS
