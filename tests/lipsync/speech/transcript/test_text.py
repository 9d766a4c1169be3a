"""Script files are read in the encodings that people use, and nothing else is."""

import errno
import os
from pathlib import Path

import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem
from heygem_daemon.lipsync.speech.transcript.text import MAX_BYTES, plain_text, read_transcript, transcript_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_script_may_be_utf_8_or_utf_16_with_or_without_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "speech.txt"
    path.write_bytes("Grüße, 你好".encode(encoding))
    assert read_transcript(path) == "Grüße, 你好"


@pytest.mark.parametrize(
    "content", ["Grüße".encode("latin-1"), "你好".encode("gb18030"), "hello".encode("utf-16-le"), b"a" * (MAX_BYTES + 1)]
)
def test_another_encoding_and_a_huge_file_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "speech.txt"
    path.write_bytes(content)
    with pytest.raises(TranscriptProblem) as refused:
        read_transcript(path)
    assert refused.value.code == WarningCode.SCRIPT_UNREADABLE


def test_a_link_a_pipe_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to("secret.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.txt").mkdir()
    for name in ("link.txt", "pipe.txt", "folder.txt", "missing.txt"):
        with pytest.raises(TranscriptProblem):
            read_transcript(tmp_path / name)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EIO, "io_error"), (errno.ESTALE, "io_error"), (errno.EMFILE, "server_short"), (errno.ENOMEM, "server_short")],
)
@pytest.mark.parametrize("call", ["open", "fstat"])
def test_a_share_that_fails_says_nothing_about_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, call: str
) -> None:
    path = tmp_path / "speech.txt"
    path.write_text("Hello", encoding="utf-8")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"heygem_daemon.lipsync.speech.transcript.text.os.{call}", fail)
    with pytest.raises(TransientError, match=os.strerror(number)) as caught:
        read_transcript(path)
    monkeypatch.undo()
    assert caught.value.code == code


def test_a_script_whose_folder_is_gone_waits_for_its_share(tmp_path: Path) -> None:
    with pytest.raises(TransientError) as caught:
        read_transcript(tmp_path / "gone" / "speech.txt")
    assert caught.value.code == "io_error"


def test_the_text_of_job_toml_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "speech.txt"
    path.write_text("from the file", encoding="utf-8")
    assert transcript_text("from job.toml", path) == "from job.toml"
    assert transcript_text(None, path) == "from the file"
    assert transcript_text(None, None) is None


def test_what_espeak_reads_as_phonemes_or_commands_is_removed() -> None:
    assert "[" not in plain_text("say [[h@loU]] \x00\x07now\ud800")
    assert plain_text(" a\u200bb\ufeff ").replace(" ", "") == "ab"
