"""`heygem models`."""

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from heygem_daemon.cli.app import Exit
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.lipsync import models


def show(directory: Path) -> Exit:
    table = Table("name", "purpose", "licence", "source", "sha256", "state")
    for finding in models.verify(directory):
        model = finding.model
        table.add_row(model.name, model.purpose, model.licence, model.source, model.sha256[:12], finding.problem or "ok")
    Console().print(f"Models in {directory}", table)
    return Exit.OK


def fetch(directory: Path) -> Exit:
    try:
        paths = models.fetch(directory, on_step=typer.echo)
    except HeygemError as problem:
        typer.echo(f"heygem: {problem.message}\n        {problem.hint}", err=True)
        return Exit.PROBLEM
    for path in paths:
        typer.echo(f"{path}: ok")
    return Exit.OK


def verify(directory: Path) -> Exit:
    findings = models.verify(directory)
    for finding in findings:
        typer.echo(f"{finding.path}: {finding.problem or 'ok'}")
    if all(finding.is_right for finding in findings):
        return Exit.OK
    typer.echo("Run `heygem models fetch`.", err=True)
    return Exit.PROBLEM
