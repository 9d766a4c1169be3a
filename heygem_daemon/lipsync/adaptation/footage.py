"""Track the face of a video, predict its mouth from its audio, and cut out the segments in which one face speaks.

    video --track----> face of every frame --+
      |                                      +--> frames with a usable face and speech --> segments
      +----predict---> opening, speech ------+

Only two numbers per frame stay in memory; points and audio of a segment are read on demand.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.core.errors import HeygemError, InputError, error
from heygem_daemon.lipsync.adaptation.segments import NOSE_TIP, POINTS, SpeechSegment
from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.cache import VideoCache
from heygem_daemon.lipsync.face.track_video import cached_tracks
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.landmarks import EYE_CORNERS
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening
from heygem_daemon.lipsync.geometry.pose import fit_pose, mean_face
from heygem_daemon.lipsync.ports import Driver
from heygem_daemon.lipsync.progress import OnProgress
from heygem_daemon.lipsync.style.speech_track import (
    LARGEST_YAW,
    SMALLEST_FACE,
    SPEECH_TRACK_RATE,
    SpeechTrack,
    run_driver,
    speaking_spans,
    speech_track,
)
from heygem_daemon.media.audio_tracks import choose_track
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.speech import SPEECH_RATE, measure_speech, speech_blocks
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo, MediaLimits

_AUDIO_MARGIN: Final = 0.5
"""Seconds of audio kept before the first and after the last frame: the context of the network, and the offset of the footage."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Footage:
    """A video whose face is tracked and whose speech is known.

    speech: what the driver predicts from the audio; times: float64 [T], s, of each frame, on the clock of the audio;
    opening: float32 [T], NaN without a usable face; spans: the frames of each segment in which one face speaks
    """

    info: MediaInfo
    tracks: FaceTracks
    speech: SpeechTrack
    times: Float64
    opening: Float32
    spans: tuple[slice, ...]

    @property
    def seconds(self) -> float:
        """The length of all segments together."""
        return float(sum(self.times[span.stop - 1] - self.times[span.start] for span in self.spans))

    def segments(self) -> Iterator[SpeechSegment]:
        """Yield the segments with their points and their audio, in order."""
        reference = mean_face(self.tracks)
        window = _AudioWindow(speech_blocks(self.info))
        for span in self.spans:
            times = self.times[span]
            audio, begin = window.cut(float(times[0]) - _AUDIO_MARGIN, float(times[-1]) + _AUDIO_MARGIN)
            landmarks = self.tracks.landmarks(span.start, span.stop).astype(np.float64)
            pose = fit_pose(landmarks, reference)
            points = pose.unproject(landmarks)[:, list(POINTS)] - reference[NOSE_TIP]
            yield SpeechSegment(
                audio=audio,
                times=times - begin,
                points=points.astype(np.float32),
                opening=self.opening[span],
                iod=float(np.median(pose.scale)),
            )


def analyse_video(
    path: Path,
    *,
    driver: Driver,
    video_cache: VideoCache,
    models: Path,
    face: str = "largest",
    limits: MediaLimits = DEFAULT_LIMITS,
    on_progress: OnProgress = lambda _: None,
) -> Footage:
    """Track the face of the video `path` and find the segments in which it speaks.

    Raises InputError: no_face, no_speech_in_footage (no audio, silence, or nobody speaks), footage_without_speaker (speech, but
    never for long with a usable face), and what `check_video` raises.
    """
    info = _with_spoken_track(check_video(path, limits))
    speech = speech_track_of_file(info, driver, limits)
    tracks = cached_tracks(video_cache, info, face=face, models=models, on_progress=on_progress)
    video, audio = info.video, info.audio
    if video is None or audio is None:
        raise error("no_speech_in_footage", name=display_name(path))
    times = np.arange(tracks.frames) / float(video.frame_rate) + float(video.start - audio.start)
    opening = _openings(tracks)
    return Footage(
        info=info,
        tracks=tracks,
        speech=speech,
        times=times,
        opening=opening,
        spans=speaking_spans(speech, times, np.isfinite(opening), tracks, display_name(path)),
    )


def _with_spoken_track(info: MediaInfo) -> MediaInfo:
    """Return the video with the audio track that is spoken; as it is where it has none, or none that can be decoded."""
    with suppress(InputError):
        return info if info.audio is None else choose_track(info)
    return info


def speech_track_of_file(info: MediaInfo, driver: Driver, limits: MediaLimits = DEFAULT_LIMITS) -> SpeechTrack:
    """Run the driver over the audio track of a video. Raises InputError: no_speech_in_footage, audio_too_long."""
    name = display_name(info.path)
    if info.audio is None:
        raise error("no_speech_in_footage", name=name)
    try:
        samples = measure_speech(info, limits).samples
    except HeygemError as problem:
        if problem.code in {"audio_empty", "audio_silent", "audio_unreadable"}:
            raise error("no_speech_in_footage", name=name) from problem
        raise
    track = speech_track(run_driver(speech_blocks(info), round(samples / SPEECH_RATE * SPEECH_TRACK_RATE), driver))
    if not track.speech.any():
        raise error("no_speech_in_footage", name=name)
    return track


def _openings(tracks: FaceTracks) -> Float32:
    """Return the lip opening of every frame, NaN where the face is absent, too small or turned too far aside."""
    opening = np.full(tracks.frames, np.nan, np.float32)
    reference = mean_face(tracks)
    left, right = EYE_CORNERS
    for start, landmarks in tracks.blocks():
        valid = tracks.valid[start : start + len(landmarks)]
        faces = landmarks[valid].astype(np.float64)
        if not len(faces):
            continue
        yaw = fit_pose(faces, reference).angles()[:, 0]
        size = np.linalg.norm(faces[:, left] - faces[:, right], axis=1)
        usable = (np.abs(yaw) <= LARGEST_YAW) & (size >= SMALLEST_FACE)
        opening[start + np.flatnonzero(valid)[usable]] = lip_opening(landmarks[valid][usable])
    return opening


class _AudioWindow:
    """Cuts pieces from a stream of audio, in order; keeps nothing before the last piece."""

    def __init__(self, blocks: Iterable[Float32]) -> None:
        self._blocks, self._buffered, self._first = iter(blocks), np.zeros(0, np.int16), 0

    def cut(self, begin: float, end: float) -> tuple[npt.NDArray[np.int16], float]:
        """Return the samples between two times in s, as far as there are any, and the time of the first one.

        `begin` must not lie before that of the call before.
        """
        first, last = max(0, round(begin * SPEECH_RATE)), max(0, round(end * SPEECH_RATE))
        while self._first + len(self._buffered) < last:
            block = next(self._blocks, None)
            if block is None:
                break
            passed = min(max(0, first - self._first), len(self._buffered))
            self._buffered = np.concatenate([self._buffered[passed:], np.rint(block * 32768).astype(np.int16)])
            self._first += passed
        piece = self._buffered[max(0, first - self._first) : max(0, last - self._first)]
        return piece.copy(), max(first, self._first) / SPEECH_RATE
