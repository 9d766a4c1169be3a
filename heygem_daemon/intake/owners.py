"""Whose files are, as far as that can be believed."""

import os
import stat
from typing import overload

from heygem_daemon.core.users import FOREIGN_ROOT, ROOT


@overload
def known_uid(uid: int, *, network: bool) -> int: ...
@overload
def known_uid(uid: int | None, *, network: bool) -> int | None: ...
def known_uid(uid: int | None, *, network: bool) -> int | None:
    """Return the user of this number. On a network file system root is one of another computer, or what is shown for everything."""
    return FOREIGN_ROOT if network and uid == ROOT else uid


def uids_of(entry: os.DirEntry[str], *, network: bool) -> frozenset[int]:
    """Return whose a control file is; nobody's where it is gone, or where it is another name of a file that may be somebody else's."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return frozenset()
    is_single = found.st_nlink == 1 or stat.S_ISDIR(found.st_mode)
    return frozenset({known_uid(found.st_uid, network=network)}) if is_single else frozenset()
