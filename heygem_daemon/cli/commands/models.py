"""`heygem models`: the model files and the checkpoints of Wav2Lip."""

from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.lipsync import model_files
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.checkpoints.store import Checkpoint
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import wav2lip_options

ENGINES: Final = "wav2lip, wav2lip+atlas"


def show(directory: Path, *, licence_confirmed: bool) -> ExitCode:
    """Print the model files and checkpoints. licence_confirmed: whether the configuration confirms the licence of the checkpoints."""
    table = Table("name", "purpose", "licence", "source", "sha256", "state")
    for finding in model_files.verify(directory):
        model = finding.model
        table.add_row(model.name, model.purpose, model.licence, model.source, model.sha256[:12], finding.problem or "ok")
    Console().print(f"Models in {directory}", table)
    if checkpoints := store.checkpoints(directory):
        Console().print("Checkpoints of Wav2Lip", _table(checkpoints, licence_confirmed=licence_confirmed))
    return ExitCode.OK


def _table(checkpoints: list[Checkpoint], *, licence_confirmed: bool) -> Table:
    table = Table("name", "engines", "size", "sha256", "source", "licence", "mouth offset", "state")
    licence = f"research only, {'confirmed' if licence_confirmed else 'not confirmed'}"
    for each in checkpoints:
        offset = store.measured_offset(each)
        table.add_row(
            *(each.name, ENGINES, _megabytes(each.size), each.sha256[:12], each.source, licence),
            *(offset if isinstance(offset, str) else f"{offset:+.0f} ms", each.problem or "ok"),
        )
    return table


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def add(directory: Path, file: Path, name: str | None, *, licence_confirmed: bool) -> ExitCode:
    """Convert a checkpoint of Wav2Lip into `directory`; print what it is and what to do next."""
    try:
        added = store.add(directory, file, name, on_step=typer.echo)
    except HeygemError as problem:
        return _fail(problem)
    typer.echo(f"It is a Wav2Lip generator of 96 x 96 pixels ({added.kind}, {_megabytes(added.size)}, sha256 {added.sha256}).")
    typer.echo(f"Its name here is {added.name}: {added.path}")
    typer.echo(store.LICENCE)
    if not licence_confirmed:
        typer.echo("Next: if your use keeps to the licence, set licence_confirmed = true under [wav2lip] in heygem.toml.")
    typer.echo('Then use it with engine = "wav2lip" or engine = "wav2lip+atlas".')
    return ExitCode.OK


def calibrate(settings: Settings, name: str, clip: Path | None) -> ExitCode:
    """Measure how early or late the mouths of a checkpoint come, and store it."""
    from heygem_daemon.lipsync.device import choose_device  # noqa: PLC0415  (torch is slow to import)
    from heygem_daemon.lipsync.wav2lip.loading import measure  # noqa: PLC0415

    options = wav2lip_options(settings)
    device = choose_device(settings.engine.device.split(",")[0])
    typer.echo("Measuring; on a CPU that takes a minute")
    try:
        checkpoint, found = measure(settings.weights, device, name or options.checkpoint, clip, licence_confirmed=options.licence_confirmed)
    except HeygemError as problem:
        return _fail(problem)
    if found is None:
        typer.echo("The self-test speaks with espeak-ng, which is not installed: apt-get install espeak-ng, or give a --clip.", err=True)
        return ExitCode.PROBLEM
    typer.echo(f"{checkpoint.name}, measured with {found.measured_with}: r = {found.r:.2f}")
    if found.offset_ms is None:
        typer.echo(
            "Its mouth does not follow the speech: jobs get a warning, and with wav2lip+atlas the server's own driver speaks.", err=True
        )
        return ExitCode.PROBLEM
    typer.echo(
        f"Its mouths come {abs(found.offset_ms):.0f} ms {'late' if found.offset_ms > 0 else 'early'}; that is taken off from now on."
    )
    return ExitCode.OK


def fetch(directory: Path) -> ExitCode:
    try:
        paths = model_files.fetch(directory, on_step=typer.echo)
    except HeygemError as problem:
        return _fail(problem)
    for path in paths:
        typer.echo(f"{path}: ok")
    return ExitCode.OK


def verify(directory: Path) -> ExitCode:
    findings = model_files.verify(directory)
    checkpoints = [store.verified(each) for each in store.checkpoints(directory)]
    for finding in findings:
        typer.echo(f"{finding.path}: {finding.problem or 'ok'}")
    for each in checkpoints:
        typer.echo(f"{each.path}: {each.problem or 'ok'}")
    if not all(finding.is_valid for finding in findings):
        typer.echo("Run `heygem models fetch`.", err=True)
    for each in checkpoints:
        if not each.is_usable:
            typer.echo(f"Run `heygem models add FILE --name {each.name}` with the original file.", err=True)
    is_valid = all(finding.is_valid for finding in findings) and all(each.is_usable for each in checkpoints)
    return ExitCode.OK if is_valid else ExitCode.PROBLEM


def _fail(problem: HeygemError) -> ExitCode:
    typer.echo(f"heygem: {problem.message}\n        {problem.hint}", err=True)
    return ExitCode.PROBLEM
