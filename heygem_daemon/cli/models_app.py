"""The commands of `heygem models`; each is executed by commands/models, which is imported only then."""

from pathlib import Path
from typing import Annotated

import typer

from heygem_daemon.cli.arguments import Config, Device, Weights

models_app = typer.Typer(help="The model files: list, fetch, add, verify.", no_args_is_help=True, rich_markup_mode=None)


@models_app.command("list")
def show(config: Config = None, weights: Weights = None) -> None:
    """Show the model files, where they come from, and whether they are here."""
    from heygem_daemon.cli.commands import models
    from heygem_daemon.cli.commands.config import settings_or_exit

    settings = settings_or_exit(config, weights=weights)
    raise typer.Exit(models.show(settings.weights, licence_confirmed=settings.wav2lip.licence_confirmed))


@models_app.command("fetch")
def fetch(config: Config = None, weights: Weights = None) -> None:
    """Fetch the model files that are missing or damaged."""
    from heygem_daemon.cli.commands import models
    from heygem_daemon.cli.commands.config import settings_or_exit

    raise typer.Exit(models.fetch(settings_or_exit(config, weights=weights).weights))


@models_app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="A checkpoint of Wav2Lip as downloaded: .pth, .pt or .safetensors.")],
    name: Annotated[str | None, typer.Option(help="What to call it; else as the file.")] = None,
    config: Config = None,
    weights: Weights = None,
) -> None:
    """Convert a Wav2Lip checkpoint of your own for this server. Nothing in it is executed."""
    from heygem_daemon.cli.commands import models
    from heygem_daemon.cli.commands.config import refuse_root, settings_or_exit

    settings = settings_or_exit(config, weights=weights)
    refuse_root(settings.weights)
    raise typer.Exit(models.add(settings.weights, file, name, licence_confirmed=settings.wav2lip.licence_confirmed))


@models_app.command("calibrate")
def calibrate(
    name: Annotated[str, typer.Argument(help="A checkpoint of Wav2Lip; else the one that jobs get.")] = "",
    clip: Annotated[Path | None, typer.Option(help="A video of somebody speaking, to measure with; else a self-test.")] = None,
    config: Config = None,
    weights: Weights = None,
    device: Device = None,
) -> None:
    """Measure how early or late the mouths of a Wav2Lip checkpoint come. Without it that is done at the first use."""
    from heygem_daemon.cli.commands import models
    from heygem_daemon.cli.commands.config import refuse_root, settings_or_exit

    settings = settings_or_exit(config, weights=weights, device=device)
    refuse_root(settings.weights)
    raise typer.Exit(models.calibrate(settings, name, clip))


@models_app.command("verify")
def verify(config: Config = None, weights: Weights = None) -> None:
    """Compare the model files, and added checkpoints, with their known hashes. Exit 1 when one is missing or damaged."""
    from heygem_daemon.cli.commands import models
    from heygem_daemon.cli.commands.config import settings_or_exit

    raise typer.Exit(models.verify(settings_or_exit(config, weights=weights).weights))
