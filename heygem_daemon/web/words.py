"""Texts in the caller's language, from the catalogs in locales/<language>/*.json."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

LOCALES: Final = Path(__file__).parent / "locales"
LANGUAGES: Final = ("en", "zh")


@cache
def catalog(language: str) -> Mapping[str, str]:
    """Return every text of a language by its key; the files of its folder are one catalog."""
    texts: dict[str, str] = {}
    for path in sorted((LOCALES / language).glob("*.json")):
        texts |= json.loads(path.read_text(encoding="utf-8"))
    return texts


def text(language: str, key: str, /, **fields: object) -> str:
    """Return the text of a key, its `{fields}` filled in; the key itself where there is none."""
    template = catalog(language).get(key) or catalog("en").get(key, key)
    return template.format_map(fields) if fields else template


def language_of(accept_language: str, chosen: str = "") -> str:
    """Return the language for a browser: the one chosen by its user, else the first of its own that we have, else English."""
    if chosen in LANGUAGES:
        return chosen
    for part in accept_language.split(","):
        name = part.partition(";")[0].strip().lower()[:2]
        if name in LANGUAGES:
            return name
    return "en"
