"""The text of documents is read as a stream, and hostile documents are refused."""

import io
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.speech.transcript.documents import MAX_XML_BYTES, DocumentError, document_text
from heygem_daemon.lipsync.speech.transcript.markdown import markdown_text
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem
from heygem_daemon.lipsync.speech.transcript.rtf import rtf_text
from heygem_daemon.lipsync.speech.transcript.text import MAX_BYTES, MAX_DOCUMENT_BYTES, MAX_RTF_BYTES, read_transcript

WORDS = "Grüße & 你好 Today we learn to bake bread."
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
STRICT = 'xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"'
OFFICE = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'


def archive(*parts: tuple[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as made:
        for name, content in parts:
            made.writestr(name, content)
    return packed.getvalue()


def docx(body: str, namespace: str = WORD, name: str = "word/document.xml", **options: int) -> bytes:
    xml = f'<?xml version="1.0"?><w:document {namespace}><w:body>{body}</w:body></w:document>'
    return archive(("[Content_Types].xml", "<Types/>"), (name, xml), **options)


def odt(body: str) -> bytes:
    xml = f'<?xml version="1.0"?><office:document-content {OFFICE}><office:body>{body}</office:body></office:document-content>'
    return archive(("mimetype", "application/vnd.oasis.opendocument.text"), ("styles.xml", "<styles/>"), ("content.xml", xml))


PARAGRAPHS = (
    "<w:p><w:r><w:t>Grü</w:t></w:r><w:r><w:t>ße &amp; 你好</w:t></w:r></w:p>"
    '<w:p><w:del><w:r><w:delText>Gone </w:delText></w:r></w:del><w:r><w:t xml:space="preserve">Today </w:t></w:r>'
    "<w:moveFrom><w:r><w:t>elsewhere</w:t></w:r></w:moveFrom><w:ins><w:r><w:t>we</w:t></w:r></w:ins><w:r><w:tab/><w:t>learn</w:t><w:br/>"
    "<w:instrText>PAGE</w:instrText><w:t>to bake</w:t></w:r><w:r><w:ruby><w:rt><w:r><w:t>burred</w:t></w:r></w:rt><w:rubyBase><w:r>"
    "<w:t> bread.</w:t></w:r></w:rubyBase></w:ruby></w:r></w:p>"
)
OPEN_PARAGRAPHS = (
    "<text:tracked-changes><text:p>Gone</text:p></text:tracked-changes>"
    "<text:h>Grüße &amp; <text:span>你好</text:span></text:h><text:p>Today<text:s/>we<office:annotation><text:p>Really?</text:p>"
    "</office:annotation><text:tab/>learn<text:line-break/>to bake<text:note><text:p>note</text:p></text:note> bread.</text:p>"
)
RTF = (
    rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fnil Helvetica;}}{\colortbl;\red255\green0\blue0;}{\*\generator Writer;}"
    rb"{\info{\title Not spoken}}\pard\f0 Gr\'fc\'dfe & {\b\u20320?\u22909?}\par" b"\r\n"
    rb"Today {\field{\*\fldinst HYPERLINK x}{\fldrslt we}} learn\line to{\pict\pngblip 89504e47}\~bake\uc0\u32 bread.\par}"
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("speech.docx", docx(PARAGRAPHS)),
        ("speech.txt", docx(PARAGRAPHS, STRICT)),
        ("speech.doc", docx(PARAGRAPHS, name="word/document2.xml")),
        ("speech.md", docx(PARAGRAPHS, compression=zipfile.ZIP_STORED)),
        ("speech.odt", odt(OPEN_PARAGRAPHS)),
        ("speech.rtf", RTF),
        ("speech.docx", RTF),
        ("speech.md", "\ufeff# Grüße & 你好\n\nToday **we** [learn](https://x.org/a_b) to\n\n- _bake_\n- `bread.`\n".encode()),
        ("speech.MD", "---\ntitle: x\n---\nGrüße & 你好\n> Today we learn to bake bread.\n\n![oven](oven.png)\n---\n".encode()),
    ],
    ids=["docx", "strict", "document2", "stored", "odt", "rtf", "rtf named docx", "markdown", "front matter"],
)
def test_the_words_are_the_same_in_every_document(tmp_path: Path, name: str, document: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(document)
    assert read_transcript(path).split() == WORDS.split()


def test_paragraphs_are_lines() -> None:
    assert document_text(io.BytesIO(docx("<w:p><w:r><w:t>one</w:t></w:r></w:p><w:p><w:r><w:t>two</w:t></w:r></w:p>"))) == "one\ntwo\n"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb"{\rtf1\ansi\ansicpg936 \'c4\'e3\'ba\'c3}", "你好"),
        (rb"{\rtf1\ansi\uc2\u20320\'c4\'e3\u22909\'ba\'c3!}", "你好!"),
        (rb"{\rtf1\mac Gr\'9f\'a7e}", "Grüße"),
        (rb"{\rtf1 \u-10179?\u-8703?}", "\U0001f601"),
        (rb"{\rtf1 a{\pict\bin5 }}{{b}c}", "ac"),
        (rb"{\rtf1\ansicpg99999 a\{b\}\\c\'zz", "a{b}\\czz"),
        (rb"}}}}{\rtf1 a", "a"),
    ],
)
def test_rtf_in_every_encoding(raw: bytes, expected: str) -> None:
    assert rtf_text(raw) == expected


