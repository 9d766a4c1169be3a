"""A presenter's habits, from the beginning of their own video: what a driver hears in its sound against what the mouth did."""

from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import Final

import numpy as np
from scipy.ndimage import minimum_filter1d

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.lipsync.adaptation.footage import HEARD_RATE, LARGEST_YAW, SMALLEST_FACE, HeardSpeech, speaking_spans
from heygem_daemon.lipsync.arrays import Bool, Float32, Float64
from heygem_daemon.lipsync.cache import VideoCache
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, learn_mouth, opening_of, width_of
from heygem_daemon.lipsync.geometry.pose import geometry, mean_face
from heygem_daemon.lipsync.geometry.samples import sample_faces
from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.ports import Driver
from heygem_daemon.lipsync.style.av_sync import Seen, SyncEvidence, sync_evidence
from heygem_daemon.lipsync.style.speaking_style import HABITS_VERSION, Habits, load_habits
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.speech import SPEECH_RATE, speech_blocks
from heygem_daemon.media.types import MediaInfo

LONGEST: Final = 120
"""Seconds of the video that are heard and seen."""
_HALF: Final = 2.0
"""Seconds of speech at which what was seen counts half. Half of a clip predicts the amplitude of its other half best with this much
(35 clips of 26 people, error of the log amplitude .31 -> .26)."""
_AMPLITUDE: Final = (0.7, 1.4)
_WIDTH_SHIFT: Final = 0.15
_REST: Final = (0.06, 0.3)
"""Lips that are less than this far apart in silence are shut; more than this is not rest."""
_LEAST_REST: Final = 1.0
"""Seconds of silence that say how the lips rest."""
_REST_SHARE: Final = 12
_STILL: Final = 0.3
"""Time (s) on both sides of a silent moment without a word."""
_SILENT: Final = VISEMES.index("sil")


@dataclass(frozen=True, kw_only=True, eq=False)
class HeardMotion:
    """The beginning of a sound track at HEARD_RATE: opening, width and silence float32 [n], fractions."""

    opening: Float32
    width: Float32
    silence: Float32

    def at(self, values: Float32, times: Float64) -> Float64:
        return np.interp(times * HEARD_RATE, np.arange(len(values)), values)


@dataclass(frozen=True, kw_only=True, eq=False)
class Watched:
    """The presenter's own mouth on T frames: times float64 [T] in s on the clock of the sound, opening and width float64 [T] as
    fractions of the presenter's range, usable bool [T], calm: the opening of the most closed frames."""

    times: Float64
    opening: Float64
    width: Float64
    usable: Bool
    calm: float


def presenter_habits(video_cache: VideoCache, info: MediaInfo, tracks: FaceTracks, driver: Driver, *parts: str) -> Habits:
    """Return the habits of the presenter of a video, learnt now or earlier; those of most people where its sound tells nothing:
    no sound, no speech, a sound that does not belong to the mouth, or one that cannot be read.

    parts: what the cached habits depend on beside the video and the driver: the version of the tracks, the face chosen.
    """
    if info.video is None or info.video.is_still or info.audio is None:
        return Habits()
    version = (driver.name, *driver.model_hashes.values())
    try:
        directory = video_cache.entry(lambda place: learn_habits(info, tracks, driver).save(place), HABITS_VERSION, *version, *parts)
        return load_habits(directory)
    except (HeygemError, OSError, ValueError, TypeError):
        return Habits()


def learn_habits(info: MediaInfo, tracks: FaceTracks, driver: Driver) -> Habits:
    """Hear and see the first two minutes. Raises TransientError where the file cannot be read just now."""
    video, audio = info.video, info.audio
    if video is None or audio is None:
        return Habits()
    heard = _hear(info, driver)
    if heard is None:
        return Habits()
    watched = watch_mouth(tracks, float(video.start - audio.start), min(tracks.frames, round(LONGEST * video.frame_rate)))
    speech = HeardSpeech(opening=heard.opening, speech=heard.silence < 0.5)
    usable = np.zeros(tracks.frames, bool)
    usable[: len(watched.usable)] = watched.usable
    times = np.arange(tracks.frames) / float(video.frame_rate) + float(video.start - audio.start)
    try:
        spans = speaking_spans(speech, times, usable, tracks, display_name(info.path))
    except HeygemError:
        return Habits()
    evidence = sync_evidence([Seen(times=times[s], opening=watched.opening[s].astype(np.float32), heard=speech) for s in spans])
    return compared(heard, watched, evidence)


