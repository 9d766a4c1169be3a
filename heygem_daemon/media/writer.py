"""Write frames and a recording into one mp4, with one lossy encode.

The audio is always encoded anew (AAC, 192 kb/s) and never copied: a copied stream would bring its own edit list, priming and gaps,
and neither its start nor its length would be certain.
"""

import errno
import os
import signal
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from heygem_daemon.core.errors import HeygemError, InputError, error
from heygem_daemon.core.render_options import Channels, Fit
from heygem_daemon.core.storage import FULL
from heygem_daemon.disks import disk_error
from heygem_daemon.media import commands
from heygem_daemon.media.audio_decoder import audio_of, decoding_problem
from heygem_daemon.media.card_codecs import encoder_for
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.label import append_label
from heygem_daemon.media.run import FfmpegSource, FfmpegWriter, capture, pause, require_capacity, stream_error
from heygem_daemon.media.tool_ends import Completed, reported_number
from heygem_daemon.media.types import MediaInfo, VideoStream

_DISK_NUMBERS: Final = FULL | {errno.EROFS, errno.EIO}
"""ffmpeg prints the message of the system. The encoder reads from pipes: what fails is the disk that it writes on."""
FONTS: Final = (
    Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
    Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    Path("/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf"),
    Path("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"),
    Path("/usr/share/fonts/truetype/freefont/FreeSans.ttf"),
)
"""The first one that exists is used; the one with Chinese and Japanese comes first."""


PRESET: Final = "veryfast"
"""x264's; at CRF 16 it takes 47 ms of one core for a 1080x1920 frame of a real presenter, "medium" 111 ms for a file of the same size and
1.3 dB more (51.9 and 53.2 dB: neither is visible)."""
TRIAL_SECONDS: Final = 60.0
"""s that the encoder may take for one frame; it takes .2 s at 1920x1080 and .5 to 1.1 s at 7680x4320."""
_TRIAL_PROBLEMS: Final = {"file_crashes_tool": "the encoder crashes", "file_too_costly": f"one frame takes more than {TRIAL_SECONDS:.0f} s"}
AUDIO_END_SECONDS: Final = 1.0
"""s that the decoder of the recording may take to end after the encoder has; it has nothing left to do then."""
ORDINARY: Final = VideoStream(width=64, height=64, frame_rate=Fraction(25), frames=1, seconds=0.04, codec="h264", pixel_format="yuv420p")
"""A video that every working encoder takes."""


def check_encoder(like: VideoStream, *, quality: int, name: str) -> None:
    """Encode one grey frame like those of `like`, so that what the encoder refuses fails before the work on it begins.

    name: of the video. Raises InputError (`video_not_encodable`); EngineError (`encode_failed`) where the encoder takes no video at all.
    """
    problem = _trial_problem(like, quality)
    if problem is None:
        return
    pause()  # threads and memory may be short for a moment, and x264 does not say so
    problem = _trial_problem(like, quality)
    if problem is None:
        return
    require_capacity((like.width, like.height))
    if _trial_problem(ORDINARY, quality) is not None:
        raise error("encode_failed", problem=problem)
    rate = f"{float(like.frame_rate):.5g}"
    raise error("video_not_encodable", name=name, width=like.width, height=like.height, rate=rate, problem=problem)


def _trial_problem(like: VideoStream, quality: int) -> str | None:
    """Return why the encoder does not take such a frame, None where it does. Raises TransientError, SetupError."""
    command = commands.try_encoder(like, quality=quality, preset=PRESET)
    try:
        end = capture(command, seconds=TRIAL_SECONDS, stdin=bytes([128]) * like.frame_bytes)
    except InputError as problem:
        return _TRIAL_PROBLEMS[problem.code]
    return None if end.code == 0 else end.last_error_line


