"""`python -m heygem_daemon.previews`: requests on stdin, answers on stdout, everything else on stderr."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

IDLE_SECONDS: Final = 300.0
"""s without a request after which the process ends: it holds 63 MB."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve requests until their end, or until nobody asks any more."""
    parsed = _parser().parse_args(arguments)
    # Before NumPy is loaded: no threads may run where processes are forked.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target = os.dup(1)
    os.dup2(2, 1)
    from heygem_daemon.media.types import MediaLimits  # noqa: PLC0415
    from heygem_daemon.previews.supervisor import Supervisor  # noqa: PLC0415
    from heygem_daemon.previews.work import PreviewWork  # noqa: PLC0415

    work = PreviewWork(models=parsed.models, limits=MediaLimits(**parsed.limits))
    try:
        Supervisor(work, source=0, target=target, idle_seconds=parsed.idle_seconds).serve()
    except BrokenPipeError:  # nobody reads the answers any more
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="heygem_daemon.previews", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="directory of the model files")
    parser.add_argument("--limits", type=json.loads, required=True, help="fields of MediaLimits as a JSON object")
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS, help="end after this time without a request")
    return parser


if __name__ == "__main__":
    sys.exit(main())
