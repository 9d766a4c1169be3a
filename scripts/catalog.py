"""Write systemd/heygem.catalog, what `journalctl -x` explains, from the log events: `make docs`."""

import re
import textwrap
from pathlib import Path
from typing import Final

from heygem_daemon.service.events import EVENTS, Event
from heygem_daemon.service.journal import field_name

CATALOG: Final = Path(__file__).parents[1] / "systemd" / "heygem.catalog"

HEAD: Final = """# What `journalctl -x` explains beneath the lines of heygem. Generated from heygem_daemon/service/events.py by `make docs`.
# Lies in /usr/lib/systemd/catalog/; `journalctl --update-catalog` makes journald know it.
"""
WIDTH: Final = 78
_FIELD: Final = re.compile(r"\{(\w+)\}")
_COMMAND: Final = re.compile(r"`[^`]+`")
_GLUE: Final = "\x00"


def catalog() -> str:
    """Return the text of the catalog, in the format of https://systemd.io/CATALOG."""
    return "\n".join([HEAD, *(_entry(event) for event in EVENTS.values())])


def _entry(event: Event) -> str:
    head = [f"-- {event.message_id}", f"Subject: {event.summary}", "Defined-By: heygem", "Documentation: man:heygem(1)"]
    return "\n".join([*head, "", *_wrap(_FIELD.sub(lambda found: f"@{field_name(found[1])}@", event.explanation)), ""])


def _wrap(text: str) -> list[str]:
    """Break the text into lines, but no command in it: it is there to be copied."""
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", _GLUE), text)
    lines = textwrap.wrap(whole, WIDTH, break_on_hyphens=False, break_long_words=False)
    return [line.replace(_GLUE, " ") for line in lines]


if __name__ == "__main__":
    CATALOG.write_text(catalog(), encoding="utf-8")
