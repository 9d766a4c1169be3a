"""Choose the audio track of a recording that is spoken: cameras, recorders and editors write several, some of them silent."""

from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np

from heygem_daemon.core.errors import InputError, error
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.audio_decoder import channel_blocks
from heygem_daemon.media.channels import SILENCE_DB
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.identify import label
from heygem_daemon.media.types import AudioStream, MediaInfo

EXAMINED_SECONDS: Final = 48 * 3600
"""s of audio of all tracks together that are decoded in search of one that is not silent: 16 silent tracks of three hours. One core decodes
400 s of stereo AAC in a second."""
TITLE_LENGTH: Final = 60
_RATE: Final = 16000


def choose_track(info: MediaInfo, wanted: int | None = None) -> MediaInfo:
    """Return the recording with the track that is spoken as `audio`, with a warning where it was chosen among several that are audible.

    wanted: its number, from 1. None: the track marked as default, where one is, unless it is silent; else the first that is not silent.
    ffmpeg marks the first track of every file that it writes, other programs mark all: the mark of several tracks is none.
    Raises InputError (`no_such_track`, `audio_unreadable`), TransientError (`io_error`).
    """
    tracks = info.audio_tracks or ((info.audio,) if info.audio else ())
    if wanted is not None:
        if wanted > len(tracks):
            raise error("no_such_track", name=display_name(info.path), count=_counted(len(tracks)), track=wanted)
        return replace(info, audio=_checked(info, tracks[wanted - 1]))
    usable = [track for track in tracks if track.is_usable]
    if len(usable) < 2:
        return replace(info, audio=_checked(info, usable[0] if usable else tracks[0]))
    return _choose(info, usable)


def _choose(info: MediaInfo, tracks: list[AudioStream]) -> MediaInfo:
    marked = [track for track in tracks if track.is_default]
    default = marked[0] if len(marked) == 1 else None
    search = _Search(info)
    if default is not None and search.is_audible(default):
        return replace(info, audio=default)
    audible = list(islice((track for track in tracks if track is not default and search.is_audible(track)), 2))
    if len(audible) == 2:
        return _with_warning(info, audible[0])
    return replace(info, audio=(audible or [default or tracks[0]])[0])


class _Search:
    """Look for audible tracks, up to a limit of audio that is decoded for it."""

    def __init__(self, info: MediaInfo) -> None:
        self._info = info
        self._left = EXAMINED_SECONDS

    def is_audible(self, track: AudioStream) -> bool:
        """Return whether any channel of the track has a sample above the limit of silence; a track that cannot be decoded has none."""
        limit = 32768 * 10 ** (SILENCE_DB / 20)
        with suppress(InputError), closing(channel_blocks(replace(self._info, audio=track), _RATE, _RATE)) as blocks:
            for channels, _ in islice(blocks, self._left):
                self._left -= 1
                if np.abs(channels.astype(np.int32)).max() >= limit:
                    return True
        return False


def _with_warning(info: MediaInfo, track: AudioStream) -> MediaInfo:
    title = f" ({_shown(track.title)})" if track.title else ""
    detail = f"Track {track.number} of {len(info.audio_tracks)}{title} is spoken."
    return replace(info, audio=track, warnings={**info.warnings, WarningCode.AUDIO_TRACK_CHOSEN: detail})


def _checked(info: MediaInfo, track: AudioStream) -> AudioStream:
    if not track.is_usable:
        what = f"a file ({label(info.demuxer)}) whose audio has an unknown codec or too many channels"
        raise error("audio_unreadable", name=display_name(info.path), type=what)
    return track


def _counted(tracks: int) -> str:
    return "1 audio track" if tracks == 1 else f"{tracks} audio tracks"


def _shown(title: str) -> str:
    """Return a title for a sentence: printable, and not longer than TITLE_LENGTH."""
    printable = "".join(char if char.isprintable() else " " for char in title).strip()
    return printable if len(printable) <= TITLE_LENGTH else f"{printable[:TITLE_LENGTH]}..."
