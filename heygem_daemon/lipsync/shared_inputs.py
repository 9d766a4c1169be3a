"""What the items of one job share, kept from one request to the next while the files stay the same.

recording    decoded and measured once; transcript aligned once; the driver's networks run over it once, up to KEPT_SECONDS
video        inspected and hashed once, for several recordings in one job
encoder      tried once for each size, rate, pixel format, colours and quality
"""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.cache import content_key
from heygem_daemon.lipsync.ports import Driver, RecordingDriver
from heygem_daemon.lipsync.speech.stream import replace_non_finite
from heygem_daemon.lipsync.transcript_drivers import TranscriptAlignment, align_transcript
from heygem_daemon.media import commands
from heygem_daemon.media.file_state import FileState
from heygem_daemon.media.kept_speech import kept_speech
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.speech import DecodedSpeech
from heygem_daemon.media.types import MediaInfo, MediaLimits, VideoStream
from heygem_daemon.media.writer import PRESET, check_encoder

KEPT_SECONDS: Final = 300
"""Length of the longest recording of which the driver's features are kept: 53 kB a second, so 16 MB. To compute them anew takes 1 to 3 % of
the CPU time of a result, however long it is."""
KEPT_RECORDINGS: Final = 2
"""The items of a job come recording by recording. The samples lie on the disk, 115 MB for an hour."""
KEPT_VIDEOS: Final = 64
KEPT_ENCODERS: Final = 64

K = TypeVar("K")
V = TypeVar("V")


class SharedRecording:
    """A decoded recording, and what was computed of it. It is closed with the last reference to it."""

    def __init__(self, path: Path, directory: Path, limits: MediaLimits, options: RenderOptions) -> None:
        """Raises what check_recording and decoded_speech raise."""
        files = ExitStack()
        self.speech: DecodedSpeech = files.enter_context(kept_speech(check_recording(path, limits), directory, limits, options))
        weakref.finalize(self, files.close)
        self._drivers: list[tuple[Driver, Driver]] = []
        self._aligned: tuple[Driver, object, TranscriptAlignment] | None = None

    def driver(self, driver: Driver) -> Driver:
        """Return `driver`, for this recording alone: what it computes of the recording is kept, if that is not too much."""
        if not isinstance(driver, RecordingDriver) or self.speech.measure.seconds > KEPT_SECONDS:
            return driver
        for known, own in self._drivers:
            if known is driver:
                return own
        own = driver.for_recording(partial(_samples, self.speech), KEPT_SECONDS)
        self._drivers.append((driver, own))
        return own

    def align(self, driver: Driver, options: RenderOptions, script: Path | None) -> TranscriptAlignment:
        """Return the words of a request along the recording; those of a trial, which has more than are spoken in it, are left aside."""
        if self.speech.is_cut or (options.text is None and script is None):
            return TranscriptAlignment()

        def align() -> TranscriptAlignment:
            return align_transcript(self.driver(driver), self.speech, text=options.text, script=script, language=options.language)

        state = None if script is None else FileState.of(script)
        if options.text is None and state is None:
            return align()
        key = (options.text, state, options.language)
        if self._aligned is None or self._aligned[0] is not driver or self._aligned[1] != key:
            self._aligned = (driver, key, align())
        return self._aligned[2]


def _samples(speech: DecodedSpeech) -> Iterable[Float32]:
    return replace_non_finite(speech.blocks())


@dataclass(frozen=True, kw_only=True)
class SharedVideo:
    """A video that was inspected, and the key of its content in the cache."""

    info: MediaInfo
    key: str


@dataclass(kw_only=True)
class SharedInputs:
    """The recordings and videos used last, and the encodings that were tried. directory: on whose disk decoded speech lies."""

    directory: Path
    limits: MediaLimits
    _recordings: "_Recent[object, SharedRecording]" = field(default_factory=lambda: _Recent(KEPT_RECORDINGS))
    _videos: "_Recent[object, SharedVideo]" = field(default_factory=lambda: _Recent(KEPT_VIDEOS))
    _encoders: "_Recent[object, bool]" = field(default_factory=lambda: _Recent(KEPT_ENCODERS))

    def recording(self, path: Path, options: RenderOptions) -> SharedRecording:
        """Return the recording, decoded now or earlier. Raises what check_recording and decoded_speech raise."""
        state = FileState.of(path)
        key = None if state is None else (path, state, options.track, options.channel, options.channels, options.first_seconds)
        return self._recordings.get(key, lambda: SharedRecording(path, self.directory, self.limits, options))

    def video(self, path: Path) -> SharedVideo:
        """Return the video, inspected now or earlier. Raises what check_video raises."""

        def inspect() -> SharedVideo:
            return SharedVideo(info=check_video(path, self.limits), key=content_key(path))

        state = FileState.of(path)
        return self._videos.get(None if state is None else (path, state), inspect)

    def check_encoder(self, like: VideoStream, *, quality: int, name: str) -> None:
        """Raise what writer.check_encoder raises; what it has passed once it passes again."""

        def check() -> bool:
            check_encoder(like, quality=quality, name=name)
            return True

        self._encoders.get((commands.try_encoder(like, quality=quality, preset=PRESET), like.frame_bytes), check)


class _Recent(Generic[K, V]):
    """The values used last, by their keys."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K | None, make: Callable[[], V]) -> V:
        """Return the value of `key`, made if there is none; a value without a key is made and not kept. Errors of `make` pass through."""
        if key is None:
            return make()
        if key not in self._values:
            while len(self._values) >= self._size:
                self._values.popitem(last=False)
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]
