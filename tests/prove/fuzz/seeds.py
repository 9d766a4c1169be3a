"""Proper inputs of every target, from which a fuzzer starts."""

import io
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Final

from heygem_daemon.core.job import State
from heygem_daemon.core.status import DaemonStatus, InboxStatus
from heygem_daemon.intake.inspection_protocol import FileAnswer, FileRequest
from heygem_daemon.ledger.documents import item_document, job_document
from heygem_daemon.media.types import DEFAULT_LIMITS
from tests.core.making import item, job
from tests.prove.hostile_seeds import seeds as media
from tests.web.site import NOW, job_status


def _job_toml() -> list[bytes]:
    return [
        b'engine = "rewrite"\npriority = 5\nfit = "video"\nface = "left"\nquality = 20\n',
        b'text = """Good morning."""\nlanguage = "en"\nlabel = true\nzip = true\nfirst_seconds = 9.5\n',
        b'faces = { "teacher-a.mp4" = "left", "b.mov" = 2 }\nbackground = "#a0b1c2"\nchannels = "keep"\ntrack = 2\nchannel = "left"\n',
        b'[[a.b]]\nc = [1, [2, {d = 1979-05-27T07:32:00Z}]]\n"\\u0041" = 0x1f\ne = inf\n',
        b'owner = "anna"\nreference = "2024/1"\nconsent = "yes"\nundriven_limit = 0.5\n',
    ]


def _names() -> list[bytes]:
    return [
        "lesson-01\nLektion Ä\n课程 一\nx.hold\nPAUSE\n.part\n~$a.docx\nCON\na.b.c".encode(),
        b"\xff\xfe\na\x1b[2J\nvideos/a.mp4\nvideos/A.MP4\nvideos/a.mov\n" + b"x" * 255,
        "e\u0301\n\u202egnp.exe\n👩‍🏫.mp4\n..\n.\n-rf\n%00".encode(),
    ]


def _drops() -> list[bytes]:
    return [
        b"\x00\x01speech.wav\n\x00\x02videos/a.mp4\n\x00\x01videos/b.mov\n\x00\x01job.toml\n\0\npriority = 3\n",
        b"\x00\x01audios/en.wav\n\x00\x01audios/fr.mp3\n\x00\x02videos/a.mp4\n\x00\x01audios/en.srt\n",
        b"\x01\x01speech.wav\n\x02\x02videos/a.mp4\n\x00\x01a/b/c/d.txt\n\x00\x00videos/.part\n",
        b"\x00\x01speech.mp3\n\x00\x01voice.wav\n\x00\x01speech.docx\n\x00\xffvideos/x.webm\n\x00\x01playlist.m3u8\n",
    ]


def _controls() -> list[bytes]:
    return [b"lesson.hold\n", b"lesson.priority\n 50 \n", b"PAUSE.txt\n", b"x.cancel.txt\n-100", b"lesson.ready\n\xef\xbb\xbf7"]


def _rows() -> list[bytes]:
    made = job(item())
    return ["\n".join([job_document(made), *map(item_document, made.items)]).encode()]


def _records() -> list[bytes]:
    return [
        json.dumps({"job": "lesson-1", "name": "lesson", "flat": False}).encode(),
        json.dumps({"job": "lesson-1", "name": "", "flat": True, "wrapped": False}).encode(),
        b"[" * 20_000,
    ]


def _lines() -> list[bytes]:
    request = FileRequest(number=1, inbox="/in", path="/in/a.mp4", is_video=True, limits=DEFAULT_LIMITS)
    return [
        request.encode(),
        FileAnswer(number=2, seconds=3.5).encode(),
        FileAnswer(number=2, code="no_face", message="a", hint="b").encode(),
        b'{"type":"beat"}',
        b'{"type":"ready","device":"cpu","pid":3}',
        b'{"type":"failed","token":"a","kind":"input","failure":{"code":"no_face","message":"m","hint":"h"}}',
        b"[" * 20_000,
    ]


def _headers() -> list[bytes]:
    return [
        b"filename bGVzc29u,role cmVjb3JkaW5n,draft YWJj",
        b"sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        b'bytes=0-99\n"a", W/"b", *\nTue, 15 Nov 1994 08:12:31 GMT\nTue, 15 Nov 1994 08:12:31 GMT\n"x"',
        b"bytes=-5\n*\n\n\nTue, 15 Nov 1994 08:12:31 GMT",
        b"12345678901234567",
    ]


def _scripts() -> list[bytes]:
    return [
        b"Good morning. This is the first lesson.",
        b"---\ntitle: a\n---\n# Heading\n\n* one [link](http://a.b) ![image](c.png) `code`\n",
        b"1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i> {\\an8}there\n\n2\n00:00:03,000 --> 00:00:04,000\n- Bye\n",
        b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello &amp; bye\n",
        b"[Script Info]\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\i1}Hello\\Nthere\n",
        b"[ar: A]\n[00:12.30] Hello\n[00:13.30] there\n",
        b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 A;}}\\f0 Hello \\u228?\\'e4 there\\par \\bin3 abc {\\*\\x y}}",
        "你好世界 מה שלומך".encode("utf-16"),
        _document(),
    ]


def _document() -> bytes:
    import zipfile  # noqa: PLC0415

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", '<w:document xmlns:w="w"><w:p><w:r><w:t>Hello</w:t><w:tab/></w:r></w:p></w:document>')
    return packed.getvalue()


def _pickles() -> list[bytes]:
    head = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return [
        pickle.dumps({"state_dict": {"face_encoder_blocks.0.0.conv_block.0.weight": [1.0, 2.0]}}, protocol=2),
        b"\x80\x02c__torch__.torch.nn\nModule\nq\x00)\x81}(X\x01\x00\x00\x00aKaub.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x10tQK\x00K\x04\x85K\x01\x85\x89c"
        b"collections\nOrderedDict\n)RtR.",
        bytes.fromhex("80028a0a6cfc9c46f9206aa850192e") + b"\x80\x02M\xe9\x03.\x80\x02}.",
        len(head).to_bytes(8, "little") + head + bytes(4),
        b"<!DOCTYPE html><html>",
    ]


def _statuses() -> list[bytes]:
    return [job_status("lesson").to_json().encode(), job_status("lesson", state=State.RUNNING).to_json().encode()]


def _daemons() -> list[bytes]:
    status = DaemonStatus(
        version="1", state="running", pid=1, started=NOW, heartbeat=NOW, jobs=(), inboxes=(InboxStatus(path='/in"box\n', online=True),)
    )
    return [status.to_json().encode()]


def _containers() -> list[bytes]:
    return [content[:20_000] for content in media().values()]


SEEDS: Final[Mapping[str, Callable[[], list[bytes]]]] = {
    "job_toml": _job_toml,
    "names": _names,
    "recogniser": _drops,
    "control_files": _controls,
    "status": _statuses,
    "metrics": _daemons,
    "ledger": _rows,
    "records": _records,
    "protocols": _lines,
    "headers": _headers,
    "containers": _containers,
    "scripts": _scripts,
    "checkpoints": _pickles,
}

__all__ = ["SEEDS"]
