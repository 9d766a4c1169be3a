"""Decode videos on a graphics card (NVDEC), where it gives the frames that the CPU gives, and encode results there (NVENC) where that was
chosen. A process that chose no card uses none.

H.264, HEVC, VP9 and AV1 define every bit of a decoded frame, so a card that decodes them rightly changes nothing. That it does is tried,
for each kind of file once in a process, with the first frames of one; and where a card fails in the middle of a file, the CPU goes on with
the frame at which it failed. What a damaged file shows is not defined: at its first error the CPU goes on too.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.media import commands
from heygem_daemon.media.run import FfmpegReader, capture
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import MediaInfo, VideoStream

HardwareCodecs = Literal["off", "auto", "all"]
"""off: none; auto: decode on the card, which changes no frame; all: encode there as well, which changes the result."""

EXACT_CODECS: Final = frozenset({"h264", "hevc", "vp9", "av1"})
EXACT_FORMATS: Final = frozenset({"yuv420p", "yuvj420p"})
"""8 bits, 4:2:0: what every card that decodes a codec at all decodes of it."""
LEAST_FRAMES: Final = 250
"""Fewer frames are decoded on the CPU: a process takes some tenths of a second to begin to use a card."""
_TRIAL_FRAMES: Final = 12
_TRIAL_BYTES: Final = 64 << 20
"""Frames of a trial: more than are reordered; fewer where they are more than so many bytes."""
_TRIAL_SECONDS: Final = 30.0
_STALL_SECONDS: Final = 30.0
"""s that a trial may take, and that a card may take for a frame; a CPU may take longer, see `run.STALL_SECONDS`."""

_Kind = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card whose codecs are used. number: as CUDA counts them; encodes: whether results are encoded there."""

    number: int
    encodes: bool


class _Knowledge:
    """The card of this process, and what was found out about it, by kind of file."""

    def __init__(self) -> None:
        self.card: Card | None = None
        self.lock = threading.Lock()
        self.works: dict[_Kind, bool] = {}

    def ask(self, kind: _Kind, find_out: Callable[[], bool]) -> bool:
        """Return whether the card works for a kind of file; it is found out once."""
        with self.lock:
            if kind not in self.works:
                self.works[kind] = find_out()
            return self.works[kind]


_KNOWN: Final = _Knowledge()


def use_card_codecs(device: str, choice: HardwareCodecs) -> None:
    """Use the codecs of a torch device from now on in this process: of a card, not of a CPU, and not where `choice` is "off"."""
    kind, _, number = device.partition(":")
    is_card = kind == "cuda" and choice != "off"
    _KNOWN.card, _KNOWN.works = (Card(number=int(number or 0), encodes=choice == "all") if is_card else None), {}


def open_decoder(
    info: MediaInfo, *, start: int, stop: int | None, seek: bool, box: tuple[int, int, int, int] | None = None
) -> FfmpegReader:
    """Start to decode frames start..stop-1 (see `commands.decode_frames`), on the card where it does that rightly and it is worth it."""

    def on_cpu(first: int) -> commands.Command:
        return commands.decode_frames(info, start=first, stop=stop, seek=seek, box=box)

    card, video = _KNOWN.card, info.video
    if card is None or video is None or (stop or video.frames) - start < LEAST_FRAMES or not _decodes(card, info, video):
        return FfmpegReader(on_cpu(start), path=info.path)
    command = commands.decode_frames(info, start=start, stop=stop, seek=seek, box=box, card=card.number)
    kind = _decoder_kind(card, video)
    return CardReader(command, on_cpu, start=start, on_failure=lambda: _KNOWN.works.update({kind: False}), path=info.path)


def encoder_for(like: VideoStream, *, quality: int) -> str:
    """Return the name of ffmpeg's encoder for a result: that of the card where it was chosen and takes such frames, else x264."""
    card = _KNOWN.card
    if card is None or not card.encodes:
        return commands.X264
    kind = ("encode", card.number, like.width, like.height, like.frame_rate)
    return commands.NVENC if _KNOWN.ask(kind, lambda: _encodes(like, quality)) else commands.X264


class CardReader(FfmpegReader):
    """Reads whole frames from a decoder on a card; from the first one that it fails at on, from one on the CPU.

    on_cpu: returns the command that decodes from a frame on; start: the first frame; on_failure: is called when the card fails.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_cpu: Callable[[int], Sequence[str]],
        *,
        start: int,
        on_failure: Callable[[], object] = lambda: None,
        stall_seconds: float = _STALL_SECONDS,
        path: Path | None = None,
    ) -> None:
        super().__init__(command, stall_seconds=stall_seconds, path=path)
        self._on_cpu, self._next, self._on_failure, self._path = on_cpu, start, on_failure, path
        self._replacement: FfmpegReader | None = None

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` with the next frame; see `FfmpegReader.read_into`."""
        if self._replacement is None:
            if (done := self._read_from_card(buffer)) is not None:
                return done
            super().kill()
            self._on_failure()
            self._replacement = FfmpegReader(self._on_cpu(self._next), path=self._path)
        return self._replacement.read_into(buffer)

    def wait(self, seconds: float | None = None) -> Completed:
        return super().wait(seconds) if self._replacement is None else self._replacement.wait(seconds)

    def kill(self) -> None:
        super().kill()
        if self._replacement is not None:
            self._replacement.kill()

    def _read_from_card(self, buffer: memoryview) -> int | None:
        """Fill `buffer`, or return 0 at the end of the file; None where the card fails, or says anything at all."""
        try:
            done = super().read_into(buffer)
            if done == len(buffer) and not self.errors:
                self._next += 1
                return done
            end = super().wait() if done == 0 else None
        except HeygemError:  # it stood still
            return None
        return 0 if end is not None and end.code == 0 and not end.stderr else None


def _decoder_kind(card: Card, video: VideoStream) -> _Kind:
    return ("decode", card.number, video.codec, video.pixel_format, video.coded_width, video.coded_height)


def _decodes(card: Card, info: MediaInfo, video: VideoStream) -> bool:
    """Return whether the card decodes files of this kind as the CPU does."""
    if video.is_still or video.changes_shape or video.codec not in EXACT_CODECS or video.pixel_format not in EXACT_FORMATS:
        return False
    return _KNOWN.ask(_decoder_kind(card, video), lambda: _decodes_equally(card, info, video))


def _decodes_equally(card: Card, info: MediaInfo, video: VideoStream) -> bool:
    """Return whether the first frames of a file are the same, bit by bit, and the card complains of nothing."""
    stop = max(2, min(_TRIAL_FRAMES, _TRIAL_BYTES // video.frame_bytes))
    try:
        ours, theirs = (
            capture(commands.decode_frames(info, stop=stop, card=number), seconds=_TRIAL_SECONDS) for number in (None, card.number)
        )
    except HeygemError:
        return False
    return theirs.code == 0 and not theirs.stderr and theirs.stdout == ours.stdout


def _encodes(like: VideoStream, quality: int) -> bool:
    """Return whether the card encodes a grey frame like those of `like`."""
    command = commands.try_encoder(like, quality=quality, preset="", encoder=commands.NVENC)
    try:
        return capture(command, seconds=_TRIAL_SECONDS, stdin=bytes([128]) * like.frame_bytes).code == 0
    except HeygemError:
        return False
