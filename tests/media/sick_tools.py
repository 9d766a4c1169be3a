"""Stand between the package and ffmpeg: a program of the same name first on PATH, which does something at calls that a test names."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KILLED = "kill -{signal} $$"
"""The program ends by a signal, before it has written anything."""
CHILD_KILLED = '"$real" "$@" & child=$!; kill -{signal} $child; wait $child; exit $?'
"""The same, but a shell stands between: it exits with 128 and the number of the signal."""
KILLED_IN_BETWEEN = '"$real" "$@" 2>/dev/null | head -c {size}; kill -{signal} $$'
"""It has written a part of its output by then."""
ENDED_IN_BETWEEN = '"$real" "$@" 2>/dev/null | head -c {size}; exit 255'
"""What ffmpeg does when it gets SIGTERM or SIGINT: it ends what it has begun, says nothing, and exits with 255."""
SAYS = 'echo "file:/x: {words}" >&2; exit 1'
SLOW = 'sleep {seconds}; exec "$real" "$@"'
BUSY = "while :; do :; done"
UNLINKED = 'echo "$0: error while loading shared libraries: libx.so.1: cannot open shared object file" >&2; exit 127'


@dataclass(frozen=True, kw_only=True)
class SickTool:
    """A program on PATH that counts how often it is called, and that is sick at some calls."""

    folder: Path

    @property
    def calls(self) -> int:
        path = self.folder / "calls"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


Sicken = Callable[..., SickTool]


def sicken(folder: Path, program: str, action: str, *, at: str = "true") -> SickTool:
    """Write a program into `folder`, which must then be put first on PATH. action: shell text. at: when it is done, a condition on `n`,
    the number of the call from 1; else the real program is run. Arguments are "$@", the real program is "$real"."""
    folder.mkdir(parents=True, exist_ok=True)
    search = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != str(folder))
    real = shutil.which(program, path=search)
    assert real is not None
    script = folder / program
    script.unlink(missing_ok=True)
    (folder / "calls").unlink(missing_ok=True)
    script.write_text(
        f"#!/bin/bash\nreal='{real}'\necho x >> '{folder}/calls'\nn=$(wc -l < '{folder}/calls')\n"
        f'if {at}; then {action}; exit; fi\nexec "$real" "$@"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    return SickTool(folder=folder)
