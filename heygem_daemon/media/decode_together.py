"""Decode short recordings that are waiting at the same time with one ffmpeg: its start takes longer than to decode a minute of speech."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.media import commands
from heygem_daemon.media.run import PATIENCE, capture, patience
from heygem_daemon.media.speech import SPEECH_RATE
from heygem_daemon.media.types import MediaInfo

LONGEST_SECONDS: Final = 60.0
MOST: Final = 16
"""s of a recording, and recordings of one ffmpeg: at most 31 MB on the disk for a moment."""
_LIMIT_SECONDS: Final = 30.0
"""s of processor time, and of wall clock, for all of them, whatever the storage does: so many wait for it. One core decodes 400 s of stereo
AAC in a second."""
_SPARE_SECONDS: Final = 1.0


@dataclass(kw_only=True, eq=False)
class _Waiting:
    """A recording, whether its turn is over, and the file of its samples where it was decoded."""

    info: MediaInfo
    is_done: bool = False
    decoded: BinaryIO | None = None


class DecodeTogether:
    """Called by many threads, which wait for one another: whoever has its turn decodes for all that wait at that moment.

    directory: where samples lie for a moment. Recordings of one share only: if that is dead, all of them wait for it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._waiting: list[_Waiting] = []

    @contextmanager
    def decoded(self, info: MediaInfo) -> Iterator[BinaryIO | None]:
        """Yield a file with the samples of a recording, as `commands.decode_speech` writes them; None where it has to be decoded alone: as
        it is long or has several channels, or as anything about any of those that were waiting was wrong."""
        entry = _Waiting(info=info)
        if _is_short(info):
            with self._lock:
                self._waiting.append(entry)
            while not entry.is_done:
                with self._turn:
                    if not entry.is_done:
                        self._decode_waiting()
        try:
            yield entry.decoded
        finally:
            if entry.decoded is not None:
                entry.decoded.close()

    def _decode_waiting(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            with suppress(OSError, HeygemError):
                self._decode(batch)
        finally:
            for entry in batch:
                entry.is_done = True

    def _decode(self, batch: list[_Waiting]) -> None:
        """Decode all or none. Raises OSError, or HeygemError where it takes too long."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="together-", dir=self._directory) as folder:
            targets = [Path(folder) / str(number) for number in range(len(batch))]
            longest = LONGEST_SECONDS + _SPARE_SECONDS
            command = commands.decode_speeches([entry.info for entry in batch], targets, rate=SPEECH_RATE, longest=longest)
            with patience(1 / PATIENCE):
                end = capture(command, seconds=_LIMIT_SECONDS, tries=1)
            sizes = [target.stat().st_size for target in targets]
            # What is wrong with one of them, or longer than its header says, is found out by decoding it alone.
            if end.code == 0 and not end.stderr.strip() and all(0 < size <= LONGEST_SECONDS * SPEECH_RATE * 2 for size in sizes):
                for entry, target in zip(batch, targets, strict=True):
                    entry.decoded = target.open("rb")


def _is_short(info: MediaInfo) -> bool:
    return len(info.audio_tracks) == 1 and info.audio_tracks[0].channels == 1 and 0 < info.audio_tracks[0].seconds <= LONGEST_SECONDS
