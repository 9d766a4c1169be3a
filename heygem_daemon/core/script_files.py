"""Find the files with the words of the recordings: text, documents and subtitles, by their names."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from heygem_daemon.core.file_types import suffix_of

_COMMON_SCRIPT: Final = "speech"
"""The stem of the script of the only recording; the only one in the flat form, where other texts do not belong to the drop."""
SCRIPT_SUFFIXES: Final = (
    *(".txt", ".md", ".docx", ".odt", ".rtf", ".srt", ".vtt", ".ass", ".ssa", ".sbv", ".lrc"),
    *(".doc", ".pages", ".pdf"),
)
"""Of several files with the words of one recording, the first in this order is taken. The last ones cannot be read, which is a warning."""
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}([-_][a-z]{2,4})?")
"""The language in the name of a subtitle file: talk.en.srt, talk.zh-Hans.vtt, compared without case."""


def is_common_script(path: str) -> bool:
    """Return whether a file is named as the script of whatever recording is the only one: speech.txt, speech.srt ..."""
    stem, _, _ = path.rpartition("/")[2].rpartition(".")
    return stem.casefold() == _COMMON_SCRIPT and suffix_of(path) in SCRIPT_SUFFIXES


def scripts_of(recordings: Sequence[str], paths: Iterable[str]) -> dict[str, str]:
    """Return recording -> script: the text of the same name beside it; for an only recording also speech.txt at the top of the drop."""
    texts = {_comparison_key(path): path for path in sorted(paths, reverse=True) if suffix_of(path) in SCRIPT_SUFFIXES}
    in_languages = _in_languages(texts)
    common = [_COMMON_SCRIPT] if len(recordings) == 1 else []
    found = {each: _script([str(PurePosixPath(each).with_suffix("")), each, *common], texts, in_languages) for each in recordings}
    return {recording: script for recording, script in found.items() if script is not None}


def _script(stems: Iterable[str], texts: Mapping[str, str], in_languages: Mapping[str, Sequence[str]]) -> str | None:
    """Return the text named like the first of `stems` that has one, else the only one named so with a language (talk.en.srt)."""
    keys = [_comparison_key(stem) for stem in stems]
    plain = next((texts[key + suffix] for key in keys for suffix in SCRIPT_SUFFIXES if key + suffix in texts), None)
    with_language = [path for key in keys for path in in_languages.get(key, ())]
    return plain or (with_language[0] if len(with_language) == 1 else None)


def _in_languages(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Return stem -> the texts named so with a language."""
    found: dict[str, list[str]] = {}
    for key, path in texts.items():
        stem, _, language = key.rpartition(".")[0].rpartition(".")
        if stem and _LANGUAGE.fullmatch(language):
            found.setdefault(stem, []).append(path)
    return found


def _comparison_key(path: str) -> str:
    """Return the name by which paths are compared: regardless of case and Unicode form."""
    return unicodedata.normalize("NFC", path.casefold())
