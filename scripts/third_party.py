"""Compare THIRD_PARTY.md with the packages that `pip install heygem-daemon` brings along.

`python -m scripts.third_party` prints what is missing, and ends with 1 where something is.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from importlib.metadata import requires
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE: Final = Path(__file__).parents[1] / "THIRD_PARTY.md"
PROJECT: Final = "heygem-daemon"
EXTRA: Final = "web"


def runtime_packages() -> dict[str, str]:
    """Return every package installed because the project or its page runs on it, with the package that requires it. No tools."""
    found: dict[str, str] = {}
    waiting = [PROJECT]
    while waiting:
        parent = waiting.pop()
        for name in _required_by(parent, EXTRA if parent == PROJECT else ""):
            if name not in found:
                found[name] = parent
                waiting.append(name)
    return found


def _required_by(package: str, extra: str) -> list[str]:
    requirements = map(Requirement, requires(package) or ())
    return [canonicalize_name(each.name) for each in requirements if each.marker is None or each.marker.evaluate({"extra": extra})]


def listed_packages(page: str) -> set[str]:
    """Return the names in the first column of the page's tables; a name may be a pattern (`nvidia-*`)."""
    cells = re.findall(r"^\| (`[^|]+`) \|", page, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def missing(packages: Mapping[str, str], listed: Iterable[str]) -> dict[str, str]:
    """Return the packages that no listed name or pattern covers."""
    patterns = list(listed)
    return {name: parent for name, parent in packages.items() if not any(fnmatch(name, pattern) for pattern in patterns)}


def main() -> int:
    absent = missing(runtime_packages(), listed_packages(PAGE.read_text(encoding="utf-8")))
    for name, parent in sorted(absent.items()):
        print(f"THIRD_PARTY.md lacks {name} (required by {parent})")
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
