"""Log what Python would print by itself: the end of a thread by an exception, an exception in a destructor, a warning."""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from heygem_daemon.core.ports import Log

LINE_CHARACTERS: Final = 2000


@contextmanager
def logged_by(log: Log) -> Iterator[None]:
    """Send them to `log` while the block runs."""
    before = threading.excepthook, sys.unraisablehook

    def on_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            name = args.thread.name if args.thread is not None else "a thread"
            log("internal_error", level="error", part=name, exc_info=args.exc_value)

    def on_unraisable(args: "sys.UnraisableHookArgs") -> None:
        part = f"{args.err_msg or 'Exception ignored in'}: {args.object!r}"[:LINE_CHARACTERS]
        log("internal_error", level="error", part=part, exc_info=args.exc_value)

    def on_warning(  # noqa: PLR0917 - the signature of warnings.showwarning
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
    ) -> None:
        del file, line
        log("library_output", level="warning", source=f"{filename}:{lineno}", line=f"{category.__name__}: {message}"[:LINE_CHARACTERS])

    threading.excepthook, sys.unraisablehook = on_thread, on_unraisable
    with warnings.catch_warnings():
        warnings.showwarning = on_warning
        try:
            yield
        finally:
            threading.excepthook, sys.unraisablehook = before
