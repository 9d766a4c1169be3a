"""Write share/man/heygem.1 from the commands of the program and the hand-written share/man/heygem.1.in: `make docs`."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from heygem_daemon.cli.app import app
from heygem_daemon.cli.exit_codes import MEANINGS
from heygem_daemon.settings import ENVIRONMENT_PREFIX, setting_paths

FOLDER: Final = Path(__file__).parents[1] / "share" / "man"
PAGE: Final = FOLDER / "heygem.1"
FRAME: Final = FOLDER / "heygem.1.in"
OFTEN: Final = 3
"""An option that so many commands take in the same words is explained once."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option or argument: how it is written, and what it means."""

    names: tuple[str, ...]
    value: str
    meaning: str

    @property
    def key(self) -> tuple[str, str]:
        return " ".join(self.names), self.meaning

    def heading(self) -> str:
        """Return it in roff: what is typed as it stands is bold, what it stands for is italic."""
        value = rf" \fI{escaped(self.value)}\fR" if self.value else ""
        return (", ".join(rf"\fB{escaped(name)}\fR" for name in self.names) + value).strip()


@dataclass(frozen=True, kw_only=True)
class Command:
    name: str
    meaning: str
    arguments: tuple[str, ...]
    options: tuple[Option, ...]


def man_page() -> str:
    """Return the page. Raises ValueError where an exit code is not explained."""
    commands = list(_commands(get_command(app), "heygem"))
    uses = Counter(option.key for command in commands for option in command.options if option.names)
    common = {key for key, count in uses.items() if count >= OFTEN}
    parts = {
        "COMMANDS": "\n".join(_section(command, common) for command in commands),
        "OPTIONS": _entries(_unique(option for command in commands for option in command.options if option.key in common)),
        "EXIT_STATUS": _exit_status(),
        "VARIABLES": ", ".join(rf"\fB{escaped(ENVIRONMENT_PREFIX + '__'.join(path).upper())}\fR" for path in setting_paths()),
    }
    return re.sub(r"^@([A-Z_]+)@$", lambda found: parts[found[1]], FRAME.read_text(encoding="utf-8"), flags=re.MULTILINE)


def escaped(text: str) -> str:
    """Return the text as roff: backslashes are no commands, hyphens are those that are typed, no line begins with a control character."""
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", r"\e").replace("-", r"\-"))


def _commands(group: Any, path: str) -> Iterator[Command]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
            continue
        arguments = [parameter for parameter in command.params if not parameter.opts[0].startswith("-")]
        options = [parameter for parameter in command.params if parameter.opts[0].startswith("-")]
        yield Command(
            name=f"{path} {name}",
            meaning=" ".join((command.help or "").split()),
            arguments=tuple(map(_argument, arguments)),
            options=(*map(_explained, arguments), *map(_option, options)),
        )


def _argument(parameter: Any) -> str:
    shown = rf"\fI{escaped(_singular(parameter))}\fR" + (" ..." if parameter.nargs == -1 else "")
    return shown if parameter.required else f"[{shown}]"


def _singular(parameter: Any) -> str:
    name = str(parameter.name).upper()
    return name.removesuffix("S") if parameter.nargs == -1 else name


def _explained(parameter: Any) -> Option:
    return Option(names=(), value=_singular(parameter), meaning=parameter.help or "")


def _option(parameter: Any) -> Option:
    names = sorted((*parameter.opts, *parameter.secondary_opts), key=len)
    return Option(names=tuple(names), value="" if parameter.is_flag else str(parameter.name).upper(), meaning=parameter.help or "")


def _section(command: Command, common: set[tuple[str, str]]) -> str:
    own = [option for option in command.options if option.key not in common]
    shared = [option.names[-1] for option in command.options if option.key in common]
    words = ("[OPTION]...",) if any(option.names for option in command.options) else ()
    lines = [f".SS {' '.join((escaped(command.name), *words, *command.arguments))}", escaped(command.meaning)]
    if own:
        lines.append(_entries(own))
    if shared:
        lines += [".PP", "Also " + ", ".join(rf"\fB{escaped(name)}\fR" for name in shared) + "."]
    return "\n".join(lines)


def _entries(options: Iterable[Option]) -> str:
    return "\n".join(f".TP\n{option.heading()}\n{escaped(option.meaning)}" for option in options)


def _unique(options: Iterable[Option]) -> Iterable[Option]:
    return {option.key: option for option in options}.values()


def _exit_status() -> str:
    return "\n".join(f".TP\n.B {code:d}\n{escaped(meaning)}" for code, meaning in MEANINGS.items())


if __name__ == "__main__":
    PAGE.write_text(man_page(), encoding="utf-8")
