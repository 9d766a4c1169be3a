"""Read the words of a script file, of whatever kind it is."""

import codecs
import errno
import os
import stat
import unicodedata
from io import BytesIO
from pathlib import Path
from typing import IO, Final

from heygem_daemon.core.errors import error
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.storage import FAILING, SHORT, UNREACHABLE
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.speech.transcript.documents import document_text
from heygem_daemon.lipsync.speech.transcript.markdown import markdown_text
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem
from heygem_daemon.lipsync.speech.transcript.rtf import rtf_text
from heygem_daemon.lipsync.speech.transcript.speakable import without_stacks
from heygem_daemon.lipsync.speech.transcript.subtitles import spoken_words

MAX_BYTES: Final = 2**20
"""Four hours of fast speech are 200,000 letters, of up to four bytes each."""

MAX_DOCUMENT_BYTES: Final = 16 * 2**20
"""Of Word and OpenDocument, which may hold images too."""
MAX_RTF_BYTES: Final = 4 * 2**20
"""4 s of work at worst (nothing but braces, one core)."""

_ZIP: Final = b"PK\x03\x04"
_RTF: Final = b"{\\rtf"
_PDF: Final = b"%PDF"
_MARKDOWN: Final = frozenset({".md", ".markdown"})
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_STORAGE: Final = (UNREACHABLE | FAILING) - {errno.EACCES, errno.ENXIO}
"""Error numbers of a disk or a share that fails; the other two are of a script that may not be read, and of a socket in its place."""
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def transcript_text(text: str | None, script: Path | None) -> str | None:
    """Return the transcript of a recording: `text`, else that of the file, else None. Raises TranscriptProblem (`script_unreadable`)."""
    if text is not None:
        return text
    return None if script is None else read_transcript(script)


def read_transcript(path: Path) -> str:
    """Return the words of a script: plain text in UTF-8 or, with a byte order mark, UTF-16; subtitles; Markdown; RTF, Word, OpenDocument.

    What it is, its content decides (for Markdown, its name). Raises TranscriptProblem (`script_unreadable`) for anything else, another
    encoding, more than MAX_BYTES of text, MAX_RTF_BYTES of RTF or MAX_DOCUMENT_BYTES of a document, a link, a device, or a file that is
    gone. Raises TransientError (`io_error`, `server_short`) where the disk, the share or the machine fails, and not the script.
    """
    try:
        with os.fdopen(os.open(path, _OPEN), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TranscriptProblem(WarningCode.SCRIPT_UNREADABLE)
            return _words(file, is_markdown=path.suffix.lower() in _MARKDOWN)
    except OSError as problem:
        if problem.errno in SHORT:
            raise error("server_short", program="the reader of scripts", problem=problem.strerror) from problem
        if problem.errno in _STORAGE or not path.parent.is_dir():
            raise error("io_error", problem=f"{escape_name(path.name)}: {problem.strerror}") from problem
        raise TranscriptProblem(WarningCode.SCRIPT_UNREADABLE) from problem
    except ValueError as problem:
        raise TranscriptProblem(WarningCode.SCRIPT_UNREADABLE) from problem


def _words(file: IO[bytes], *, is_markdown: bool) -> str:
    """Return the words in an open file. Raises OSError, and ValueError for what is no script."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(len(_RTF))
    file.seek(0)
    if head.startswith(_ZIP) and size <= MAX_DOCUMENT_BYTES:
        return document_text(BytesIO(file.read(MAX_DOCUMENT_BYTES)))  # what fails in there is the document, not the disk
    if head.startswith(_RTF) and size <= MAX_RTF_BYTES:
        return rtf_text(file.read(MAX_RTF_BYTES))
    raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES or head.startswith(_PDF):
        raise ValueError("no script")
    text = decode(raw)
    return markdown_text(text) if is_markdown else spoken_words(text)


def decode(raw: bytes) -> str:
    """Return the text. Raises UnicodeDecodeError, also for a NUL: no writing has it, but UTF-16 without its mark does."""
    text = raw.decode("utf-16") if raw.startswith(_UTF16) else raw.decode("utf-8-sig")
    if "\0" in text:
        raise UnicodeDecodeError("utf-8", raw, raw.find(b"\0"), raw.find(b"\0") + 1, "a NUL byte")
    return text


def plain_text(text: str) -> str:
    """Return the text without control characters and without what espeak-ng reads as commands ([[phonemes]])."""
    plain = "".join(" " if sign in "[]" or _is_control(sign) else sign for sign in unicodedata.normalize("NFC", without_stacks(text)))
    return plain.strip()


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Co"} and sign not in "\n\t\u200c\u200d"
