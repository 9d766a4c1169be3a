"""The options that a worker is started with."""

from dataclasses import dataclass
from pathlib import Path

from heygem_daemon.lipsync.engines import Wav2LipOptions
from heygem_daemon.media.card_codecs import HardwareCodecs
from heygem_daemon.media.types import MediaLimits


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The options that a session is made with; `device` is auto, cpu, cuda or cuda:N, `threads` 0 for as many as there are cores."""

    models: Path
    cache: Path
    device: str
    threads: int
    cache_bytes: int
    limits: MediaLimits
    wav2lip: Wav2LipOptions
    hardware_codecs: HardwareCodecs = "auto"
