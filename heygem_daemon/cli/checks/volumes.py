"""Check the file system of a directory: local or not, persistent or not, full or not."""

import os
from collections.abc import Iterator
from typing import Final

from heygem_daemon.cli.checks.directories import Directory, Role
from heygem_daemon.cli.checks.finding import Finding, fault, note, warning
from heygem_daemon.cli.checks.identity import Identity
from heygem_daemon.core.storage import human_bytes
from heygem_daemon.intake.mounts import Mount

_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_WITHOUT_RIGHTS: Final = frozenset(
    {"9p", "cifs", "drvfs", "exfat", "fuse", "fuseblk", "msdos", "ntfs", "ntfs3", "smb3", "smb2", "vboxsf", "vfat"}
)
_FEW_FILES: Final = 1000


def shows_rights(mount: Mount | None) -> bool:
    """Return whether owner and mode mean something here; on a Windows share and the like the mount options invent them."""
    return mount is None or not (mount.fs_type in _WITHOUT_RIGHTS or mount.fs_type.startswith("fuse."))


def kind_findings(directory: Directory, mount: Mount | None) -> Iterator[Finding]:
    """Yield what the type of the file system means for this directory."""
    if mount is None:
        return
    if directory.role is Role.STATE and mount.network:
        what = f"{directory.title} lies on a network file system ({mount.fs_type}): the ledger (SQLite) needs a local disk"
        yield fault(what, 'Name a folder on a local disk: state = "/var/lib/heygem" in /etc/heygem/heygem.toml')
    elif directory.role is Role.STATE and mount.fs_type in _IN_MEMORY:
        what = f"{directory.title} lies in memory ({mount.fs_type}): the queue and its history are lost when the machine restarts"
        yield warning(what, 'Name a folder on a disk: state = "/var/lib/heygem" in /etc/heygem/heygem.toml')
    elif directory.role is Role.INBOX and mount.network:
        yield note(
            f"{directory.title} lies on a network file system ({mount.fs_type}): no events come from there, it is scanned every "
            f"{directory.poll_seconds:g} s, and a writer on another machine shows only by what changes"
        )
    elif directory.is_shared and mount.fs_type in _IN_MEMORY:
        yield note(f"{directory.title} lies in memory ({mount.fs_type}): what is in it is lost when the machine restarts")


def space_findings(directory: Directory, mount: Mount | None, me: Identity) -> Iterator[Finding]:
    """Yield a finding where there is too little room. Raises OSError."""
    found = os.statvfs(directory.path)
    free = found.f_bavail * found.f_frsize
    room = me.command(("du", "-xhd2", mount.point if mount else str(directory.path)))
    if found.f_files and found.f_favail < _FEW_FILES:
        yield fault(f"{directory.title}: only {found.f_favail} more files can be made (df -i)", f"Delete some: {room}")
    if free < directory.least_bytes:
        what = (
            f"{human_bytes(free)} free for {directory.title}, {human_bytes(directory.least_bytes)} are kept in reserve: nothing will start"
        )
        fix = ", or lower disk.reserve_bytes" if directory.role is Role.OUTPUTS else ""
        yield fault(what, f"heygem sweep; where that is not enough, see what is large ({room}) and delete some{fix}")
    elif free < directory.scarce_bytes:
        yield warning(f"only {human_bytes(free)} free for {directory.title}", f"See what is large, and delete some: {room}")
