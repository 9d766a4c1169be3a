"""What a folder lies on: local or not, lasting or not, full or not."""

import os
from collections.abc import Iterator
from typing import Final

from heygem_daemon.cli.checks.directories import Place, Use
from heygem_daemon.cli.checks.finding import Finding, fault, note, warning
from heygem_daemon.cli.checks.identity import Identity
from heygem_daemon.core.policy import human_bytes
from heygem_daemon.intake.mounts import Mount

_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_WITHOUT_RIGHTS: Final = frozenset(
    {"9p", "cifs", "drvfs", "exfat", "fuse", "fuseblk", "msdos", "ntfs", "ntfs3", "smb3", "smb2", "vboxsf", "vfat"}
)
_FEW_FILES: Final = 1000


def shows_rights(mount: Mount | None) -> bool:
    """Whether owner and mode mean something here; on a Windows share and the like they are made up by the mount options."""
    return mount is None or not (mount.fs_type in _WITHOUT_RIGHTS or mount.fs_type.startswith("fuse."))


def kind(place: Place, mount: Mount | None) -> Iterator[Finding]:
    """Yield what the type of the file system means for this folder."""
    if mount is None:
        return
    if place.use is Use.STATE and mount.network:
        what = f"{place.title} lies on a network file system ({mount.fs_type}): the ledger (SQLite) needs a local disk"
        yield fault(what, 'Name a folder on a local disk: state = "/var/lib/heygem" in /etc/heygem/heygem.toml')
    elif place.use is Use.STATE and mount.fs_type in _IN_MEMORY:
        what = f"{place.title} lies in memory ({mount.fs_type}): the queue and its history are lost when the machine restarts"
        yield warning(what, 'Name a folder on a disk: state = "/var/lib/heygem" in /etc/heygem/heygem.toml')
    elif place.use is Use.INBOX and mount.network:
        yield note(
            f"{place.title} lies on a network file system ({mount.fs_type}): no events come from there, it is looked at every "
            f"{place.poll_seconds:g} s, and a writer on another machine shows only by what changes"
        )
    elif place.is_shared and mount.fs_type in _IN_MEMORY:
        yield note(f"{place.title} lies in memory ({mount.fs_type}): what is in it is lost when the machine restarts")


def space(place: Place, mount: Mount | None, me: Identity) -> Iterator[Finding]:
    """Yield a finding where there is too little room. Raises OSError."""
    found = os.statvfs(place.path)
    free = found.f_bavail * found.f_frsize
    room = me.command(("du", "-xhd2", mount.point if mount else str(place.path)))
    if found.f_files and found.f_favail < _FEW_FILES:
        yield fault(f"{place.title}: only {found.f_favail} more files can be made (df -i)", f"Delete some: {room}")
    if free < place.least_bytes:
        what = f"{human_bytes(free)} free for {place.title}, {human_bytes(place.least_bytes)} are kept in reserve: nothing will start"
        mend = ", or lower disk.reserve_bytes" if place.use is Use.OUTPUTS else ""
        yield fault(what, f"heygem sweep; where that is not enough, see what is large ({room}) and delete some{mend}")
    elif free < place.scarce_bytes:
        yield warning(f"only {human_bytes(free)} free for {place.title}", f"See what is large, and delete some: {room}")
