"""Find out which file system a path lies on: the kernel reports no events of a share's other clients, so shares are polled."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOUNTINFO: Final = Path("/proc/self/mountinfo")

_NETWORK_TYPES: Final = frozenset({
    "9p", "acfs", "afs", "afpfs", "beegfs", "ceph", "cifs", "coda", "cvfs", "davfs", "drvfs", "gfs2", "glusterfs", "gpfs", "lustre", "mmfs",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pnfs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One mounted file system: where it begins and of which type it is."""

    point: str
    fs_type: str

    @property
    def network(self) -> bool:
        """Whether others may change files here unseen by this kernel. Every FUSE type counts, except fuseblk (a local disk)."""
        return self.fs_type in _NETWORK_TYPES or self.fs_type == "fuse" or self.fs_type.startswith("fuse.")


def mount_of(path: str, mountinfo: Path = MOUNTINFO) -> Mount | None:
    """Return the mount that `path` lies on (links resolved), None where the kernel's table cannot be read.

    Resolving a path on a dead share may hang, as everything on it may.
    """
    return mount_by_name(os.path.realpath(path), mountinfo)


def mount_by_name(wanted: str, mountinfo: Path = MOUNTINFO) -> Mount | None:
    """Return the same for the absolute path alone: links are not resolved, and no share is accessed."""
    try:
        lines = mountinfo.read_bytes().splitlines()
    except OSError:
        return None
    best: Mount | None = None
    for line in lines:
        mount = _parse(os.fsdecode(line))
        # >=: of several mounts on one point the last one is on top.
        if mount and _holds(mount.point, wanted) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def _parse(line: str) -> Mount | None:
    """Read one line of proc_pid_mountinfo(5): the mount point is field 5, the type follows the lone hyphen."""
    fields = line.split(" ")
    if "-" not in fields[6:-1]:
        return None
    return Mount(point=_unescape(fields[4]), fs_type=fields[fields.index("-", 6) + 1])


def _unescape(field: str) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: chr(int(match[1], 8)), field).encode("utf-8", "surrogateescape"))


def _holds(point: str, path: str) -> bool:
    return point in {"/", path} or path.startswith(point + "/")
