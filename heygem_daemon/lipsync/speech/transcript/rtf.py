"""Take the text out of an RTF file, as TextEdit and WordPad write it (Rich Text Format Specification 1.9.1)."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

_TOKEN: Final = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<sign>[^a-zA-Z])|(?P<brace>[{}])"
    r"|(?P<text>[^\\{}\r\n]+)|.",
    re.DOTALL,
)
_SIGNS: Final = {
    **dict.fromkeys(("par", "sect", "page", "line", "row", "\n", "\r"), "\n"),
    **dict.fromkeys(("tab", "cell"), "\t"),
    "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "~": "\u00a0", "_": "-", "\\": "\\", "{": "{", "}": "}",
}  # fmt: skip
_NOT_TEXT: Final = frozenset({
    *("fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "fldinst", "footnote", "annotation", "themedata"),
    *("header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf", "listtable", "listoverridetable"),
})  # fmt: skip
"""Destinations: groups that hold something else than the text. A group that begins with \\* is one too."""
_CODE_PAGES: Final = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}


@dataclass(frozen=True, kw_only=True)
class _Group:
    """is_text: whether its characters count. fallback: how many characters stand after a \\u for programs without Unicode."""

    is_text: bool = True
    fallback: int = 1


def rtf_text(raw: bytes) -> str:
    """Return the text of an RTF file; what its code page does not have is replaced."""
    reader = _Reader()
    for token in _tokens(raw.decode("latin-1")):
        reader.feed(token)
    return reader.text()


def _tokens(source: str) -> Iterator[re.Match[str]]:
    """Yield the tokens, without the bytes of binary data (\\binN)."""
    position = 0
    while (token := _TOKEN.match(source, position)) is not None:
        yield token
        is_binary = token["word"] == "bin" and token["number"]
        position = token.end() + (max(int(token["number"]), 0) if is_binary else 0)


class _Reader:
    """Collects text; what comes as bytes is decoded together, since in Asian code pages two make a character."""

    def __init__(self) -> None:
        self._groups = [_Group()]
        self._encoding = "cp1252"
        self._encoded = bytearray()
        self._parts: list[str] = []
        self._fallback_left = 0

    def feed(self, token: re.Match[str]) -> None:
        if token["brace"]:
            self._brace(token["brace"])
        elif token["byte"]:
            self._add_bytes(bytes.fromhex(token["byte"]))
        elif token["word"]:
            self._control(token["word"], int(token["number"] or 0))
        elif token["sign"] == "*":
            self._groups[-1] = replace(self._groups[-1], is_text=False)
        elif token["sign"]:
            self._add(_SIGNS.get(token["sign"], ""))
        elif token["text"]:
            self._add_bytes(token["text"].encode("latin-1"))

    def text(self) -> str:
        self._decode()
        return "".join(self._parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # \u names UTF-16 units

    def _brace(self, brace: str) -> None:
        self._fallback_left = 0
        if brace == "{":
            self._groups.append(self._groups[-1])
        elif len(self._groups) > 1:
            self._groups.pop()

    def _control(self, word: str, number: int) -> None:
        group = self._groups[-1]
        if word in _NOT_TEXT:
            self._groups[-1] = replace(group, is_text=False)
        elif word == "uc":
            self._groups[-1] = replace(group, fallback=max(number, 0))
        elif word == "u":
            self._add(chr(number % 0x10000))
            self._fallback_left = group.fallback
        elif word == "ansicpg" or word in _CODE_PAGES:
            self._set_encoding(_CODE_PAGES.get(word, f"cp{number}"))
        else:
            self._add(_SIGNS.get(word, ""))

    def _set_encoding(self, name: str) -> None:
        try:
            self._encoding = codecs.lookup(name).name
        except LookupError:
            return

    def _add_bytes(self, encoded: bytes) -> None:
        skipped = min(self._fallback_left, len(encoded))
        self._fallback_left -= skipped
        if self._groups[-1].is_text:
            self._encoded += encoded[skipped:]

    def _add(self, text: str) -> None:
        if text and self._groups[-1].is_text:
            self._decode()
            self._parts.append(text)

    def _decode(self) -> None:
        if self._encoded:
            self._parts.append(self._encoded.decode(self._encoding, "replace"))
            self._encoded.clear()
