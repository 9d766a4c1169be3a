"""Read the text of a script file."""

import codecs
import os
import stat
import unicodedata
from pathlib import Path
from typing import Final

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem

MAX_BYTES: Final = 2**20
"""Four hours of fast speech are 200,000 letters, of up to four bytes each."""

_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def transcript_text(text: str | None, script: Path | None) -> str | None:
    """Return the transcript of a recording: `text`, else that of the file, else None. Raises TranscriptProblem (`script_unreadable`)."""
    if text is not None:
        return text
    return None if script is None else read_transcript(script)


def read_transcript(path: Path) -> str:
    """Return the text of a file in UTF-8 or, with a byte order mark, UTF-16.

    Raises TranscriptProblem (`script_unreadable`) for another encoding, more than MAX_BYTES, a link, a device, or a file that is gone.
    """
    try:
        with os.fdopen(os.open(path, _OPEN), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TranscriptProblem(WarningCode.SCRIPT_UNREADABLE)
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise TranscriptProblem(WarningCode.SCRIPT_UNREADABLE)
        return decode(raw)
    except (OSError, UnicodeDecodeError) as problem:
        raise TranscriptProblem(WarningCode.SCRIPT_UNREADABLE) from problem


def decode(raw: bytes) -> str:
    """Return the text. Raises UnicodeDecodeError, also for a NUL: no writing has it, but UTF-16 without its mark does."""
    text = raw.decode("utf-16") if raw.startswith(_UTF16) else raw.decode("utf-8-sig")
    if "\0" in text:
        raise UnicodeDecodeError("utf-8", raw, raw.find(b"\0"), raw.find(b"\0") + 1, "a NUL byte")
    return text


def plain_text(text: str) -> str:
    """Return the text without control characters and without what espeak-ng reads as commands ([[phonemes]])."""
    plain = "".join(" " if sign in "[]" or _is_control(sign) else sign for sign in unicodedata.normalize("NFC", text))
    return plain.strip()


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Co"} and sign not in "\n\t\u200c\u200d"
