"""Options and arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from heygem_daemon.core.job_options import CHANNEL, MIN_SECONDS


def _channel(text: str) -> str:
    if not CHANNEL.fullmatch(text):
        raise typer.BadParameter("left, right, mix, or a number counted from 1")
    return text


Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).", envvar="HEYGEM_CONFIG")]
# parser=Path: typer's own would look at each path, and so hang on a dead share, and refuse one that cannot be read.
Inboxes = Annotated[list[Path] | None, typer.Option(parser=Path, help="Watched folder.")]
OneInbox = Annotated[list[Path] | None, typer.Option(parser=Path, help="Only this inbox.")]
Outputs = Annotated[Path | None, typer.Option(parser=Path, help="Folder of the results.")]
State = Annotated[Path | None, typer.Option(parser=Path, help="Folder of the ledger, on a local disk.")]
Weights = Annotated[Path | None, typer.Option(parser=Path, help="Folder of the model files.")]
Cache = Annotated[Path | None, typer.Option(parser=Path, help="Folder of the learned presenters.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N.")]
Channel = Annotated[
    str | None, typer.Option(parser=_channel, help="The channel of the track that is spoken: left, right, mix, or 1, 2 ...")
]
FirstSeconds = Annotated[float | None, typer.Option(min=MIN_SECONDS, help="A trial: render only so many seconds of the beginning.")]
JobName = Annotated[str, typer.Argument(help="Name or id of a job, as `heygem status` shows it.")]
