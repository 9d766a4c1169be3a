"""Predict opening and speech from an audio track, and find the spans of a video in which its face speaks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.arrays import Bool, Float32, Float64
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.pose import runs
from heygem_daemon.lipsync.motion import MouthMotion, viseme_index
from heygem_daemon.lipsync.moving_window import moving_maximum
from heygem_daemon.lipsync.ports import Driver

SPEECH_TRACK_RATE: Final = 100
"""Rows per second of a SpeechTrack."""
SMALLEST_FACE: Final = 40.0
"""Pixels between the outer eye corners. The lips of a smaller face open by less than the tracker's noise."""
LARGEST_YAW: Final = 30.0
"""Degrees. Beyond, half of the mouth is guessed by the tracker."""
SHORTEST_SPAN: Final = 2.0
LONGEST_SPAN: Final = 20.0
"""Length of a speaking span in s. Shorter ones hold too little speech to test their sync."""

_BRIDGE: Final = 0.75
"""A span begins and ends this long (s) before and after the speech; so pauses of up to twice this do not end it."""
_SILENT: Final = viseme_index("sil")


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechTrack:
    """The prediction of a driver from an audio track, at SPEECH_TRACK_RATE from its first sample: opening float32 [n], speech bool [n]."""

    opening: Float32
    speech: Bool

    def speaks_at(self, times: Float64) -> Bool:
        """Return bool, shaped like `times` (s); False outside the audio."""
        rows = np.rint(times * SPEECH_TRACK_RATE).astype(int)
        inside = (rows >= 0) & (rows < len(self.speech))
        return np.asarray(inside & self.speech[rows.clip(0, len(self.speech) - 1)])


def run_driver(speech: Iterable[Float32], rows: int, driver: Driver) -> MouthMotion:
    """Return what `driver` predicts from 16 kHz blocks: `rows` rows at SPEECH_TRACK_RATE, at least one."""
    return MouthMotion.concatenate(list(driver.motion(speech, Fraction(SPEECH_TRACK_RATE), max(1, rows))))


def silence_of(motion: MouthMotion) -> Float32:
    """Return float32 [T], the weight of the silence viseme."""
    return motion.visemes[:, _SILENT]


def speech_track(motion: MouthMotion) -> SpeechTrack:
    """Return the opening and the speech of motion at SPEECH_TRACK_RATE."""
    return SpeechTrack(opening=motion.opening, speech=motion.is_speech)


def speaking_spans(track: SpeechTrack, times: Float64, usable: Bool, tracks: FaceTracks, name: str) -> tuple[slice, ...]:
    """Return the spans of frames of one shot with a usable face, in and around speech.

    times: float64 [T], s, of each frame, on the clock of the audio; usable: bool [T]; name: of the video, for the error.
    Raises InputError (`footage_without_speaker`) where there is none.
    """
    reach = round(_BRIDGE * float(tracks.frame_rate))
    spoken = moving_maximum(track.speaks_at(times), 2 * reach + 1)
    parts = (part for run in runs(usable & spoken, tracks.shot) for part in _split(run, times))
    spans = tuple(part for part in parts if _length(part, times) >= SHORTEST_SPAN)
    if not spans:
        raise error("footage_without_speaker", name=name, seconds=SHORTEST_SPAN)
    return spans


def _split(run: slice, times: Float64) -> Iterator[slice]:
    """Cut a run into equal parts of at most LONGEST_SPAN."""
    count = max(1, int(np.ceil(_length(run, times) / LONGEST_SPAN)))
    edges = np.linspace(run.start, run.stop, count + 1).astype(int)
    yield from (slice(int(a), int(b)) for a, b in pairwise(edges))


def _length(span: slice, times: Float64) -> float:
    return float(times[span.stop - 1] - times[span.start])
