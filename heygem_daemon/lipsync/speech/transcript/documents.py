"""Take the text out of Word (.docx) and OpenDocument (.odt) files: XML in a ZIP, which is read as a stream and never unpacked to disk.

Hostile files: only stored and deflated members are opened (LZMA may ask for gigabytes), at most MAX_XML_BYTES of them are read, and a
document type, the only place where entities could be declared, is refused.
"""

import re
import struct
import zipfile
import zlib
from typing import IO, Final
from xml.parsers import expat

MAX_XML_BYTES: Final = 16 * 2**20
MAX_CHARACTERS: Final = 2**20
_CHUNK: Final = 2**16

_MAIN_PART: Final = re.compile(r"word/document\d{0,3}\.xml|content\.xml")
_PARAGRAPHS: Final = frozenset({"p", "h"})
_TEXT_OF_WORD: Final = "t"
_SIGNS: Final = {"tab": "\t", "br": "\n", "cr": "\n", "line-break": "\n", "s": " ", "noBreakHyphen": "-"}
"""Elements that stand for a character, in either format."""
_SKIPPED: Final = frozenset({
    *("del", "moveFrom", "Fallback", "rt"),  # Word: deleted, moved away, the second copy of a text box, the reading of a ruby
    *("annotation", "tracked-changes", "note", "ruby-text"),  # OpenDocument
})  # fmt: skip


class DocumentError(ValueError):
    """The file is no document with text, or too large a one."""


def document_text(file: IO[bytes]) -> str:
    """Return the text of a .docx or .odt, a line for each paragraph. Raises DocumentError."""
    try:
        with zipfile.ZipFile(file) as archive:
            part = next((info for info in archive.infolist() if _MAIN_PART.fullmatch(info.filename)), None)
            if part is None or part.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise DocumentError("no document in it")
            with archive.open(part) as xml:
                return _text(xml, is_word=part.filename.startswith("word/"))
    except (zipfile.BadZipFile, zlib.error, struct.error, expat.ExpatError, ValueError, RuntimeError, EOFError, OSError) as damaged:
        raise DocumentError(str(damaged)) from damaged


def _text(xml: IO[bytes], *, is_word: bool) -> str:
    collector = _Collector(is_word=is_word)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.characters
    parser.StartDoctypeDeclHandler = collector.doctype
    read = 0
    while chunk := xml.read(_CHUNK):
        read += len(chunk)
        if read > MAX_XML_BYTES:
            raise DocumentError("more XML than a script has")
        parser.Parse(chunk)
    parser.Parse(b"", True)
    return "".join(collector.parts)


class _Collector:
    """Collects the text of a document from the events of a parser. In Word text stands in `t`, in OpenDocument in the paragraphs."""

    def __init__(self, *, is_word: bool) -> None:
        self.parts: list[str] = []
        self._text_elements = frozenset({_TEXT_OF_WORD}) if is_word else _PARAGRAPHS
        self._inside = 0
        self._skipped = 0
        self._length = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if self._skipped or local in _SKIPPED:
            self._skipped += 1
            return
        if local in self._text_elements:
            self._inside += 1
        elif local in _SIGNS:
            self._add(_SIGNS[local])

    def end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        if self._skipped:
            self._skipped -= 1
            return
        if local in self._text_elements:
            self._inside -= 1
        if local in _PARAGRAPHS:
            self._add("\n")

    def characters(self, text: str) -> None:
        if self._inside and not self._skipped:
            self._add(text)

    def doctype(self, *_: object) -> None:
        raise DocumentError("a document type")

    def _add(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_CHARACTERS:
            raise DocumentError("more text than a script has")
        self.parts.append(text)
