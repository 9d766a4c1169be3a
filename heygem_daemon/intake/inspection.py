"""`python -m heygem_daemon.intake.inspection CACHE`: checks files for the daemon, which opens no media itself.

Requests arrive on standard input, answers leave on standard output.

Each request has a thread: the daemon asks only for as many at once as it wants to run, and on a frozen share a thread may hang for ever.
"""

import errno
import os
import signal
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from heygem_daemon.core.errors import HeygemError, error, unforeseen
from heygem_daemon.intake.file_check import FileChecks
from heygem_daemon.intake.inspection_protocol import FileAnswer, FileRequest
from heygem_daemon.processes import prefer_for_memory


def main() -> None:
    """Answer until the end of the requests: the daemon has closed its end, or is gone."""
    prefer_for_memory()
    target = os.dup(1)
    os.dup2(2, 1)
    # A function, not SIG_IGN, which ffmpeg would inherit: the service manager signals the whole group, and the daemon ends us.
    signal.signal(signal.SIGTERM, lambda *_: None)
    serve(sys.stdin.buffer, os.fdopen(target, "wb", buffering=0), Path(sys.argv[1]))
    os._exit(0)  # whatever still hangs


def serve(source: BinaryIO, target: BinaryIO, cache: Path) -> None:
    """Answer every request of `source` on `target`, in the order in which the answers are found. cache: see FileChecks."""
    lock = threading.Lock()
    checks: dict[str, FileChecks] = {}

    def answer(request: FileRequest) -> None:
        line = _answer(request, checks[request.inbox]).encode()
        with lock:
            target.write(line)

    for line in iter(source.readline, b""):
        request = FileRequest.decode(line)
        checks.setdefault(request.inbox, FileChecks(cache))
        try:
            threading.Thread(target=answer, args=(request,), daemon=True).start()
        except RuntimeError as problem:
            refused = FileAnswer.failed(request.number, error("server_short", program="the inspection", problem=str(problem))).encode()
            with lock:
                target.write(refused)


def _answer(request: FileRequest, checks: FileChecks) -> FileAnswer:
    """Return the answer to a request. Whatever a file makes the libraries raise becomes its error."""
    try:
        seconds = checks.seconds(Path(request.path), request.limits, is_video=request.is_video)
        return FileAnswer(number=request.number, seconds=seconds)
    except HeygemError as problem:
        return FileAnswer.failed(request.number, problem)
    except MemoryError:
        return FileAnswer.failed(request.number, error("server_short", program="the inspection", problem=os.strerror(errno.ENOMEM)))
    except Exception as problem:  # noqa: BLE001 - the border: one file must not take the answers of others with it
        return FileAnswer.failed(request.number, unforeseen(problem))


if __name__ == "__main__":
    main()
