"""What the files of the front end hold: the keys of texts that they use, the elements of a screen, what a module imports."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import heygem_daemon.web
from heygem_daemon.web.words import LANGUAGES, catalog

WEB: Final = Path(heygem_daemon.web.__file__).parent
TEMPLATES: Final = WEB / "templates"
STATIC: Final = WEB / "static"

_LITERAL: Final = re.compile(r"""(?P<quote>["'`])(?P<text>[a-z_]+(?:\.[A-Za-z0-9_+$%{}()\[\]. -]+)+)(?P=quote)""")
_JINJA_SUM: Final = re.compile(r"""'([a-z_]+\.(?:[a-z0-9_]+\.)*)' \+ [a-z.]+""")
_INSERTED: Final = re.compile(r"\$?\{[^{}]*\}")


def sources(folder: Path, *suffixes: str) -> list[Path]:
    """Return the files below a folder, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes)


def first_parts() -> frozenset[str]:
    """Return the first parts of all keys: what begins with one, is meant to be a key."""
    return frozenset(key.partition(".")[0] for language in LANGUAGES for key in catalog(language))


@dataclass(frozen=True, kw_only=True)
class UsedKeys:
    """The keys in the text of a file: whole ones, and regular expressions of those that have a part inserted."""

    whole: frozenset[str]
    patterns: frozenset[str]

    def use(self, key: str) -> bool:
        """Return whether a key of the catalog is used; `key.one` and `key.other` are by `key`."""
        stem = re.sub(r"\.(one|other)$", "", key)
        return bool({key, stem} & self.whole) or any(re.fullmatch(pattern, name) for pattern in self.patterns for name in (key, stem))


def used_keys(text: str, *, is_python: bool = False) -> UsedKeys:
    """Return the keys that a file uses. In a module of Python, anything may follow the first insertion into a key."""
    known = first_parts()
    found = [match["text"] for match in _LITERAL.finditer(text) if match["text"].partition(".")[0] in known]
    patterns = {_begin(key) if is_python else _pattern(key) for key in found if _INSERTED.search(key)}
    patterns |= {re.escape(stem) + ".+" for stem in _JINJA_SUM.findall(text)}
    whole = {key for key in found if not _INSERTED.search(key) and re.fullmatch(r"[A-Za-z0-9_+.-]+", key)}
    return UsedKeys(whole=frozenset(key for key in whole if not key.endswith(".")), patterns=frozenset(patterns))


def _begin(key: str) -> str:
    return re.escape(_INSERTED.split(key)[0]) + ".+"


def _pattern(key: str) -> str:
    """Return the regular expression of a key with inserted parts."""
    return "[^.]+".join(re.escape(part) for part in _INSERTED.split(key))


@dataclass
class Element:
    """A start tag."""

    tag: str
    attributes: dict[str, str | None]


@dataclass
class Screen(HTMLParser):
    """The elements and visible texts of a page."""

    elements: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in {"script", "code"} and data.strip():
            self.texts.append(data.strip())

    def ids(self) -> set[str]:
        return {str(element.attributes["id"]) for element in self.elements if "id" in element.attributes}


def read(html: str) -> Screen:
    """Return the elements and texts of a page."""
    screen = Screen()
    screen.feed(html)
    return screen


def imports(module: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the name of everything that a script module imports."""
    for names, file in re.findall(r'^import \{([^}]*)\} from "([^"]+)";', module.read_text(encoding="utf-8"), flags=re.MULTILINE):
        for name in filter(None, (part.strip().partition(" as ")[0] for part in names.split(","))):
            yield (module.parent / file).resolve(), name
