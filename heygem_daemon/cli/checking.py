"""`heygem check`: does this machine have what it takes? Every finding comes with the command that mends it."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.markup import escape

from heygem_daemon.cli.app import Exit
from heygem_daemon.core.names import MARKER
from heygem_daemon.core.policy import human_bytes
from heygem_daemon.lipsync import models
from heygem_daemon.lipsync.engines import WAV2LIP_ENGINES
from heygem_daemon.lipsync.wav2lip import library
from heygem_daemon.settings import Settings


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`mend` is a command or a sentence that puts it right."""

    severity: Severity
    what: str
    mend: str = ""


def check(settings: Settings) -> Exit:
    """Print all findings; exit 1 when one of them is an error."""
    console = Console(highlight=False)
    marks = {Severity.OK: "[green]ok     [/green]", Severity.WARNING: "[yellow]warning[/yellow]", Severity.ERROR: "[red]error  [/red]"}
    worst = Exit.OK
    for finding in findings(settings):
        console.print(f"{marks[finding.severity]} {escape(finding.what)}", soft_wrap=True)
        if finding.mend:
            console.print(f"        mend: {escape(finding.mend)}", soft_wrap=True)
        if finding.severity is Severity.ERROR:
            worst = Exit.PROBLEM
    return worst


def findings(settings: Settings) -> Iterator[Finding]:
    """Yield what `check` prints, in its order."""
    for inbox in settings.inboxes:
        yield from _inbox(inbox.path)
    for name, folder in (("outputs", settings.outputs), ("state", settings.state), ("cache", settings.cache)):
        yield probe_folder(name, folder)
    yield _space(settings)
    yield from (_program(name) for name in ("ffmpeg", "ffprobe"))
    yield from (_model(finding) for finding in models.verify(settings.weights))
    yield from _checkpoints(settings)
    yield _device(settings.engine.device)


def _inbox(folder: Path) -> Iterator[Finding]:
    yield probe_folder("inbox", folder)
    if folder.is_dir() and not (folder / MARKER).is_file():
        yield Finding(
            severity=Severity.ERROR,
            what=f"inbox {folder} has no marker and counts as offline",
            mend=f"heygem init-inbox {quote(str(folder))}",
        )


def probe_folder(name: str, folder: Path) -> Finding:
    """Do in `folder` what the daemon does in it: create, write, fsync, rename, unlink."""
    probe = folder / f".heygem-check-{secrets.token_hex(4)}"
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, b"heygem")
            os.fsync(handle)
        finally:
            os.close(handle)
        renamed = probe.rename(probe.with_suffix(".renamed"))
        renamed.unlink()
    except FileNotFoundError:
        return Finding(severity=Severity.ERROR, what=f"{name} {folder} is not there", mend=f"mkdir -p {quote(str(folder))}")
    except PermissionError:
        user = os.environ.get("USER") or str(os.getuid())
        return Finding(severity=Severity.ERROR, what=f"{name} {folder} cannot be written", mend=f"chown {user} {quote(str(folder))}")
    except OSError as problem:
        with suppress(OSError):
            probe.unlink()
        return Finding(
            severity=Severity.ERROR,
            what=f"{name} {folder}: {problem.strerror}",
            mend=f"Check the disk or mount: findmnt -T {quote(str(folder))}",
        )
    return Finding(severity=Severity.OK, what=f"{name} {folder}: create, write, fsync, rename, unlink")


def _space(settings: Settings) -> Finding:
    try:
        free = shutil.disk_usage(settings.outputs).free
    except OSError as problem:
        return Finding(severity=Severity.ERROR, what=f"free space of {settings.outputs}: {problem.strerror}")
    reserve = settings.disk.reserve_bytes
    if free < reserve:
        what = f"{human_bytes(free)} free for outputs, {human_bytes(reserve)} are kept in reserve: nothing will start"
        return Finding(severity=Severity.ERROR, what=what, mend="Free some space, or lower disk.reserve_bytes")
    return Finding(severity=Severity.OK, what=f"{human_bytes(free)} free for outputs")


def _program(name: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(severity=Severity.ERROR, what=f"{name} is not installed", mend="apt-get install ffmpeg")
    line = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=20, check=False).stdout.splitlines()
    return Finding(severity=Severity.OK, what=" ".join(line[0].split()[:3]) if line else path)


def _model(finding: models.Finding) -> Finding:
    if finding.is_right:
        return Finding(severity=Severity.OK, what=f"model {finding.model.name}")
    return Finding(severity=Severity.ERROR, what=f"model {finding.path}: {finding.problem}", mend="heygem models fetch")


def _checkpoints(settings: Settings) -> Iterator[Finding]:
    """Yield what stands between a job and the Wav2Lip engines, where somebody wants them."""
    installed = library.checkpoints(settings.weights)
    is_confirmed, is_default = settings.wav2lip.licence_confirmed, settings.engine.name in WAV2LIP_ENGINES
    if not (installed or is_confirmed or is_default):
        return
    missing = Severity.ERROR if is_default else Severity.WARNING
    if not is_confirmed:
        what = "Wav2Lip: nobody has confirmed that the use here keeps to the licence of its checkpoints"
        yield Finding(severity=missing, what=what, mend="Read the licence; then set licence_confirmed = true under [wav2lip]")
    for each in installed:
        if each.is_usable:
            yield Finding(severity=Severity.OK, what=f"Wav2Lip checkpoint {each.name}")
        else:
            mend = f"heygem models add FILE --name {quote(each.name)}"
            yield Finding(severity=missing, what=f"Wav2Lip checkpoint {each.path}: {each.problem}", mend=mend)
    if not any(each.is_usable for each in installed):
        yield Finding(severity=missing, what=f"no Wav2Lip checkpoint in {settings.weights}", mend="heygem models add FILE")


def _device(wanted: str) -> Finding:
    """Ask torch in a process of its own: a broken driver may take its caller down."""
    code = "import torch; print(torch.__version__, torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'cpu')"
    try:
        asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return Finding(severity=Severity.ERROR, what="torch does not answer", mend="Check the driver: nvidia-smi")
    if asked.returncode != 0:
        return Finding(severity=Severity.ERROR, what=f"torch cannot be used: {asked.stderr.strip()[-200:]}", mend="pip install torch")
    version, _, device = asked.stdout.strip().partition(" ")
    if device == "cpu" and wanted.startswith("cuda"):
        return Finding(
            severity=Severity.ERROR, what="no CUDA device", mend="Check the driver with nvidia-smi, or set engine.device = 'cpu'"
        )
    if device == "cpu":
        return Finding(severity=Severity.WARNING, what=f"torch {version}, no CUDA device: works, more slowly")
    return Finding(severity=Severity.OK, what=f"torch {version} on {device}")
