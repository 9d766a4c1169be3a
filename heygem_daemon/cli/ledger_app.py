"""The commands of `heygem ledger`; each is executed by commands/ledger, which is imported only then."""

from typing import Annotated

import typer

from heygem_daemon.cli.arguments import Config, Inboxes, Outputs, State

ledger_app = typer.Typer(help="The ledger: the queue and the history of jobs.", no_args_is_help=True, rich_markup_mode=None)


@ledger_app.callback()
def _ledger() -> None: ...


@ledger_app.command("rebuild")
def rebuild(
    config: Config = None,
    inbox: Inboxes = None,
    outputs: Outputs = None,
    state: State = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Make the ledger again from the folders, while the daemon is stopped: claimed jobs go back into the queue, finished ones into the
    history. What the ledger knows is kept, nothing is made twice, and the old file stays beside the new one."""
    from heygem_daemon.cli.commands import ledger
    from heygem_daemon.cli.commands.config import refuse_root, settings_or_exit

    settings = settings_or_exit(config, inbox=inbox, outputs=outputs, state=state)
    refuse_root(settings.state)
    raise typer.Exit(ledger.rebuild(settings, as_json=as_json))
