"""A presenter's own sound says how the presenter speaks, if it belongs to the mouth; without such a sound nothing fails."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.footage import HEARD_RATE
from heygem_daemon.lipsync.cache import Cache, VideoCache, content_key
from heygem_daemon.lipsync.face.track_video import cached_tracks
from heygem_daemon.lipsync.face_tracks import FaceTracks, TracksWriter
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.lipsync.style.av_sync import SyncEvidence
from heygem_daemon.lipsync.style.estimation import HeardMotion, Watched, compared, presenter_habits
from heygem_daemon.lipsync.style.speaking_style import Habits
from heygem_daemon.media.probe import probe
from tests.lipsync.adaptation.conftest import FRAME_RATE, syllables

SECONDS, SILENT = 20, 5
IN_SYNC = SyncEvidence(lag=0.04, r=0.6, z=8.0, seconds=15.0)


def heard() -> HeardMotion:
    opening = syllables(SECONDS, 1, HEARD_RATE)[: SECONDS * HEARD_RATE]
    silence = np.zeros(len(opening), np.float32)
    silence[-SILENT * HEARD_RATE :], opening[-SILENT * HEARD_RATE :] = 1, 0
    width = 0.5 + 0.1 * np.sin(np.arange(len(opening)) / 20)
    return HeardMotion(opening=opening.astype(np.float32), width=width.astype(np.float32), silence=silence)


def watched(*, times_opening: float = 1.0, apart: float = 0.0, late: float = IN_SYNC.lag) -> Watched:
    """Return a mouth that does what is heard, some times as far, and rests with its lips apart."""
    times, sound = np.arange(SECONDS * FRAME_RATE) / FRAME_RATE, heard()
    opening = times_opening * sound.at(sound.opening, times - late)
    opening[times > SECONDS - SILENT] = apart
    width = sound.at(sound.width, times - late)
    return Watched(times=times, opening=opening, width=width, usable=np.ones(len(times), bool), calm=0.0)


@pytest.mark.parametrize("amplitude", [0.8, 1.0, 1.25])
def test_the_amplitude_is_nearly_that_of_the_presenter(amplitude: float) -> None:
    habits = compared(heard(), watched(times_opening=amplitude), IN_SYNC)
    assert habits.is_own
    assert habits.amplitude == pytest.approx(amplitude, abs=0.05)
    assert habits.width_amplitude == pytest.approx(1, abs=0.05)
    assert habits.seconds == pytest.approx(15, abs=0.2)


@pytest.mark.parametrize("amplitude", [0.1, 5.0])
def test_no_presenter_mumbles_or_shouts(amplitude: float) -> None:
    assert 0.7 <= compared(heard(), watched(times_opening=amplitude), IN_SYNC).amplitude <= 1.4


def test_little_speech_changes_little() -> None:
    long = watched(times_opening=1.3)
    short = replace(long, usable=long.times < 1.0)
    assert 1 < compared(heard(), short, IN_SYNC).amplitude < 1.15 < compared(heard(), long, IN_SYNC).amplitude


@pytest.mark.parametrize(("apart", "rest"), [(0.0, 0.0), (0.03, 0.0), (0.15, 0.15), (0.9, 0.3)])
def test_lips_that_rest_apart_are_told_from_lips_that_meet(apart: float, rest: float) -> None:
    assert compared(heard(), watched(apart=apart), IN_SYNC).rest_opening == pytest.approx(rest)


def test_the_rest_is_not_guessed_from_a_clip_without_silence() -> None:
    sound = heard()
    talking = HeardMotion(opening=sound.opening, width=sound.width, silence=np.zeros_like(sound.silence))
    assert compared(talking, watched(apart=0.2), IN_SYNC).rest_opening == 0


def test_a_sound_that_does_not_belong_to_the_mouth_teaches_nothing() -> None:
    dubbed = SyncEvidence(lag=0.1, r=0.2, z=1.5, seconds=15.0)
    habits = compared(heard(), watched(times_opening=1.4, apart=0.2), dubbed)
    assert replace(habits, r=0.0, lag=0.0, z=0.0) == Habits()
    assert habits.z == 1.5


@pytest.mark.parametrize("sound", [(), ("-f", "lavfi", "-i", "anullsrc=r=16000", "-shortest")])
def test_without_a_sound_the_presenter_speaks_like_most_people(portrait_clip: Path, tmp_path: Path, sound: tuple[str, ...]) -> None:
    path = tmp_path / "silent.mp4"
    command = ("ffmpeg", "-v", "error", "-i", str(portrait_clip), *sound, "-c:v", "copy", str(path))
    subprocess.run(command, check=True, timeout=60)
    assert habits_of(path, faceless(path, tmp_path), tmp_path) == Habits()


def test_a_sound_that_cannot_be_read_stops_nothing(portrait_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "presenter.mp4"
    sound = ("-f", "lavfi", "-i", "sine=duration=2")
    subprocess.run(("ffmpeg", "-v", "error", "-i", str(portrait_clip), *sound, "-c:v", "copy", str(path)), check=True, timeout=60)
    info, tracks = probe(path), faceless(path, tmp_path)
    path.write_bytes(b"no video any more")
    with Cache(tmp_path / "cache", 2**30) as cache:
        assert presenter_habits(VideoCache(cache=cache, key="a0"), info, tracks, PhoneticDriver(load(shipped_weights()))) == Habits()


def test_real_speech_is_recognised_and_kept_with_the_video(shared_media: Path, weights: Path, tmp_path: Path) -> None:
    path = shared_media / "softcatala_webcam_1080x720_30.mp4"
    with Cache(tmp_path / "cache", 2**30) as cache:
        tracks = cached_tracks(VideoCache(cache=cache, key=content_key(path)), probe(path), face="largest", models=weights)
    first = habits_of(path, tracks, tmp_path)
    assert first.is_own
    assert abs(first.lag) < 0.1
    assert habits_of(path, tracks, tmp_path) == first


def habits_of(path: Path, tracks: FaceTracks, scratch: Path) -> Habits:
    with Cache(scratch / "cache", 2**30) as cache:
        return presenter_habits(
            VideoCache(cache=cache, key=content_key(path)), probe(path), tracks, PhoneticDriver(load(shipped_weights()))
        )


def faceless(path: Path, scratch: Path) -> FaceTracks:
    video = probe(path).video
    assert video is not None
    with TracksWriter(scratch / "tracks", size=(video.width, video.height), frame_rate=video.frame_rate) as writer:
        writer.append(None, score=0.0, shot=0)
        return writer.finish()
