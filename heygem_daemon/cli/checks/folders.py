"""All checks of one directory."""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from heygem_daemon.cli.checks import drops, rights, volumes
from heygem_daemon.cli.checks.directories import Directory, Role
from heygem_daemon.cli.checks.filesystem_probe import ProbeResult, probe_filesystem
from heygem_daemon.cli.checks.finding import Finding, fault, note, ok, warning
from heygem_daemon.cli.checks.identity import PEOPLE, Identity, has_group, user_name
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.storage import human_bytes
from heygem_daemon.intake.mounts import Mount, mount_by_name, mount_of

_SKEW_SECONDS: Final = 2.0
"""FAT keeps times to 2 s; NTP keeps clocks within milliseconds."""


def findings(directory: Directory, me: Identity, *, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Check one directory, and do in it what the daemon does there. Whatever is wrong becomes a finding."""
    try:
        mount = mount_of(str(directory.path))
        if not directory.path.is_dir():
            yield _missing_folder(directory, me)
            return
        yield from volumes.kind_findings(directory, mount)
        if volumes.shows_rights(mount):
            yield from rights.findings(directory, me)
        elif directory.is_shared and mount:
            yield note(f"{directory.title}: on {mount.fs_type} its server and the mount options decide who can write")
        if directory.role is Role.WEIGHTS:
            yield from _check_readable(directory, me)
            return
        yield from volumes.space_findings(directory, mount, me)
        yield from _probe_findings(directory, mount, me, probe_filesystem(directory.path, clock=clock))
        if directory.role is Role.INBOX:
            yield from _check_marker(directory, me)
            yield from drops.findings(directory.path, me)
    except OSError as problem:
        yield _os_error(directory, mount_by_name(str(directory.path)), me, "look at", problem)


def unresponsive(directory: Directory, me: Identity, seconds: float) -> Finding:
    """Return the finding for a directory that did not answer within `seconds`. Must not touch it."""
    mount = mount_by_name(str(directory.path))
    point = mount.point if mount else str(directory.path)
    again = (("umount", "-l", point), ("mount", point)) if point != "/" else (("systemctl", "status", "--failed"),)
    where = f" ({mount.fs_type} at {point})" if mount else ""
    return fault(f"{directory.title} does not answer within {seconds:g} s{where}: its share or the network hangs", me.command(*again))


def _missing_folder(directory: Directory, me: Identity) -> Finding:
    path = str(directory.path)
    if os.path.lexists(path):
        return fault(f"{directory.title} is no folder", f"mv {path} {path}.old")
    closed = _uppermost_closed(directory.path)
    if closed is not None:
        return _closed_parent_finding(directory, closed, me)
    if directory.role is Role.WEIGHTS:
        return fault(f"{directory.title} is not there", "heygem models fetch")
    if not me.is_service:
        fix = ("heygem", "init-inbox", path) if directory.role is Role.INBOX else ("mkdir", "-p", path)
        return fault(f"{directory.title} is not there", me.command(fix, owner=me.uid))
    group = ("-g", PEOPLE) if directory.is_shared and has_group(PEOPLE) else ()
    steps = [("install", "-d", "-o", me.name, *group, "-m", directory.mode, path)]
    steps += [("heygem", "init-inbox", path)] if directory.role is Role.INBOX else []
    return fault(f"{directory.title} is not there", me.command(*steps))


def _uppermost_closed(path: Path) -> Path | None:
    """Return the uppermost folder above `path` that we may not pass through."""
    return next((parent for parent in reversed(path.parents) if parent.is_dir() and not os.access(parent, os.X_OK)), None)


def _closed_parent_finding(directory: Directory, closed: Path, me: Identity) -> Finding:
    opened = ("setfacl", "-m", f"u:{me.name}:--x", str(closed)) if shutil.which("setfacl") else ("chmod", "o+x", str(closed))
    return fault(f"{me.name} cannot get to {directory.title}: {closed} is closed", me.command(opened))


def _check_readable(directory: Directory, me: Identity) -> Iterator[Finding]:
    if not os.access(directory.path, os.R_OK | os.X_OK):
        yield fault(f"{me.name} cannot read {directory.title}", me.command(("chmod", "-R", "a+rX", str(directory.path))))


def _probe_findings(directory: Directory, mount: Mount | None, me: Identity, probed: ProbeResult) -> Iterator[Finding]:
    if probed.problem is not None:
        yield _os_error(directory, mount, me, probed.failed, probed.problem)
        return
    kind = f", {mount.fs_type}" if mount else ""
    done = ", ".join(action for action in probed.done if action != "link" or probed.has_links)
    free = human_bytes(shutil.disk_usage(directory.path).free)
    yield ok(f"{directory.title}: {done}; {free} free{kind}")
    if not probed.has_links:
        yield note(f"{directory.title}: no hard links here, which the daemon does not need")
    if directory.role is Role.INBOX and not (mount and mount.network):
        yield _lease_finding(directory, probed)
    if abs(probed.skew) > _SKEW_SECONDS:
        yield _clock_skew(directory, mount, me, probed.skew)


def _lease_finding(directory: Directory, probed: ProbeResult) -> Finding:
    if probed.has_leases:
        return ok(f"{directory.title}: who still writes a file is noticed at once (read leases)")
    return note(f"{directory.title}: no read leases here; a copy counts as finished when nothing in it changed for intake.settle_seconds")


def _clock_skew(directory: Directory, mount: Mount | None, me: Identity, skew: float) -> Finding:
    """Return the warning: status files and keep times use both clocks. The settle time uses one: it only compares times of the share."""
    where = "ahead of" if skew > 0 else "behind"
    what = f"the clock of {directory.title} is {abs(skew):.1f} s {where} this machine's"
    there = "" if mount is None or not mount.network else " (here, and on the server of the share)"
    return warning(what, me.command(("timedatectl", "set-ntp", "true")) + there)


def _check_marker(directory: Directory, me: Identity) -> Iterator[Finding]:
    if not (directory.path / MARKER).is_file():
        owner = directory.path.stat().st_uid
        fix = me.command(("heygem", "init-inbox", str(directory.path)), owner=owner)
        yield fault(f"{directory.title} has no marker ({MARKER}) and counts as offline", fix)


def _os_error(directory: Directory, mount: Mount | None, me: Identity, action: str, problem: OSError) -> Finding:
    path, point = str(directory.path), mount.point if mount else "/"
    fixes = {
        errno.EROFS: me.command(("mount", "-o", "remount,rw", point)),
        errno.ENOSPC: me.command(("du", "-xhd2", point)),
        errno.EDQUOT: me.command(("quota", "-u", me.name)),
    }
    if problem.errno in {errno.EACCES, errno.EPERM}:
        return _permission_denied(directory, me, action)
    what = f"{directory.title}: cannot {action}: {problem.strerror}"
    return fault(what, fixes.get(problem.errno or 0, f"See what is wrong with its disk or mount: findmnt -T {path}; dmesg | tail"))


def _permission_denied(directory: Directory, me: Identity, action: str) -> Finding:
    closed = _uppermost_closed(directory.path)
    if closed is not None:
        return _closed_parent_finding(directory, closed, me)
    path = str(directory.path)
    what = f"{me.name} cannot {action} in {directory.title}"
    if rights.allows(rights.rights_of(directory.path), me):
        return fault(
            f"{what}, though its mode allows it: it is immutable, or a security module forbids it", me.command(("chattr", "-i", path))
        )
    owner = directory.path.stat().st_uid
    if owner == me.uid:
        return fault(what, me.command(("chmod", "u+rwx", path), owner=owner))
    if directory.role is Role.METRICS:  # it belongs to node_exporter, and should go on doing so
        return fault(f"{what}, which belongs to {user_name(owner)}", me.command(("setfacl", "-m", f"u:{me.name}:rwx", path)))
    group = PEOPLE if directory.is_shared and me.is_service and has_group(PEOPLE) else ""
    mode = directory.mode if me.is_service else "u+rwx"
    return fault(f"{what}, which belongs to {user_name(owner)}", me.take_over(directory.path, mode, group))
