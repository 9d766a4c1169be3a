"""Decode the audio of a recording into mono blocks, and measure its exact length."""

import math
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.core.errors import error
from heygem_daemon.core.render_options import DEFAULT_OPTIONS, RenderOptions
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.audio_decoder import Int16, audio_of, channel_blocks, decoded_blocks, mono_blocks
from heygem_daemon.media.audio_tracks import choose_track
from heygem_daemon.media.channel_layouts import channel_index, kept_layout
from heygem_daemon.media.channels import SILENCE_DB, ActivityMeter, ChannelChoice, choose_channels
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.types import DEFAULT_LIMITS, AudioStream, MediaInfo, MediaLimits

SPEECH_RATE: Final = 16000
"""Hz."""


@dataclass(frozen=True, kw_only=True)
class SpeechMeasure:
    """`samples` at 16 kHz mono, decoded; `peak_db` and `rms_db` relative to full scale."""

    samples: int
    peak_db: float
    rms_db: float

    @property
    def seconds(self) -> Fraction:
        return Fraction(self.samples, SPEECH_RATE)


def frame_count(seconds: Fraction, frame_rate: Fraction) -> int:
    """Return the number of frames of a result: as long as `seconds` of speech, at least one."""
    return max(round(seconds * frame_rate), 1)


def speech_blocks(info: MediaInfo, rate: int = SPEECH_RATE, block: int = SPEECH_RATE) -> Generator[npt.NDArray[np.float32], None, None]:
    """Yield float32 [block] (the last one shorter), mono, -1..1, at `rate` Hz: what the driver hears of `info.audio`; goes on after damaged
    parts.

    Raises InputError (`audio_unreadable`) when the decoder fails without a sample, TransientError (`io_error`) when the file
    cannot be read or the decoder was killed.
    """
    with closing(mono_blocks(info, rate, block)) as blocks:
        for samples in blocks:
            yield _as_float(samples)


def measure_speech(info: MediaInfo, limits: MediaLimits = DEFAULT_LIMITS, options: RenderOptions = DEFAULT_OPTIONS) -> SpeechMeasure:
    """Decode the whole recording, or its `options.first_seconds`, and measure what is spoken of it; the length in a header may be wrong.

    Raises InputError: audio_unreadable, audio_empty, audio_silent, audio_too_long; no_such_track, no_such_channel, audio_choice_silent for
    what `options` name.
    """
    return _choose_and_measure(info, limits, options).measure


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedSpeech:
    """The speech of a recording that has been decoded and measured once, to be read any number of times.

    file: mono int16 at 16 kHz, without a name on the disk (115 MB for an hour); None where the disk had no room: then every reader
    decodes the recording again. is_cut: the recording goes on behind what is measured and read here, as a trial ends before it.
    """

    info: MediaInfo
    measure: SpeechMeasure
    file: BinaryIO | None
    is_cut: bool = False

    def blocks(self, block: int = SPEECH_RATE) -> Generator[npt.NDArray[np.float32], None, None]:
        """Yield what `speech_blocks` yields, to the last bit. Raises TransientError (`io_error`) where the disk lost a part of the file."""
        if self.file is None:
            with closing(speech_blocks(self.info, block=block)) as blocks:
                yield from _until(blocks, self.measure.samples)
            return
        sample_bytes = np.dtype(np.int16).itemsize
        for start in range(0, self.measure.samples, block):
            count = min(block, self.measure.samples - start)
            data = os.pread(self.file.fileno(), count * sample_bytes, start * sample_bytes)
            if len(data) < count * sample_bytes:
                raise error(
                    "io_error", problem=f"the decoded speech of {display_name(self.info.path)} is incomplete on the disk of the cache"
                )
            yield _as_float(np.frombuffer(data, np.int16))


