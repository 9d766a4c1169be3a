"""Estimate a presenter's speaking style from the beginning of their own video: the motion that a driver predicts from its audio is
compared with the motion measured in its frames."""

from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Bool, Float32, Float64
from heygem_daemon.lipsync.cache import VideoCache
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth, opening_of, width_of
from heygem_daemon.lipsync.geometry.pose import face_geometry, mean_face
from heygem_daemon.lipsync.geometry.samples import sample_faces
from heygem_daemon.lipsync.moving_window import moving_minimum
from heygem_daemon.lipsync.ports import Driver
from heygem_daemon.lipsync.style.av_sync import MouthTrack, SyncEvidence, sync_evidence
from heygem_daemon.lipsync.style.speaking_style import STYLE_VERSION, SpeakingStyle, load_style
from heygem_daemon.lipsync.style.speech_track import (
    LARGEST_YAW,
    SMALLEST_FACE,
    SPEECH_TRACK_RATE,
    SpeechTrack,
    run_driver,
    silence_of,
    speaking_spans,
)
from heygem_daemon.media.audio_tracks import choose_track
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.speech import SPEECH_RATE, speech_blocks
from heygem_daemon.media.types import MediaInfo

ESTIMATED_SECONDS: Final = 120
"""Length of the beginning of the video that is used."""
_HALF_CONFIDENCE: Final = 2.0
"""Seconds of speech at which the measured values count half. Half of a clip predicts the amplitude of its other half best with this much
(35 clips of 26 people, error of the log amplitude .31 -> .26)."""
_AMPLITUDE: Final = (0.7, 1.4)
_WIDTH_SHIFT: Final = 0.15
_REST_OPENING: Final = (0.06, 0.3)
"""Lips less than the first apart in silence are shut; more than the second is not rest."""
_LEAST_REST: Final = 1.0
"""Seconds of silence from which the rest of the lips is measured."""
_REST_PERCENTILE: Final = 12
"""Percentile of the openings up to which a frame counts as one of the most closed."""
_REST_MARGIN: Final = 0.3
"""Seconds without speech on both sides of a frame at rest."""
_SPEECH: Final = 0.5
"""Weight of the silence viseme below which a frame is speech."""
_SHUT: Final = 0.15
"""Lips are shut below this fraction of the 95th percentile of the opening, as in the training of the driver."""
_JUMPS: Final = frozenset({WarningCode.TIME_STAMP_GAP, WarningCode.JOINED_FILES})
"""Warnings about a video whose audio is elsewhere than its time stamps say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedMotion:
    """The motion predicted from the beginning of an audio track, at SPEECH_TRACK_RATE: opening, width, silence float32 [n], fractions."""

    opening: Float32
    width: Float32
    silence: Float32

    def at(self, values: Float32, times: Float64) -> Float64:
        """Return `values` (one of the arrays) at `times` (s), linear between rows."""
        return np.interp(times * SPEECH_TRACK_RATE, np.arange(len(values)), values)


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredMotion:
    """The presenter's own mouth on T frames: times float64 [T] in s on the clock of the audio, opening and width float64 [T] as
    fractions of the presenter's range, usable bool [T], shut bool [T], closed: the mean opening of the most closed frames."""

    times: Float64
    opening: Float64
    width: Float64
    usable: Bool
    shut: Bool
    closed: float


def presenter_style(video_cache: VideoCache, info: MediaInfo, tracks: FaceTracks, driver: Driver, *parts: str) -> SpeakingStyle:
    """Return the style of the presenter of a video, estimated now or earlier.

    It is that of most people where the video has no audio, no speech, audio that does not belong to the mouth or cannot be read, or time
    stamps that jump, so that nobody knows which audio belongs to which frame. parts: what the cached style depends on beside the video and
    the driver: the version of the tracks, the face chosen.
    """
    if info.video is None or info.video.is_still or info.audio is None or not _JUMPS.isdisjoint(info.warnings):
        return SpeakingStyle()
    version = (driver.name, *driver.model_hashes.values())
    try:
        directory = video_cache.entry(lambda place: estimate_style(info, tracks, driver).save(place), STYLE_VERSION, *version, *parts)
        return load_style(directory)
    except (HeygemError, OSError, ValueError, TypeError):
        return SpeakingStyle()


def estimate_style(info: MediaInfo, tracks: FaceTracks, driver: Driver) -> SpeakingStyle:
    """Estimate the style from the first two minutes. Raises TransientError where the file cannot be read just now."""
    info = choose_track(info)
    video, audio = info.video, info.audio
    if video is None or audio is None:
        return SpeakingStyle()
    predicted = _predict(info, driver)
    if predicted is None:
        return SpeakingStyle()
    start = float(video.start - audio.start)
    measured = measure_motion(tracks, start, min(tracks.frames, round(ESTIMATED_SECONDS * video.frame_rate)))
    speech = SpeechTrack(opening=predicted.opening, speech=predicted.silence < _SPEECH)
    usable = np.zeros(tracks.frames, bool)
    usable[: len(measured.usable)] = measured.usable
    times = np.arange(tracks.frames) / float(video.frame_rate) + start
    try:
        spans = speaking_spans(speech, times, usable, tracks, display_name(info.path))
    except HeygemError:
        return SpeakingStyle()
    mouths = [MouthTrack(times=times[span], opening=measured.opening[span].astype(np.float32), speech=speech) for span in spans]
    return fit_style(predicted, measured, sync_evidence(mouths))


