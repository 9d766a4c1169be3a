"""The words of names, texts and pages: standard terms of the field instead of words that a newcomer would not search for."""

import re
from pathlib import Path
from typing import Final

import pytest

AVOIDED: Final = {
    r"mend\w*": "fix or repair",
    r"figures": "metrics or values",
    r"troubles?": "error or problem",
    r"pictures?": "image or frame",
    r"sounds?": "audio",
    r"told": "reported",
    r"said": "reported",
    r"obey\w*": "apply",
    r"greet\w*": "register",
    r"bury|buried|bereave\w*": "reap",
    r"wish(es)?": "request",
}
"""Regular expression of a word -> what to write instead."""

ALLOWED: Final = (
    r"recommend\w*|amend\w*|sounds? like",
    r"soundfile|share/sounds|fluid-soundfont\w*|soundfonts?|SoundFonts?",
    r"matplotlib\.figure|Figure\b|plt\.figures?",
    r"sound_not_in_sync",  # a public error code
    r'"picture": "points"',  # a key in files on disk
    r"I never said these words",  # spoken in the demo
)
"""Names of other people's libraries, words that contain an avoided one, and public words that stay."""

FOLDERS: Final = ("heygem_daemon", "scripts", "training", "benchmarks", "docs", "config", "systemd", "share/man")
PAGES: Final = ("README.md", "CONTRIBUTING.md", "THIRD_PARTY.md", "Makefile", "weights/README.md")
SUFFIXES: Final = {".py", ".md", ".toml", ".yml", ".sh", ".service", ".catalog", ".1", ".sql", ".example", ""}


def _words(text: str) -> str:
    """Return the text with its identifiers taken apart: snake_case and CamelCase become words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", text)


def _found(text: str) -> list[str]:
    plain = _words(re.sub("|".join(ALLOWED), "", text))
    return [match.group().lower() for word in AVOIDED for match in re.finditer(rf"\b({word})\b", plain, flags=re.IGNORECASE)]


def _files(root: Path) -> list[Path]:
    inside = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.is_file() and path.suffix in SUFFIXES]
    return sorted([*inside, *(root / page for page in PAGES)])


@pytest.mark.parametrize(
    ("text", "words"), [("def mended_picture() -> None:", ["mended", "picture"]), ("import soundfile", []), ("ToldJob", ["told"])]
)
def test_an_avoided_word_is_found_inside_a_name(text: str, words: list[str]) -> None:
    assert _found(text) == words


def test_no_name_text_or_page_uses_an_avoided_word(root: Path) -> None:
    guilty = [
        f"{path.relative_to(root)}:{number}: {', '.join(words)}"
        for path in _files(root)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (words := _found(line))
    ]
    assert guilty == []