@contextmanager
def decoded_speech(
    info: MediaInfo,
    directory: Path,
    limits: MediaLimits = DEFAULT_LIMITS,
    options: RenderOptions = DEFAULT_OPTIONS,
    *,
    decoded: BinaryIO | None = None,
) -> Iterator[DecodedSpeech]:
    """Decode and measure the whole recording into an unnamed temporary file in `directory`, which goes away with this context.

    options: `track` and `channel` name what is spoken; of a recording longer than `first_seconds` no more is decoded, and its channels are
    chosen by that. The `info` of the result has the chosen track, with what the driver hears of it, and the warnings about this choice.
    decoded: the samples of a recording of one channel that `commands.decode_speeches` wrote. Raises what `measure_speech` raises.
    """
    spool = _Spool(directory)
    try:
        chosen = _choose_and_measure(info, limits, options, spool, decoded)
        yield DecodedSpeech(info=chosen.info, measure=chosen.measure, file=spool.file, is_cut=chosen.is_cut)
    finally:
        spool.close()


class _Spool:
    """Samples on the disk, as long as it has room; without a file where it has none."""

    def __init__(self, directory: Path) -> None:
        self.file: BinaryIO | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115  (closed by `close`)
        except OSError:
            self.close()

    def keep(self, samples: Int16) -> None:
        """Append the samples."""
        left = memoryview(samples.tobytes())
        try:
            while self.file is not None and left:
                left = left[self.file.write(left) :]
        except OSError:
            self.close()

    def restart(self) -> None:
        """Forget the samples kept so far."""
        try:
            if self.file is not None:
                self.file.seek(0)
                self.file.truncate()
        except OSError:
            self.close()

    def close(self) -> None:
        if self.file is not None:
            with suppress(OSError):  # a late report of a network disk
                self.file.close()
        self.file = None


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """A recording with what is spoken of it, its measure, and whether it goes on behind that."""

    info: MediaInfo
    measure: SpeechMeasure
    is_cut: bool


def _choose_and_measure(
    info: MediaInfo, limits: MediaLimits, options: RenderOptions, spool: "_Spool | None" = None, decoded: BinaryIO | None = None
) -> _Chosen:
    """Choose what is spoken of a recording, and measure it; keep the samples in `spool`.

    The usual mix is measured while the channels are examined. Where something else is spoken, the recording is decoded again.
    The silent beginning of a recording is no reason to refuse a trial: the whole result begins with it too.
    """
    name, info = display_name(info.path), choose_track(info, options.track)
    audio = audio_of(info)
    index = _channel_index(audio, options.channel, name)
    level, meter = _LevelMeter(name, limits, options), ActivityMeter(audio.channels) if audio.channels > 1 else None
    with ExitStack() as stack:
        if decoded is None:
            pairs: Iterator[tuple[Int16, Int16]] = stack.enter_context(closing(channel_blocks(info, SPEECH_RATE, SPEECH_RATE)))
        else:
            pairs = decoded_blocks(decoded, SPEECH_RATE)
        for channels, mix in pairs:
            if level.is_full:
                level.is_cut = True
                break
            count = level.add(mix, spool)
            if meter is not None:
                meter.add(channels[:count], mix[:count])
    measure = level.measure()
    loudest = measure.peak_db
    activity = None if meter is None else meter.activity()
    if activity is not None and options.channel != "mix":
        loudest = _decibel(float(activity.peaks.max() if index is None else activity.peaks[index]))
    if not level.is_cut:
        _refuse_silence(loudest, name, options)
    if activity is None:
        return _Chosen(info=info, measure=measure, is_cut=level.is_cut)
    info = _with_choice(info, choose_channels(audio, activity, options.channel), options)
    measure = _measure_again(info, limits, options, spool) if audio_of(info).spoken else measure
    return _Chosen(info=info, measure=measure, is_cut=level.is_cut)


