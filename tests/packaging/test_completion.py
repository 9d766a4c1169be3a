"""share/completion, loaded by the real shells: what is offered after the words that were typed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

COMPLETE_IN_BASH: Final = """
. "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
$(complete -p heygem | sed 's/.*-F \\([^ ]*\\) .*/\\1/') heygem
printf '%s\\n' "${COMPREPLY[@]}"
"""
COMPLETE_IN_ZSH: Final = """
_arguments() { print -l -- "$@" }
_files() { print FILES }
script=$1; shift
words=("$@") CURRENT=$#
. $script
"""
COMPLETE_IN_FISH: Final = 'source $argv[1]; complete --do-complete "$argv[2..]"'


@pytest.fixture
def environment() -> dict[str, str]:
    """The program on the path, as after an installation."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def complete(shell: str, root: Path, environment: dict[str, str], *words: str) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = str(root / "share" / "completion" / f"heygem.{shell}")
    command = {
        "bash": ("bash", "--norc", "-c", COMPLETE_IN_BASH, "bash", script, *words),
        "zsh": ("zsh", "-f", "-c", COMPLETE_IN_ZSH, "zsh", script, *words),
        "fish": ("fish", "--no-config", "-c", COMPLETE_IN_FISH, script, *words),
    }[shell]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed(shell: str, root: Path, environment: dict[str, str]) -> None:
    offered = complete(shell, root, environment, "heygem", "s")
    assert "status" in offered
    assert "sweep" in offered
    assert "render" not in offered


@pytest.mark.family(3)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_of_commands_are_completed(shell: str, root: Path, environment: dict[str, str]) -> None:
    offered = complete(shell, root, environment, "heygem", "models", "f")
    assert "fetch" in offered
    assert "verify" not in offered


@pytest.mark.family(3)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_options_are_completed(shell: str, root: Path, environment: dict[str, str]) -> None:
    offered = complete(shell, root, environment, "heygem", "run", "--until")
    assert "--until-idle" in offered
    assert "--inbox" not in offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_files_are_offered_where_the_program_has_no_completion(
    shell: str, root: Path, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "speech.wav").touch()
    monkeypatch.chdir(tmp_path)
    offered = complete(shell, root, environment, "heygem", "render", "spee")
    expected = {"bash": "", "zsh": "FILES", "fish": "speech.wav"}  # bash: `complete -o default`
    assert offered.strip() == expected[shell]
