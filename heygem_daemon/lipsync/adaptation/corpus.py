"""The local corpus: a folder of clips as numbers, which only its owner can read. docs/learning.md describes the format.

<root>/<video>-<number>.npz   a segment of a video; <video> is a hash of its content under the corpus's own key
<root>/key                    that key: without it, nobody can tell from the names which videos were learned from
<root>/lock                   held while a command changes the corpus
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.durable import sync_folder, write_durably
from heygem_daemon.lipsync.adaptation.clips import AvClip, read_clips
from heygem_daemon.lipsync.adaptation.segments import SpeechSegment

_ID_DIGITS: Final = 12
_KEY: Final = "key"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One video of the corpus. person: its own id, or that of the videos with the same person; seconds: of speech, in `clips` files."""

    video: str
    person: str
    clips: int
    seconds: float
    lag: float


class Corpus:
    """A folder of clips. One process at a time changes it (`locked`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._new_key = secrets.token_bytes(32)

    def video_id(self, path: Path) -> str:
        """Return the anonymous id of the content of a file: 12 hexadecimal digits, another one in every corpus."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        return hashlib.blake2b(digest, key=self._key(), digest_size=_ID_DIGITS // 2).hexdigest()

    def add(self, video: str, segments: Sequence[SpeechSegment], *, person: str, lag: float) -> None:
        """Store the segments of a video in the place of those stored before."""
        before = set(self._files(video))
        for number, segment in enumerate(segments):
            path = self.root / f"{video}-{number:04d}.npz"
            segment.write(path, person=person, lag=lag)
            before.discard(path)
        for path in before:
            path.unlink()
        sync_folder(self.root)

    def entries(self) -> list[Entry]:
        """Return what the corpus holds, by video."""
        videos = sorted({path.name.partition("-")[0] for path in self._files()})
        return [_entry(video, self._files(video)) for video in videos]

    def clips(self) -> list[AvClip]:
        return read_clips(self.root) if self.root.is_dir() else []

    def forget(self, name: str) -> list[Entry]:
        """Delete a video, all videos of a person, or everything (`all`); return what was deleted.

        Raises InputError (`unknown_footage`) where there is no such id.
        """
        gone = [entry for entry in self.entries() if name in {entry.video, entry.person, "all"}]
        if not gone and name != "all":
            raise error("unknown_footage", name=name)
        for entry in gone:
            for path in self._files(entry.video):
                path.unlink()
        if gone:
            sync_folder(self.root)
        return gone

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder where there is none, and keep other commands from changing it; waits for them.

        Raises TransientError (`io_error`) where it cannot be made or written.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
            if not (self.root / _KEY).exists():
                write_durably(self.root / _KEY, self._new_key, mode=0o600)
            descriptor = os.open(self.root / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise error("io_error", problem=f"{self.root}: {problem.strerror}") from problem
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _key(self) -> bytes:
        try:
            return (self.root / _KEY).read_bytes()
        except FileNotFoundError:
            return self._new_key

    def _files(self, video: str = "*") -> list[Path]:
        return sorted(self.root.glob(f"{video}-[0-9][0-9][0-9][0-9].npz"))


def _entry(video: str, paths: Sequence[Path]) -> Entry:
    seconds, person, lag = 0.0, video, 0.0
    for path in paths:
        with np.load(path, allow_pickle=False) as clip:
            seconds += float(clip["t"][-1] - clip["t"][0])
            person, lag = str(clip["person"]), float(clip["av_lag"])
    return Entry(video=video, person=person, clips=len(paths), seconds=seconds, lag=lag)