def _measure_again(info: MediaInfo, limits: MediaLimits, options: RenderOptions, spool: "_Spool | None") -> SpeechMeasure:
    """Measure what is spoken, and keep it instead of what was kept before."""
    level = _LevelMeter(display_name(info.path), limits, options)
    if spool is not None:
        spool.restart()
    with closing(mono_blocks(info, SPEECH_RATE, SPEECH_RATE)) as blocks:
        for samples in blocks:
            level.add(samples, spool)
            if level.is_full:
                break
    return level.measure()


def _channel_index(audio: AudioStream, wanted: str | None, name: str) -> int | None:
    """Return the index of the channel that is named, None where none is. Raises InputError (`no_such_channel`)."""
    try:
        return None if wanted is None else channel_index(wanted, audio)
    except IndexError:
        count = "1 channel" if audio.channels == 1 else f"{audio.channels} channels"
        raise error("no_such_channel", name=name, track=audio.number, count=count, channel=wanted) from None


def _refuse_silence(peak_db: float, name: str, options: RenderOptions) -> None:
    """Raise InputError (`audio_silent`, `audio_choice_silent`) where the loudest sample of what may be spoken is below SILENCE_DB."""
    if peak_db >= SILENCE_DB:
        return
    named = [f"{key} {value}" for key, value in (("track", options.track), ("channel", options.channel)) if value is not None]
    raise error("audio_choice_silent", name=name, choice=" and ".join(named)) if named else error("audio_silent", name=name)


def _with_choice(info: MediaInfo, choice: ChannelChoice, options: RenderOptions) -> MediaInfo:
    audio = replace(audio_of(info), spoken=choice.spoken, downmix=choice.downmix)
    not_kept = audio.channels > 2 and options.channels == "keep" and kept_layout(audio) is None
    detail = f"It has {audio.channels} channels ({audio.layout or 'without positions'})."
    lost: dict[str, str] = {WarningCode.CHANNELS_NOT_KEPT: detail} if not_kept else {}
    return replace(info, audio=audio, warnings={**info.warnings, **choice.warnings, **lost})


def _until(blocks: Iterable[npt.NDArray[np.float32]], samples: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the blocks up to so many samples."""
    for block in blocks:
        yield block[:samples]
        samples -= len(block)
        if samples <= 0:
            return


def _as_float(samples: Int16) -> npt.NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(32768)


class _LevelMeter:
    """Length, peak and power of samples that come in blocks, up to the end of a trial. is_cut: more came than that."""

    def __init__(self, name: str, limits: MediaLimits, options: RenderOptions) -> None:
        self._name, self._limit = name, limits.recording_seconds
        self._trial = None if options.first_seconds is None else max(round(options.first_seconds * SPEECH_RATE), 1)
        self.is_cut = False
        self._samples, self._peak, self._power = 0, 0.0, 0.0

    @property
    def is_full(self) -> bool:
        """Whether a trial has all of its samples."""
        return self._samples == self._trial

    def add(self, samples: Int16, spool: "_Spool | None") -> int:
        """Take int16 [n] and keep it in `spool`; return how many of them were taken. Raises InputError (`audio_too_long`)."""
        if self._trial is not None and self._samples + len(samples) > self._trial:
            samples, self.is_cut = samples[: self._trial - self._samples], True
        if spool is not None:
            spool.keep(samples)
        block = _as_float(samples)
        self._samples += len(block)
        self._peak = max(self._peak, float(np.abs(block).max()))
        self._power += float(np.square(block, dtype=np.float64).sum())
        if self._samples > self._limit * SPEECH_RATE:
            raise error("audio_too_long", name=self._name, seconds=self._samples / SPEECH_RATE, limit=self._limit)
        return len(block)

    def measure(self) -> SpeechMeasure:
        """Raise InputError (`audio_empty`) without a sample."""
        if self._samples == 0:
            raise error("audio_empty", name=self._name)
        rms = math.sqrt(self._power / self._samples)
        return SpeechMeasure(samples=self._samples, peak_db=_decibel(self._peak), rms_db=_decibel(rms))


def _decibel(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-10))
