"""The command line. Nothing heavy is imported before a command needs it: `heygem --help` must answer at once."""

from heygem_daemon.cli.app import app


def main() -> None:
    """Entry point of the console script `heygem`."""
    app()
