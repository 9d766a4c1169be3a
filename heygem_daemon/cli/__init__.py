"""The command line. Nothing heavy is imported before a command needs it: `heygem --help` must answer at once."""

import os
import signal

_INTERRUPTED = 130
"""What a shell returns for a program that Ctrl-C ended."""


def main() -> None:
    """Entry point of the console script `heygem`. Ctrl-C ends it without a traceback at any moment, also while it loads or ends."""
    try:
        from heygem_daemon.cli.app import app  # noqa: PLC0415 - loading takes a while, and Ctrl-C may come meanwhile

        app()
    except KeyboardInterrupt:
        os._exit(_INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
