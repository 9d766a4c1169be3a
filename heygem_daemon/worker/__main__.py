"""`python -m heygem_daemon.worker`: orders on stdin, reports on stdout, everything else on stderr."""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from heygem_daemon.core.work import WorkOrder
from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.lipsync.loading import without_collection
from heygem_daemon.media.types import MediaLimits
from heygem_daemon.processes import prefer_for_memory
from heygem_daemon.worker.loop import PreparedSession, Session, serve
from heygem_daemon.worker.options import WorkerOptions
from heygem_daemon.worker.process import (
    HeartbeatThread,
    Terminated,
    ensure_group_leader,
    raise_on_signals,
    redirect_stdout,
    set_parent_death_signal,
    terminate_group,
)
from heygem_daemon.worker.protocol import decode_order

DEFAULT_SESSION: Final = "heygem_daemon.worker.session:LipSyncSession"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 after the last order, 143 after SIGTERM."""
    parsed = _parser().parse_args(arguments)
    writer = redirect_stdout()
    raise_on_signals()
    try:
        ensure_group_leader()
        prefer_for_memory()
        heartbeat = HeartbeatThread(writer, parent=set_parent_death_signal(), seconds=parsed.heartbeat_seconds)
        heartbeat.start()
        os.environ.setdefault("NUMBA_CACHE_DIR", str(parsed.cache / "numba"))  # for what cannot be kept beside the source
        with without_collection():
            session = _session(parsed.session, _options(parsed))
            if isinstance(session, PreparedSession):
                session.prepare(heartbeat.progress)
        serve(parsed.name, session, _orders(sys.stdin.buffer), writer.write, heartbeat)
    except Terminated:
        terminate_group()
        return 143
    except BrokenPipeError:  # nobody reads the reports any more: the daemon is gone
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="heygem_daemon.worker", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="directory of the model files")
    parser.add_argument("--cache", type=Path, required=True, help="directory of the learned presenters")
    parser.add_argument("--device", required=True, help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, required=True, help="CPU threads; 0 = as many as there are cores")
    parser.add_argument("--cache-bytes", type=int, required=True, help="size of that directory above which the oldest entries are deleted")
    parser.add_argument("--limits", type=json.loads, required=True, help="fields of MediaLimits as a JSON object")
    parser.add_argument("--wav2lip", type=json.loads, required=True, help="fields of Wav2LipOptions as a JSON object")
    parser.add_argument("--hardware-codecs", choices=("off", "auto", "all"), default="auto", help="what the codecs of a card do")
    parser.add_argument("--name", default=f"worker-{os.getpid()}")
    parser.add_argument("--heartbeat-seconds", type=float, default=2.0)
    parser.add_argument("--session", default=DEFAULT_SESSION, help="module:class that does the work")
    return parser


def _options(parsed: argparse.Namespace) -> WorkerOptions:
    return WorkerOptions(
        models=parsed.models,
        cache=parsed.cache,
        device=parsed.device,
        threads=parsed.threads,
        cache_bytes=parsed.cache_bytes,
        limits=MediaLimits(**parsed.limits),
        wav2lip=Wav2LipOptions(**parsed.wav2lip),
        hardware_codecs=parsed.hardware_codecs,
    )


def _session(target: str, options: WorkerOptions) -> Session:
    module, _, name = target.partition(":")
    factory: Any = getattr(importlib.import_module(module), name)
    session: Session = factory(options)
    return session


def _orders(stream: BinaryIO) -> Iterator[WorkOrder]:
    for line in iter(stream.readline, b""):
        yield decode_order(line)


if __name__ == "__main__":
    sys.exit(main())
