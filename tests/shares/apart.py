"""python apart.py PASSWD GROUP FOLDER COMMAND...: run a command that sees these accounts, and this folder as /srv/heygem; nobody else does.

A mount namespace of its own: accounts and paths can bear the names of an installation without a trace on the machine."""

import ctypes
import os
import sys

_NEW_MOUNTS = 0x00020000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def _expect(outcome: int) -> None:
    if outcome != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source: str, target: str, kind: str = "", flags: int = 0) -> None:
    _expect(_libc.mount(os.fsencode(source), os.fsencode(target), os.fsencode(kind), flags, None))


def main(passwd: str, group: str, folder: str, *command: str) -> None:
    _expect(_libc.unshare(_NEW_MOUNTS))
    mount("none", "/", flags=_RECURSIVE | _PRIVATE)
    mount(passwd, "/etc/passwd", flags=_BIND)
    mount(group, "/etc/group", flags=_BIND)
    mount("none", "/srv", "tmpfs")
    os.mkdir("/srv/heygem")  # noqa: PTH102
    mount(folder, "/srv/heygem", flags=_BIND)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
