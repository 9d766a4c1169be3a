"""Decode the audio track of a file into blocks of int16: the channels with their mix, or the one channel that the driver hears."""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from heygem_daemon.core.errors import HeygemError, InputError, error
from heygem_daemon.media import commands
from heygem_daemon.media.channel_layouts import Weights, usual_mix
from heygem_daemon.media.commands import Command
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.identify import label
from heygem_daemon.media.run import TRIES, FfmpegReader, pause, require_capacity, require_working, stream_error
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import AudioStream, MediaInfo

Int16 = npt.NDArray[np.int16]


def channel_blocks(info: MediaInfo, rate: int, block: int) -> Generator[tuple[Int16, Int16], None, None]:
    """Yield int16 [block, C] and their usual mono mix, int16 [block] (the last ones shorter); goes on after damaged parts.

    Raises InputError (`audio_unreadable`) when the decoder fails without a sample, TransientError (`io_error`, `tool_killed`,
    `server_short`, `storage_slow`) when the file cannot be read or not now, EngineError (`tool_crashed`, `no_progress`).
    """
    audio = audio_of(info)
    if audio.channels == 1:
        with closing(_blocks(info, commands.decode_speech(info, rate=rate), 1, block)) as blocks:
            yield from ((samples, samples[:, 0]) for samples in blocks)
        return
    has_mix = audio.channels == 2
    with closing(_blocks(info, commands.decode_channels(info, rate=rate), audio.channels + has_mix, block)) as blocks:
        for samples in blocks:
            channels = samples[:, : audio.channels]
            yield channels, samples[:, 2] if has_mix else _mixed(channels, usual_mix(audio))


def decoded_blocks(decoded: BinaryIO, block: int) -> Iterator[tuple[Int16, Int16]]:
    """Yield what `channel_blocks` yields of a recording of one channel whose samples are in a file already."""
    while data := decoded.read(block * np.dtype(np.int16).itemsize):
        samples = np.frombuffer(data, np.int16)
        yield samples[:, None], samples


def mono_blocks(info: MediaInfo, rate: int, block: int) -> Generator[Int16, None, None]:
    """Yield int16 [block] (the last one shorter): what the driver hears of the track. Raises what `channel_blocks` raises."""
    audio = audio_of(info)
    if audio.channels <= 2 and not audio.spoken:
        with closing(_blocks(info, commands.decode_speech(info, rate=rate), 1, block)) as blocks:
            yield from (samples[:, 0] for samples in blocks)
        return
    with closing(channel_blocks(info, rate, block)) as pairs:
        for channels, mix in pairs:
            yield _mixed(channels, audio.spoken) if audio.spoken else mix


def audio_of(info: MediaInfo) -> AudioStream:
    if info.audio is None:
        raise error("audio_empty", name=display_name(info.path))
    return info.audio


def decoding_problem(info: MediaInfo, end: Completed, *, has_samples: bool) -> HeygemError | None:
    """Return the error for how a decoder ended, None where it decoded all that can be decoded. Raises where ffmpeg does not work."""
    if (problem := stream_error(end, display_name(info.path), info.path)) is not None:
        return problem
    if not has_samples:
        require_working(end.program)
        require_capacity()
    if end.code != 0 and not has_samples:
        return error("audio_unreadable", name=display_name(info.path), type=f"a damaged file ({label(info.demuxer)})")
    return None


def _blocks(info: MediaInfo, command: Command, columns: int, block: int) -> Generator[Int16, None, None]:
    """Yield int16 [block, columns] of what a command writes. Where it fails without a sample it is run again: memory and threads may be
    short for a moment."""
    for left in reversed(range(TRIES)):
        with FfmpegReader(command, path=info.path) as decoder:
            started = done = False
            while not done:
                samples = np.empty((block, columns), np.int16)
                got = decoder.read_into(samples.data.cast("B")) // (columns * samples.itemsize)
                done = got < block
                if got:
                    started = True
                    yield samples[:got]
            end = decoder.wait()
        problem = decoding_problem(info, end, has_samples=started)
        if problem is None:
            return
        if started or not left or not isinstance(problem, InputError):
            raise problem
        pause()


def _mixed(channels: Int16, weights: Weights) -> Int16:
    """Return int16 [n] of int16 [n, C]; weights: [C], with a sum of at most 1."""
    if sorted(weights)[-2:] == [0, 1]:
        return channels[:, weights.index(1)]
    return np.asarray(np.rint(channels.astype(np.float32) @ np.array(weights, np.float32)), np.int16)
