"""`make demo-web`: the daemon and the page together on the folders of the demo, until Ctrl-C."""

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.markup import escape

from scripts.demo import (
    CACHE,
    INBOX,
    LOG,
    OUTPUTS,
    STATE,
    WEIGHTS,
    DemoError,
    background,
    console,
    daemon,
    daemon_of,
    heygem,
    put_drop,
)
from scripts.sample_drop import SENTENCES

WEB_STATE: Final = Path(".cache/web")
PAGE_LOG: Final = Path(".cache/demo/page.log")
START_SECONDS: Final = 30.0


def main() -> int:
    """Run daemon and page until Ctrl-C; return 0 then, 1 where one of them ended by itself."""
    parser = argparse.ArgumentParser(prog="make demo-web", description=__doc__)
    parser.add_argument("--port", type=int, default=7860, help="the port of the page")
    parser.add_argument("--drop", type=Path, help="a folder with a recording and videos/; it is copied, never moved")
    parser.add_argument("--voice", choices=sorted(SENTENCES), default="en", help="the language of the sample")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        demo(options.port, options.drop, options.voice)
    except DemoError as problem:
        console.print(f"[red]{escape(str(problem))}[/red]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped. What was not finished goes on with the next `make demo-web`; `make demo-clean` forgets it.", soft_wrap=True)
    return 0


def demo(port: int, own_drop: Path | None, voice: str) -> None:
    """Start both, put the drop into the inbox, print the address, and watch that both live. Raises DemoError where one does not."""
    subprocess.run([*heygem("init-inbox"), str(INBOX)], check=True, stdout=subprocess.DEVNULL)
    require_free(port)
    with ExitStack() as running:
        daemons = [] if daemon_of(INBOX) else [(running.enter_context(daemon()), "daemon", LOG)]
        page = running.enter_context(background("page", heygem("web"), PAGE_LOG, variables(port)))
        name = put_drop(own_drop, voice)
        wait_for(page, port)
        console.print(f"Dropped [bold]{escape(str(INBOX / name))}[/bold]", soft_wrap=True)
        console.print(f"The page: [bold]http://127.0.0.1:{port}/[/bold] (Ctrl-C ends it)", soft_wrap=True)
        watch([*daemons, (page, "page", PAGE_LOG)])


def variables(port: int) -> dict[str, str]:
    """Return the settings of the page, as environment variables: the folders of the demo, and nothing outside the checkout."""
    folders = {"OUTPUTS": OUTPUTS, "STATE": STATE, "CACHE": CACHE, "WEIGHTS": WEIGHTS, "WEB__STATE": WEB_STATE}
    return {
        **{f"HEYGEM_{key}": str(folder.absolute()) for key, folder in folders.items()},
        "HEYGEM_INBOXES": json.dumps([str(INBOX.absolute())]),
        "HEYGEM_WEB__PORT": str(port),
    }


def require_free(port: int) -> None:
    """Raise DemoError where somebody listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            raise DemoError(f"Port {port} cannot be used ({problem.strerror}); another: make demo-web PORT={port + 1}") from None


def wait_for(page: subprocess.Popen[bytes], port: int) -> None:
    """Return when the page answers. Raises DemoError where it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if page.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise DemoError(f"The page did not come up. The end of its log:\n{end_of(PAGE_LOG)}")


def watch(programs: list[tuple[subprocess.Popen[bytes], str, Path]]) -> None:
    """Wait until one of the programs ends by itself, and raise DemoError with the end of its log."""
    while True:
        for process, name, log in programs:
            if process.poll() is not None:
                raise DemoError(f"The {name} ended. The end of its log ({log}):\n{end_of(log)}")
        time.sleep(0.2)


def end_of(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])


if __name__ == "__main__":
    sys.exit(main())