class VideoWriter:
    """A context manager that writes exactly `frames` frames of the size of `like`; leaving the block without an error completes the file,
    leaving it with one removes it.

    fit: "video" pads the audio with silence to the end of the video; "audio" leaves it as it is. Audio is never cut: the recording is
    decoded by a process of its own, whose samples the encoder counts anew, whatever time stamps, sample rates and channels change in it.
    audio_seconds: where the audio of a trial ends. channels: see RenderOptions.
    quality: x264 CRF. preset: x264's.
    visible_label: a line of text shown at the bottom left; where the server has no font it is left out, with an entry in `warnings`.
    Raises EngineError (`encode_failed`), TransientError (`disk_full`, `outputs_offline`; `io_error` where the recording cannot be read),
    each with the last error of ffmpeg.
    """

    def __init__(
        self,
        path: Path,
        *,
        like: VideoStream,
        recording: MediaInfo,
        frames: int,
        fit: Fit,
        quality: int,
        preset: str = PRESET,
        channels: Channels = "stereo",
        audio_seconds: Fraction | None = None,
        visible_label: str | None = None,
        fonts: Iterable[Path] = FONTS,
    ) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._like, self._frames, self._fit, self._quality, self._preset = like, frames, fit, quality, preset
        self._recording, self._channels, self._label, self._fonts = recording, channels, visible_label, tuple(fonts)
        self._audio_seconds = audio_seconds
        self._written = 0
        self._resources = ExitStack()
        self._encoder: FfmpegWriter | None = None
        self._audio: FfmpegSource | None = None

    def __enter__(self) -> Self:
        audio = audio_of(self._recording)
        text, font = self._label_files()
        try:
            decode = commands.decode_audio(self._recording, self._channels, seconds=self._audio_seconds)
            self._audio = self._resources.enter_context(FfmpegSource(decode, path=self._recording.path))
            command = commands.encode(
                self.path,
                like=self._like,
                audio=audio,
                audio_pipe=self._audio.descriptor,
                channels=self._channels,
                frames=self._frames,
                pad_audio=self._fit == "video",
                quality=self._quality,
                preset=self._preset,
                text=text,
                font=font,
                encoder=encoder_for(self._like, quality=self._quality),
            )
            encoder = FfmpegWriter(command, descriptors=(self._audio.descriptor,), path=self.path)
            self._encoder = self._resources.enter_context(encoder)
            self._audio.release()
        except BaseException:
            self._resources.close()
            raise
        return self

    def write(self, frame: Frame) -> None:
        """Append `frame`; wait while the encoder is busy."""
        if self._encoder is None:
            raise ValueError("write outside the with block")
        if (frame.width, frame.height) != (self._like.width, self._like.height):
            raise ValueError(f"a frame of {frame.width}x{frame.height} in a video of {self._like.width}x{self._like.height}")
        try:
            self._encoder.write(frame.i420().data)
        except BrokenPipeError:
            raise self._failure(self._encoder.wait()) from None
        self._written += 1

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        encoder, self._encoder = self._encoder, None
        complete = False
        try:
            if encoder is not None and kind is None:
                self._complete(encoder)
                complete = True
        finally:
            self._resources.close()
            if not complete:
                with suppress(OSError):
                    self.path.unlink(missing_ok=True)

    def _complete(self, encoder: FfmpegWriter) -> None:
        if self._written != self._frames:
            raise error("encode_failed", problem=f"{self._written} of {self._frames} frames were written")
        end = encoder.finish()
        if end.code != 0:
            raise self._failure(end)
        if (lost := self._audio_problem()) is not None:
            raise lost
        try:
            append_label(self.path)
        except OSError as problem:
            offline = error("outputs_offline", path=self.path.parent, problem=problem.strerror)
            raise disk_error(problem, self.path.parent) or offline from problem

    def _audio_problem(self) -> HeygemError | None:
        """Return why the recording was not decoded to its end; None where it was, or where its decoder only lost the encoder."""
        end = self._audio.poll(AUDIO_END_SECONDS) if self._audio is not None else None
        if end is None or end.code in {0, -signal.SIGPIPE} or "Broken pipe" in end.stderr:
            return None
        if not self._recording.path.exists():
            return error("io_error", problem=f"{display_name(self._recording.path)} no longer exists")
        return decoding_problem(self._recording, end, has_samples=True)

    def _failure(self, end: Completed) -> HeygemError:
        if (known := _disk_error(end.stderr, self.path.parent)) is not None:
            return known
        if not self.path.parent.is_dir():
            return error("outputs_offline", path=self.path.parent, problem=end.last_error_line)
        size = (self._like.width, self._like.height)
        if (lost := self._audio_problem() or stream_error(end, "the result", size=size)) is not None:
            return lost
        require_capacity(size)
        return error("encode_failed", problem=end.stderr.strip()[-600:] or end.last_error_line)

    def _label_files(self) -> tuple[Path | None, Path | None]:
        if not self._label:
            return None, None
        font = next((font for font in self._fonts if font.is_file()), None)
        if font is None:
            self.warnings.append(
                "The visible label was left out: the server has no font (Administrator: apt-get install fonts-dejavu-core)."
            )
            return None, None
        text = Path(self._resources.enter_context(tempfile.TemporaryDirectory())) / "label.txt"
        text.write_text(self._label, encoding="utf-8")
        return text, font


def _disk_error(output: str, folder: Path) -> HeygemError | None:
    """Return the error where ffmpeg reports a disk that is full, read-only or failing, while it wrote to `folder`."""
    number = reported_number(output, _DISK_NUMBERS)
    return None if number is None else disk_error(OSError(number, os.strerror(number)), folder)
