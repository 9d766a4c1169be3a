"""Check what the engines need: model files, checkpoints, a device."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from heygem_daemon.cli.checks.finding import Finding, Severity, fault, note, ok
from heygem_daemon.lipsync import model_files
from heygem_daemon.lipsync.engines import WAV2LIP_ENGINES
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import machine, worker_plan

_SECONDS: Final = 120.0
_TORCH_PROBE: Final = "import torch; print(torch.__version__, torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'cpu')"


def weights(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for every model file and checkpoint, after reading it."""
    yield from (_model(each) for each in model_files.verify(settings.weights))
    yield from _checkpoints(settings)


def _model(found: model_files.ModelCheck) -> Finding:
    if found.is_valid:
        return ok(f"model {found.model.name}")
    return fault(f"model {found.path}: {found.problem}", "heygem models fetch")


def _checkpoints(settings: Settings) -> Iterator[Finding]:
    """Yield what the Wav2Lip engines lack, where they are configured or a checkpoint is installed."""
    installed = store.checkpoints(settings.weights)
    is_confirmed, is_default = settings.wav2lip.licence_confirmed, settings.engine.name in WAV2LIP_ENGINES
    if not (installed or is_confirmed or is_default):
        return
    missing = Severity.ERROR if is_default else Severity.WARNING
    if not is_confirmed:
        what = "Wav2Lip: nobody has confirmed that the use here keeps to the licence of its checkpoints"
        yield Finding(severity=missing, what=what, fix="Read the licence; then set licence_confirmed = true under [wav2lip]")
    for each in installed:
        if each.is_usable:
            yield ok(f"Wav2Lip checkpoint {each.name}")
        else:
            fix = f"heygem models add FILE --name {quote(each.name)}"
            yield Finding(severity=missing, what=f"Wav2Lip checkpoint {each.path}: {each.problem}", fix=fix)
    if not any(each.is_usable for each in installed):
        yield Finding(severity=missing, what=f"no Wav2Lip checkpoint in {settings.weights}", fix="heygem models add FILE")


def device(wanted: str) -> Finding:
    """Check torch and its device in a process of its own: a broken driver may crash the process."""
    try:
        done = subprocess.run([sys.executable, "-c", _TORCH_PROBE], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return fault("torch does not answer", "Check the driver: nvidia-smi")
    except OSError as problem:
        where = Path(sys.executable).resolve()
        return fault(f"{where} cannot be executed by this user: {problem.strerror}", "make install   (puts the program into /opt/heygem)")
    if done.returncode != 0:
        return fault(f"torch cannot be used: {done.stderr.strip()[-200:]}", f"{quote(sys.executable)} -m pip install torch")
    version, _, name = done.stdout.strip().partition(" ")
    if name != "cpu":
        return ok(f"torch {version} on {name}")
    if "cuda" in wanted:
        return fault("no CUDA device", "Check the driver with nvidia-smi, or set engine.device = 'cpu'")
    return ok(f"torch {version} on the CPU") if wanted == "cpu" else note(f"torch {version}, no CUDA device: works, more slowly")


def items_at_once(settings: Settings) -> Finding:
    """Tell how many results the daemon makes at once on this machine, and why."""
    plan = worker_plan(settings, machine(settings))
    results, threads = ("result" if plan.items == 1 else "results"), ("thread" if plan.threads == 1 else "threads")
    return ok(f"{plan.items} {results} at once, {plan.threads} {threads} each ({plan.reason})")
