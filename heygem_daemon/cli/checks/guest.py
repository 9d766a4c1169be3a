"""Check what a user of the share, who is not the service, can: put drops into the inboxes, and read outputs."""

import os
from collections.abc import Iterator
from pathlib import Path

from heygem_daemon.cli.checks import volumes
from heygem_daemon.cli.checks.directories import Directory, Role
from heygem_daemon.cli.checks.filesystem_probe import probe_filesystem
from heygem_daemon.cli.checks.finding import Finding, fault, ok
from heygem_daemon.cli.checks.identity import PEOPLE, Identity, group_name, has_group
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.storage import human_bytes
from heygem_daemon.intake.mounts import mount_of


def findings(directory: Directory, me: Identity) -> Iterator[Finding]:
    """Check one inbox or outputs. Whatever is wrong becomes a finding."""
    try:
        if not directory.path.is_dir():
            yield fault(f"{directory.title} is not there, or its share is not mounted", me.command(("findmnt", "-T", str(directory.path))))
            return
        mount = mount_of(str(directory.path))
        yield from volumes.kind_findings(directory, mount)
        yield from volumes.space_findings(directory, mount, me)
        yield _inbox(directory, me) if directory.role is Role.INBOX else _outputs(directory, me)
    except OSError as problem:
        yield fault(f"{directory.title} cannot be looked at: {problem.strerror}", _open_to(directory.path, me))


def _inbox(directory: Directory, me: Identity) -> Finding:
    if not (directory.path / MARKER).is_file():
        fix = me.command(("heygem", "init-inbox", str(directory.path)), owner=directory.path.stat().st_uid)
        return fault(f"{directory.title} has no marker ({MARKER}) and counts as offline", fix)
    probed = probe_filesystem(directory.path)
    if probed.problem is not None:
        return fault(f"{me.name} cannot {probed.failed} in {directory.title}: {probed.problem.strerror}", _open_to(directory.path, me))
    found = os.statvfs(directory.path)
    return ok(f"{directory.title}: {me.name} can put drops into it; {human_bytes(found.f_bavail * found.f_frsize)} free")


def _outputs(directory: Directory, me: Identity) -> Finding:
    if not os.access(directory.path, os.R_OK | os.X_OK):
        return fault(f"{me.name} cannot read {directory.title}", _open_to(directory.path, me))
    return ok(f"{directory.title}: {me.name} can read it")


def _open_to(folder: Path, me: Identity) -> str:
    """Return the command that lets a user of the share into a folder: into the group of such users, where the folder is theirs."""
    try:
        is_of_people = has_group(PEOPLE) and group_name(folder.stat().st_gid) == PEOPLE
    except OSError:
        is_of_people = False
    return me.command(("usermod", "-aG", PEOPLE, me.name) if is_of_people else ("setfacl", "-m", f"u:{me.name}:rwx", str(folder)))