def watch_mouth(tracks: FaceTracks, start: float, frames: int) -> Watched:
    """Return what the mouth does on the first frames. start: s, when the first one is seen, on the clock of the sound."""
    reference = mean_face(tracks)
    mouth = learn_mouth(sample_faces(tracks, reference).canonical, reference)
    seen = geometry(tracks, reference, 0, frames)
    opening, width = _fractions(mouth, opening_of(seen.canonical), width_of(seen.canonical))
    usable = seen.valid & (np.abs(seen.angles[:, 0]) <= LARGEST_YAW) & (seen.pose.scale >= SMALLEST_FACE)
    shown = opening[usable] if usable.any() else np.zeros(1)
    return Watched(
        times=np.arange(frames) / float(tracks.frame_rate) + start,
        opening=opening,
        width=width,
        usable=usable,
        calm=float(shown[shown <= np.percentile(shown, _REST_SHARE)].mean()),
    )


def _fractions(mouth: MouthModel, opening: Float64, width: Float64) -> tuple[Float64, Float64]:
    shut, wide = mouth.openings
    return (opening - shut) / (wide - shut), np.interp(width, mouth.widths, (0.0, 0.5, 1.0))


def _hear(info: MediaInfo, driver: Driver) -> HeardMotion | None:
    """Return None where there is no speech, or none that can be decoded."""
    try:
        with closing(speech_blocks(info.path)) as blocks:
            sound = list(islice(blocks, LONGEST))
    except HeygemError as problem:
        if problem.retryable:
            raise
        return None
    samples = sum(map(len, sound))
    if samples < SPEECH_RATE:
        return None
    motion = list(driver.motion(sound, Fraction(HEARD_RATE), samples * HEARD_RATE // SPEECH_RATE))
    heard = HeardMotion(
        opening=np.concatenate([block.opening for block in motion]),
        width=np.concatenate([block.width for block in motion]),
        silence=np.concatenate([block.visemes[:, _SILENT] for block in motion]),
    )
    return heard if (heard.silence < 0.5).any() else None


def compared(heard: HeardMotion, watched: Watched, evidence: SyncEvidence) -> Habits:
    """Compare what is heard and seen, if it belongs together."""
    found = Habits(r=round(evidence.r, 3), lag=round(evidence.lag, 3), z=round(evidence.z, 2))
    times = watched.times - evidence.lag
    inside = watched.usable & (times >= 0) & (times * HEARD_RATE < len(heard.opening))
    silence = heard.at(heard.silence, times)
    spoken = inside & (silence < 0.5)
    seconds = float(spoken.sum()) * float(np.median(np.diff(watched.times)))
    if not evidence.is_in_sync or spoken.sum() < 2:
        return found
    opening, width = (heard.at(values, times)[spoken] for values in (heard.opening, heard.width))
    own, own_width = watched.opening[spoken].clip(0, None), watched.width[spoken]
    confidence = seconds / (seconds + _HALF)
    spread = _shrunk(own_width.std(), width.std(), confidence)
    shift = confidence * (own_width.mean() - 0.5 - spread * (width.mean() - 0.5))
    return replace(
        found,
        amplitude=_shrunk(np.sqrt((own**2).mean()), np.sqrt((opening**2).mean()), confidence),
        width_amplitude=spread,
        width_shift=round(float(shift.clip(-_WIDTH_SHIFT, _WIDTH_SHIFT)), 3),
        rest_opening=_rest(watched, inside, silence),
        seconds=round(seconds, 1),
        is_own=True,
    )


def _shrunk(own: float, usual: float, confidence: float) -> float:
    """Return own / usual, nearer to 1 the less it is trusted (0-1), within _AMPLITUDE."""
    ratio = max(float(own), 1e-3) / max(float(usual), 1e-3)
    return round(float(np.clip(ratio**confidence, *_AMPLITUDE)), 3)


def _rest(watched: Watched, inside: Bool, silence: Float64) -> float:
    """Return how far the lips are apart when nobody speaks, beyond the most closed ones; 0 where they meet or it is not seen.

    Beyond the most closed ones, because the tracker sees full lips that meet up to .05 apart.
    """
    step = float(np.median(np.diff(watched.times)))
    reach = max(1, round(_STILL / step))
    still = inside & (minimum_filter1d(silence, 2 * reach + 1, mode="nearest") > 0.5)
    if still.sum() * step < _LEAST_REST:
        return 0.0
    apart = float(np.median(watched.opening[still])) - watched.calm
    return round(min(apart, _REST[1]), 3) if apart >= _REST[0] else 0.0
