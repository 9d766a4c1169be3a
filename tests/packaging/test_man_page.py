"""share/man/heygem.1: current, correct, and complete."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from heygem_daemon.cli.app import app
from heygem_daemon.settings import setting_paths
from scripts.man_page import PAGE, escaped, man_page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == man_page(), "run `make docs`"


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_the_page_is_without_mistakes() -> None:
    done = subprocess.run(("mandoc", "-Tlint", "-Wwarning", str(PAGE)), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.fixture(scope="module")
def words() -> str:
    """The page as a reader sees it, in one line."""
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    done = subprocess.run(("mandoc", "-Tascii", "-Owidth=1000", str(PAGE)), capture_output=True, text=True, check=True, timeout=60).stdout
    return re.sub(r".\x08", "", done)


def test_every_command_has_its_section(words: str) -> None:
    names = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    sections = set(re.findall(r"^ +heygem ([a-z-]+)", words, flags=re.MULTILINE))
    assert names <= sections
    assert "heygem models fetch" in words


def test_every_setting_has_its_variable(words: str) -> None:
    assert {"HEYGEM_" + "__".join(path).upper() for path in setting_paths()} <= set(re.findall(r"HEYGEM_[A-Z0-9_]+", words))


def test_options_are_written_as_they_are_typed(words: str) -> None:
    assert "--until-idle" in words
    assert "-o, --out OUT" in words


def test_the_codes_are_those_of_the_shell(words: str) -> None:
    assert re.search(r"^ +2 +wrong usage or configuration$", words, flags=re.MULTILINE)


@pytest.mark.parametrize(("text", "roff"), [("a-b", r"a\-b"), (".hold waits", r"\&.hold waits"), ("'tis", r"\&'tis"), ("C:\\x", r"C:\ex")])
def test_text_is_no_command_of_roff(text: str, roff: str) -> None:
    assert escaped(text) == roff


def test_the_commands_of_the_journal_are_those_of_its_page(root: Path, words: str) -> None:
    page = (root / "docs" / "journal.md").read_text(encoding="utf-8")
    commands = [" ".join(each.split()) for each in re.findall(r"journalctl -u heygem [^\n]*", words)]
    assert len(commands) == 4
    assert [command for command in commands if command not in page] == []