def bomb(megabytes: int) -> bytes:
    return docx("<w:p><w:r><w:t>" + "a" * (megabytes * 2**20) + "</w:t></w:r></w:p>")


ENTITIES = '<!DOCTYPE w:document [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
HOSTILE = {
    "entities": archive(("word/document.xml", f'<?xml version="1.0"?>{ENTITIES}<w:document {WORD}><w:t>&b;</w:t></w:document>')),
    "external entity": archive(
        ("word/document.xml", '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d xmlns:w="x"><w:t>&x;</w:t></d>')
    ),
    "much text": bomb(2),
    "much XML": docx("<w:p/>" * (MAX_XML_BYTES // 6 + 2)),
    "LZMA": docx(PARAGRAPHS, compression=zipfile.ZIP_LZMA),
    "no document": archive(("Index/Document.iwa", b"\0" * 50)),
    "no XML": archive(("word/document.xml", b"\x89PNG")),
    "half": docx(PARAGRAPHS)[:300],
    "PDF": b"%PDF-1.7\nplain ASCII",
    "old Word": bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 500,
    "large document": docx(PARAGRAPHS) + b"\0" * MAX_DOCUMENT_BYTES,
    "large RTF": RTF + b" " * MAX_RTF_BYTES,
    "large text": b"a" * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_script_is_refused_soon(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "speech.docx"
    path.write_bytes(HOSTILE[kind])
    began = time.process_time()
    with pytest.raises(TranscriptProblem) as refused:
        read_transcript(path)
    assert refused.value.code == WarningCode.SCRIPT_UNREADABLE
    assert time.process_time() - began < 10


def test_the_worst_files_take_seconds() -> None:
    began = time.process_time()
    rtf_text(b"{\\rtf1" + b"{" * (MAX_RTF_BYTES // 8))
    for sign in ("[", "![", "*_", "<", "# ", "---\n", "`"):
        markdown_text(sign * (MAX_BYTES // 8 // len(sign)))
    assert time.process_time() - began < 10


VALID = docx(PARAGRAPHS)


@given(st.integers(0, len(VALID) - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_document_is_read_or_refused(place: int, damage: bytes) -> None:
    with suppress(DocumentError):
        assert len(document_text(io.BytesIO(VALID[:place] + damage + VALID[place + len(damage) :]))) < len(PARAGRAPHS)


@given(st.binary(max_size=80))
def test_any_rtf_is_text(raw: bytes) -> None:
    assert len(rtf_text(b"{\\rtf1 " + raw).encode()) <= 3 * 80


def test_a_locked_document_is_refused(tmp_path: Path) -> None:
    locked = bytearray(VALID)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = locked.find(mark)
        while place >= 0:
            locked[place + offset] |= 1
            place = locked.find(mark, place + 1)
    path = tmp_path / "speech.docx"
    path.write_bytes(locked)
    with pytest.raises(TranscriptProblem):
        read_transcript(path)
