"""Options and arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).", envvar="HEYGEM_CONFIG")]
# parser=Path: typer's own would look at each path, and so hang on a dead share, and refuse one that cannot be read.
Inboxes = Annotated[list[Path] | None, typer.Option(parser=Path, help="Watched folder.")]
OneInbox = Annotated[list[Path] | None, typer.Option(parser=Path, help="Only this inbox.")]
Outputs = Annotated[Path | None, typer.Option(parser=Path, help="Folder of the results.")]
State = Annotated[Path | None, typer.Option(parser=Path, help="Folder of the ledger, on a local disk.")]
Weights = Annotated[Path | None, typer.Option(parser=Path, help="Folder of the model files.")]
Cache = Annotated[Path | None, typer.Option(parser=Path, help="Folder of the learned presenters.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N.")]
JobName = Annotated[str, typer.Argument(help="Name or id of a job, as `heygem status` shows it.")]
