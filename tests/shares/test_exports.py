"""config/exports.example, by the grammar of exports(5): there is no kernel NFS to try it on."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LINE: Final = re.compile(r"(?P<path>/\S+)\s+(?P<clients>\S+\(\S+\)(?:\s+\S+\(\S+\))*)")
_CLIENT: Final = re.compile(r"(?P<host>[\w.:/*-]+)\((?P<options>[\w=,]+)\)")
_WORDS: Final = frozenset({"rw", "ro", "sync", "no_subtree_check", "all_squash"})
_NUMBERS: Final = frozenset({"anonuid", "anongid"})


def exports(root: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield (path, host, options) of every export."""
    for line in (root / "config/exports.example").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        assert found, line
        for client in found["clients"].split():
            parts = _CLIENT.fullmatch(client)
            assert parts, client
            yield found["path"], parts["host"], dict((*option.split("=", 1), "")[:2] for option in parts["options"].split(","))


def test_the_example_exports_what_the_smb_example_shares(root: Path) -> None:
    shared = re.findall(r"^\s*path = (\S+)$", (root / "config/smb.conf.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert [path for path, _, _ in exports(root)] == shared == ["/srv/heygem/inbox", "/srv/heygem/outputs"]


def test_every_client_becomes_the_service(root: Path) -> None:
    for _, host, options in exports(root):
        assert host != "*", "not to the whole world"
        assert {"sync", "all_squash"} <= options.keys()
        assert all(options[name].isdecimal() and int(options[name]) > 0 for name in _NUMBERS)
        assert options.keys() <= _WORDS | _NUMBERS
