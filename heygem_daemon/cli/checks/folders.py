"""All that is to say about one folder."""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from heygem_daemon.cli.checks import drops, rights, volumes
from heygem_daemon.cli.checks.directories import Place, Use
from heygem_daemon.cli.checks.filesystem_probe import Outcome, try_out
from heygem_daemon.cli.checks.finding import Finding, fault, note, ok, warning
from heygem_daemon.cli.checks.identity import PEOPLE, Identity, has_group, user_name
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.policy import human_bytes
from heygem_daemon.intake.mounts import Mount, mount_by_name, mount_of

_SKEW_SECONDS: Final = 2.0
"""FAT keeps times to 2 s; NTP keeps clocks within milliseconds."""


def findings(place: Place, me: Identity, *, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Look at one folder, and try out in it what the daemon does there. Whatever is wrong becomes a finding."""
    try:
        mount = mount_of(str(place.path))
        if not place.path.is_dir():
            yield _absent(place, me)
            return
        yield from volumes.kind(place, mount)
        if volumes.shows_rights(mount):
            yield from rights.findings(place, me)
        elif place.is_shared and mount:
            yield note(f"{place.title}: on {mount.fs_type} its server and the mount options decide who can write")
        if place.use is Use.WEIGHTS:
            yield from _readable(place, me)
            return
        yield from volumes.space(place, mount, me)
        yield from _tried(place, mount, me, try_out(place.path, clock=clock))
        if place.use is Use.INBOX:
            yield from _marker(place, me)
            yield from drops.findings(place.path, me)
    except OSError as problem:
        yield _refused(place, mount_by_name(str(place.path)), me, "look at", problem)


def silent(place: Place, me: Identity, seconds: float) -> Finding:
    """Return the finding for a folder that gave no answer within `seconds`. Must not touch it."""
    mount = mount_by_name(str(place.path))
    point = mount.point if mount else str(place.path)
    again = (("umount", "-l", point), ("mount", point)) if point != "/" else (("systemctl", "status", "--failed"),)
    where = f" ({mount.fs_type} at {point})" if mount else ""
    return fault(f"{place.title} does not answer within {seconds:g} s{where}: its share or the network hangs", me.command(*again))


def _absent(place: Place, me: Identity) -> Finding:
    path = str(place.path)
    if os.path.lexists(path):
        return fault(f"{place.title} is no folder", f"mv {path} {path}.old")
    closed = _closed_parent(place.path)
    if closed is not None:
        return _closed(place, closed, me)
    if place.use is Use.WEIGHTS:
        return fault(f"{place.title} is not there", "heygem models fetch")
    if not me.is_service:
        mend = ("heygem", "init-inbox", path) if place.use is Use.INBOX else ("mkdir", "-p", path)
        return fault(f"{place.title} is not there", me.command(mend, owner=me.uid))
    group = ("-g", PEOPLE) if place.is_shared and has_group(PEOPLE) else ()
    steps = [("install", "-d", "-o", me.name, *group, "-m", place.mode, path)]
    steps += [("heygem", "init-inbox", path)] if place.use is Use.INBOX else []
    return fault(f"{place.title} is not there", me.command(*steps))


def _closed_parent(path: Path) -> Path | None:
    """Return the uppermost folder above `path` that we may not pass through."""
    return next((parent for parent in reversed(path.parents) if parent.is_dir() and not os.access(parent, os.X_OK)), None)


def _closed(place: Place, closed: Path, me: Identity) -> Finding:
    opened = ("setfacl", "-m", f"u:{me.name}:--x", str(closed)) if shutil.which("setfacl") else ("chmod", "o+x", str(closed))
    return fault(f"{me.name} cannot get to {place.title}: {closed} is closed", me.command(opened))


def _readable(place: Place, me: Identity) -> Iterator[Finding]:
    if not os.access(place.path, os.R_OK | os.X_OK):
        yield fault(f"{me.name} cannot read {place.title}", me.command(("chmod", "-R", "a+rX", str(place.path))))


def _tried(place: Place, mount: Mount | None, me: Identity, outcome: Outcome) -> Iterator[Finding]:
    if outcome.problem is not None:
        yield _refused(place, mount, me, outcome.failed, outcome.problem)
        return
    kind = f", {mount.fs_type}" if mount else ""
    done = ", ".join(deed for deed in outcome.done if deed != "link" or outcome.has_links)
    free = human_bytes(shutil.disk_usage(place.path).free)
    yield ok(f"{place.title}: {done}; {free} free{kind}")
    if not outcome.has_links:
        yield note(f"{place.title}: no hard links here, which the daemon does not need")
    if place.use is Use.INBOX and not (mount and mount.network):
        yield _leases(place, outcome)
    if abs(outcome.skew) > _SKEW_SECONDS:
        yield _skewed(place, mount, me, outcome.skew)


def _leases(place: Place, outcome: Outcome) -> Finding:
    if outcome.has_leases:
        return ok(f"{place.title}: who still writes a file is noticed at once (read leases)")
    return note(f"{place.title}: no read leases here; a copy counts as finished when nothing in it changed for intake.settle_seconds")


def _skewed(place: Place, mount: Mount | None, me: Identity, skew: float) -> Finding:
    """Times in status files and keep times go by two clocks then. The settle time does not: it only asks whether times change."""
    where = "ahead of" if skew > 0 else "behind"
    what = f"the clock of {place.title} is {abs(skew):.1f} s {where} this machine's"
    there = "" if mount is None or not mount.network else " (here, and on the server of the share)"
    return warning(what, me.command(("timedatectl", "set-ntp", "true")) + there)


def _marker(place: Place, me: Identity) -> Iterator[Finding]:
    if not (place.path / MARKER).is_file():
        owner = place.path.stat().st_uid
        mend = me.command(("heygem", "init-inbox", str(place.path)), owner=owner)
        yield fault(f"{place.title} has no marker ({MARKER}) and counts as offline", mend)


def _refused(place: Place, mount: Mount | None, me: Identity, deed: str, problem: OSError) -> Finding:
    path, point = str(place.path), mount.point if mount else "/"
    mends = {
        errno.EROFS: me.command(("mount", "-o", "remount,rw", point)),
        errno.ENOSPC: me.command(("du", "-xhd2", point)),
        errno.EDQUOT: me.command(("quota", "-u", me.name)),
    }
    if problem.errno in {errno.EACCES, errno.EPERM}:
        return _forbidden(place, me, deed)
    what = f"{place.title}: cannot {deed}: {problem.strerror}"
    return fault(what, mends.get(problem.errno or 0, f"See what is wrong with its disk or mount: findmnt -T {path}; dmesg | tail"))


def _forbidden(place: Place, me: Identity, deed: str) -> Finding:
    closed = _closed_parent(place.path)
    if closed is not None:
        return _closed(place, closed, me)
    path = str(place.path)
    what = f"{me.name} cannot {deed} in {place.title}"
    if rights.allows(rights.rights_of(place.path), me):
        return fault(
            f"{what}, though its mode allows it: it is immutable, or a security module forbids it", me.command(("chattr", "-i", path))
        )
    owner = place.path.stat().st_uid
    if owner == me.uid:
        return fault(what, me.command(("chmod", "u+rwx", path), owner=owner))
    if place.use is Use.METRICS:  # it belongs to node_exporter, and should go on doing so
        return fault(f"{what}, which belongs to {user_name(owner)}", me.command(("setfacl", "-m", f"u:{me.name}:rwx", path)))
    group = PEOPLE if place.is_shared and me.is_service and has_group(PEOPLE) else ""
    mode = place.mode if me.is_service else "u+rwx"
    return fault(f"{what}, which belongs to {user_name(owner)}", me.give(place.path, mode, group))
