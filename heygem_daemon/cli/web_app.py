"""The commands of `heygem web`; each is executed by commands/web, which is imported only then."""

from pathlib import Path
from typing import Annotated

import typer

from heygem_daemon.cli.arguments import Config, Inboxes, Outputs

web_app = typer.Typer(help="The page and the HTTP interface: run it; its users and tokens.", rich_markup_mode=None)
user_app = typer.Typer(help="Who may log in to the page.", no_args_is_help=True, rich_markup_mode=None)
token_app = typer.Typer(help="Tokens for scripts that use the HTTP interface.", no_args_is_help=True, rich_markup_mode=None)
web_app.add_typer(user_app, name="user")
web_app.add_typer(token_app, name="token")

Name = Annotated[str, typer.Argument(help="1 to 64 letters, digits and . _ - @")]
Admin = Annotated[bool, typer.Option("--admin", help="May see all jobs, and pause the queue.")]


@web_app.callback(invoke_without_command=True)
def web(
    context: typer.Context,
    config: Config = None,
    address: Annotated[str | None, typer.Option(help="The address to listen on; 127.0.0.1 lets only this machine in.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The port to listen on.")] = None,
    inbox: Inboxes = None,
    outputs: Outputs = None,
) -> None:
    """Run the page and the HTTP interface, until a signal comes."""
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    from heygem_daemon.cli.commands import web as commands
    from heygem_daemon.cli.commands.config import settings_or_exit

    settings = settings_or_exit(config, inbox=inbox, outputs=outputs)
    raise typer.Exit(commands.run(settings, address=address, port=port))


@user_app.command("add")
def add_user(
    context: typer.Context,
    name: Name,
    admin: Admin = False,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")] = False,
    config: Config = None,
) -> None:
    """Add a user, or give one a new password and rights, which ends his sessions. Asks for the password."""
    from heygem_daemon.cli.commands import web as commands

    raise typer.Exit(commands.add_user(_state(context, config), name, admin=admin, from_stdin=password_stdin))


@user_app.command("remove")
def remove_user(context: typer.Context, name: Name, config: Config = None) -> None:
    """Remove a user, with his sessions and tokens. His jobs stay."""
    from heygem_daemon.cli.commands import web as commands

    raise typer.Exit(commands.remove_user(_state(context, config), name))


@user_app.command("list")
def list_users(context: typer.Context, config: Config = None) -> None:
    """Show the users."""
    from heygem_daemon.cli.commands import web as commands

    raise typer.Exit(commands.list_users(_state(context, config)))


@token_app.command("add")
def add_token(
    context: typer.Context,
    name: Name,
    user: Annotated[str, typer.Option(help="The user that it acts as; else it has jobs of its own, under its name.")] = "",
    admin: Admin = False,
    config: Config = None,
) -> None:
    """Make a token and print it, once: only its hash is kept."""
    from heygem_daemon.cli.commands import web as commands

    raise typer.Exit(commands.add_token(_state(context, config), name, user=user, admin=admin))


@token_app.command("remove")
def remove_token(context: typer.Context, name: Name, config: Config = None) -> None:
    """Remove a token; it is refused from now on."""
    from heygem_daemon.cli.commands import web as commands

    raise typer.Exit(commands.remove_token(_state(context, config), name))


@token_app.command("list")
def list_tokens(context: typer.Context, config: Config = None) -> None:
    """Show the tokens, each with its last four characters."""
    from heygem_daemon.cli.commands import web as commands

    raise typer.Exit(commands.list_tokens(_state(context, config)))


def _state(context: typer.Context, config: Path | None) -> Path:
    """Return the state folder of the page; `--config` may stand before or after the command."""
    from heygem_daemon.cli.commands.config import settings_or_exit

    return settings_or_exit(config or context.obj).web.state.absolute()
