"""Sentences that the daemon writes into its status, in the language of whoever reads them.

The daemon writes English. For another language locales/reasons.<language>.json has patterns of its sentences; those of the table of
errors are recognised by the table itself and become the sentence `error.<code>` of the catalog.
"""

import json
import re
from functools import cache
from string import Formatter
from typing import Final

from heygem_daemon.core.error_catalog import CATALOG
from heygem_daemon.web.words import LOCALES, catalog, text

LONGEST: Final = 1000
"""Characters of a sentence that is looked at: the time of a pattern grows with the square of it and more. The daemon's are shorter."""
_INNER: Final = "inner"
"""The group of a pattern that holds another sentence of the daemon."""


def translate(language: str, sentence: str) -> str:
    """Return the sentence in this language; as it is where it is unknown, as everything is in English."""
    if language == "en" or len(sentence) > LONGEST:
        return sentence
    for pattern, template in _patterns(language):
        if match := pattern.fullmatch(sentence):
            fields = {name: value or "" for name, value in match.groupdict().items()}
            if _INNER in fields:
                fields[_INNER] = translate(language, fields[_INNER])
            return template.format_map(fields)
    return next((text(language, key) for pattern, key in _errors(language) if pattern.fullmatch(sentence)), sentence)


@cache
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    path = LOCALES / f"reasons.{language}.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return tuple((re.compile(row["pattern"], re.DOTALL), row["text"]) for row in rows)


@cache
def _errors(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the sentences of the table of errors as patterns, with the keys of their translations."""
    known = catalog(language)
    return tuple((_as_pattern(spec.message), f"error.{code}") for code, spec in CATALOG.items() if f"error.{code}" in known)


def _as_pattern(message: str) -> re.Pattern[str]:
    parts = (re.escape(words) + ("" if field is None else ".*") for words, field, _spec, _conversion in Formatter().parse(message))
    return re.compile("".join(parts), re.DOTALL)
