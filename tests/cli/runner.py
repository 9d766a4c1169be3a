"""Call `heygem`: in this process, where a test is about the command's logic, or as a program of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from typer.testing import CliRunner

from heygem_daemon.cli.app import app


@dataclass(frozen=True, kw_only=True)
class Result:
    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def heygem(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    """Call a command in this process; raise what it raises."""
    result = CliRunner().invoke(app, arguments, env=environment, prog_name="heygem", catch_exceptions=False)
    return Result(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)


def heygem_program(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    """Start a command as a person does; an error in it shows as a traceback."""
    command = (sys.executable, "-m", "heygem_daemon", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **(environment or {})})
    return Result(code=done.returncode, stdout=done.stdout, stderr=done.stderr)