def measure_motion(tracks: FaceTracks, start: float, frames: int) -> MeasuredMotion:
    """Return the motion of the mouth on the first `frames` frames. start: s, time of the first one on the clock of the audio."""
    reference = mean_face(tracks)
    mouth = learn_mouth(sample_faces(tracks, reference).frontal().canonical, reference)
    faces = face_geometry(tracks, reference, 0, frames)
    apart = opening_of(faces.canonical)
    opening, width = _fractions(mouth, apart, width_of(faces.canonical))
    usable = faces.valid & (np.abs(faces.angles[:, 0]) <= LARGEST_YAW) & (faces.pose.scale >= SMALLEST_FACE)
    measured = opening[usable] if usable.any() else np.zeros(1)
    return MeasuredMotion(
        times=np.arange(frames) / float(tracks.frame_rate) + start,
        opening=opening,
        width=width,
        usable=usable,
        shut=apart < _SHUT * np.percentile(apart[usable], 95) if usable.any() else np.zeros(frames, bool),
        closed=float(measured[measured <= np.percentile(measured, _REST_PERCENTILE)].mean()),
    )


def _fractions(mouth: MouthModel, opening: Float64, width: Float64) -> tuple[Float64, Float64]:
    shut, wide = mouth.openings
    return (opening - shut) / (wide - shut), np.interp(width, mouth.widths, (0.0, 0.5, 1.0))


def _predict(info: MediaInfo, driver: Driver) -> PredictedMotion | None:
    """Return None where there is no speech, or none that can be decoded."""
    try:
        with closing(speech_blocks(info)) as blocks:
            audio = list(islice(blocks, ESTIMATED_SECONDS))
    except HeygemError as problem:
        if problem.retryable:
            raise
        return None
    samples = sum(map(len, audio))
    if samples < SPEECH_RATE:
        return None
    motion = run_driver(audio, samples * SPEECH_TRACK_RATE // SPEECH_RATE, driver)
    predicted = PredictedMotion(opening=motion.opening, width=motion.width, silence=silence_of(motion))
    return predicted if (predicted.silence < _SPEECH).any() else None


def fit_style(predicted: PredictedMotion, measured: MeasuredMotion, evidence: SyncEvidence) -> SpeakingStyle:
    """Return the style that turns the predicted motion into the measured one, if audio and mouth belong together."""
    style = SpeakingStyle(r=round(evidence.r, 3), lag=round(evidence.lag, 3), z=round(evidence.z, 2))
    times = measured.times - evidence.lag
    inside = measured.usable & (times >= 0) & (times * SPEECH_TRACK_RATE < len(predicted.opening))
    silence = predicted.at(predicted.silence, times)
    spoken = inside & (silence < _SPEECH)
    seconds = float(spoken.sum()) * float(np.median(np.diff(measured.times)))
    if not evidence.is_in_sync or spoken.sum() < 2:
        return style
    opening, width = (predicted.at(values, times)[spoken] for values in (predicted.opening, predicted.width))
    own, own_width = measured.opening[spoken].clip(0, None), measured.width[spoken]
    confidence = seconds / (seconds + _HALF_CONFIDENCE)
    spread = _shrunk_ratio(own_width.std(), width.std(), confidence)
    shift = confidence * (own_width.mean() - 0.5 - spread * (width.mean() - 0.5))
    return replace(
        style,
        amplitude=_shrunk_ratio(np.sqrt((own**2).mean()), np.sqrt((opening**2).mean()), confidence),
        width_amplitude=spread,
        width_shift=round(float(shift.clip(-_WIDTH_SHIFT, _WIDTH_SHIFT)), 3),
        rest_opening=_rest_opening(measured, inside, silence),
        shut_share=round(shrunk_share(float(measured.shut[spoken].mean()), seconds), 3),
        seconds=round(seconds, 1),
        is_own=True,
    )


def shrunk_share(own: float, seconds: float) -> float:
    """Return the share of shut lips to expect of a presenter, of whom it was `own` in `seconds` of speech: near the usual one with few."""
    confidence = seconds / (seconds + _HALF_CONFIDENCE)
    return confidence * own + (1 - confidence) * SpeakingStyle().shut_share


def _shrunk_ratio(own: float, usual: float, confidence: float) -> float:
    """Return own / usual, nearer to 1 the lower the confidence (0-1), within _AMPLITUDE."""
    ratio = max(float(own), 1e-3) / max(float(usual), 1e-3)
    return round(float(np.clip(ratio**confidence, *_AMPLITUDE)), 3)


def _rest_opening(measured: MeasuredMotion, inside: Bool, silence: Float64) -> float:
    """Return how far the lips are apart in silence, beyond the most closed frames; 0 where they meet or silence is too short.

    Beyond the most closed ones, because the tracker measures full lips that meet up to .05 apart.
    """
    step = float(np.median(np.diff(measured.times)))
    reach = max(1, round(_REST_MARGIN / step))
    still = inside & (moving_minimum(silence, 2 * reach + 1) > _SPEECH)
    if still.sum() * step < _LEAST_REST:
        return 0.0
    apart = float(np.median(measured.opening[still])) - measured.closed
    shut, largest = _REST_OPENING
    return round(min(apart, largest), 3) if apart >= shut else 0.0
