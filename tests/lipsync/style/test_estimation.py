"""The speaking style is estimated from a presenter's own audio, if it belongs to the mouth; without such audio nothing fails."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.cache import Cache, VideoCache, content_key
from heygem_daemon.lipsync.face.track_video import cached_tracks
from heygem_daemon.lipsync.face_tracks import FaceTracks, TracksWriter
from heygem_daemon.lipsync.geometry import mouth_prior
from heygem_daemon.lipsync.geometry.landmarks import lower_face_weight
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.lipsync.style.av_sync import SyncEvidence
from heygem_daemon.lipsync.style.estimation import (
    MeasuredMotion,
    PredictedMotion,
    fit_style,
    measure_motion,
    presenter_style,
    shrunk_share,
)
from heygem_daemon.lipsync.style.speaking_style import SpeakingStyle
from heygem_daemon.lipsync.style.speech_track import SPEECH_TRACK_RATE
from heygem_daemon.media.probe import probe
from tests.lipsync.adaptation.conftest import FRAME_RATE, syllables
from tests.lipsync.wav2lip.tracked import write_tracks

SECONDS, SILENT = 20, 5
IN_SYNC = SyncEvidence(lag=0.04, r=0.6, z=8.0, seconds=15.0)


def predicted() -> PredictedMotion:
    opening = syllables(SECONDS, 1, SPEECH_TRACK_RATE)[: SECONDS * SPEECH_TRACK_RATE]
    silence = np.zeros(len(opening), np.float32)
    silence[-SILENT * SPEECH_TRACK_RATE :], opening[-SILENT * SPEECH_TRACK_RATE :] = 1, 0
    width = 0.5 + 0.1 * np.sin(np.arange(len(opening)) / 20)
    return PredictedMotion(opening=opening.astype(np.float32), width=width.astype(np.float32), silence=silence)


def measured(*, times_opening: float = 1.0, apart: float = 0.0, late: float = IN_SYNC.lag, shut: float = 0.2) -> MeasuredMotion:
    """Return a mouth that moves as predicted, times a factor, and rests with its lips apart; shut: fraction of each second."""
    times, motion = np.arange(SECONDS * FRAME_RATE) / FRAME_RATE, predicted()
    opening = times_opening * motion.at(motion.opening, times - late)
    opening[times > SECONDS - SILENT] = apart
    width = motion.at(motion.width, times - late)
    everywhere = np.ones(len(times), bool)
    return MeasuredMotion(times=times, opening=opening, width=width, usable=everywhere, shut=times % 1 < shut, closed=0.0)


@pytest.mark.parametrize("amplitude", [0.8, 1.0, 1.25])
def test_the_amplitude_is_nearly_that_of_the_presenter(amplitude: float) -> None:
    style = fit_style(predicted(), measured(times_opening=amplitude), IN_SYNC)
    assert style.is_own
    assert style.amplitude == pytest.approx(amplitude, abs=0.05)
    assert style.width_amplitude == pytest.approx(1, abs=0.05)
    assert style.seconds == pytest.approx(15, abs=0.2)


@pytest.mark.parametrize("amplitude", [0.1, 5.0])
def test_the_amplitude_is_limited(amplitude: float) -> None:
    assert 0.7 <= fit_style(predicted(), measured(times_opening=amplitude), IN_SYNC).amplitude <= 1.4


def test_little_speech_changes_little() -> None:
    long = measured(times_opening=1.3)
    short = replace(long, usable=long.times < 1.0)
    assert 1 < fit_style(predicted(), short, IN_SYNC).amplitude < 1.15 < fit_style(predicted(), long, IN_SYNC).amplitude


@pytest.mark.parametrize("shut", [0.0, 0.2, 0.6])
def test_the_lips_are_shut_about_as_often_as_those_of_the_presenter(shut: float) -> None:
    style = fit_style(predicted(), measured(shut=shut), IN_SYNC)
    assert style.shut_share == pytest.approx(shut, abs=0.06)


def test_the_share_of_shut_lips_is_nearer_to_the_usual_the_less_is_heard() -> None:
    long = measured(shut=0.6)
    usual = SpeakingStyle().shut_share
    styles = [fit_style(predicted(), replace(long, usable=long.times < seconds), IN_SYNC) for seconds in (1.05, 3.05, 15)]
    own = [float(long.shut[long.times < style.seconds].mean()) for style in styles]
    shares = [style.shut_share for style in styles]
    assert shares == pytest.approx([shrunk_share(share, style.seconds) for share, style in zip(own, styles, strict=True)], abs=0.01)
    assert usual < shares[0] < shares[1] < shares[2] < 0.6


def test_lips_that_are_shut_in_silence_or_on_frames_without_a_usable_face_do_not_count() -> None:
    mouth = measured(shut=0.3)
    expected = fit_style(predicted(), mouth, IN_SYNC).shut_share
    resting = replace(mouth, shut=mouth.shut | (mouth.times > SECONDS - SILENT + 0.1))
    assert fit_style(predicted(), resting, IN_SYNC).shut_share == expected
    gone = mouth.times % 2 > 1.0
    hidden = replace(mouth, usable=~gone, shut=mouth.shut | gone)
    assert fit_style(predicted(), hidden, IN_SYNC).shut_share == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("own", "seconds", "part"), [(0.6, 0.0, 0.0), (0.6, 2.0, 0.5), (0.0, 2.0, 0.5), (0.6, 6.0, 0.75), (0.6, 1000.0, 1.0)]
)
def test_two_seconds_of_speech_count_as_much_as_all_other_people(own: float, seconds: float, part: float) -> None:
    usual = SpeakingStyle().shut_share
    assert shrunk_share(own, seconds) == pytest.approx(usual + part * (own - usual), abs=0.001)


def test_lips_are_measured_as_shut_below_a_part_of_the_presenters_own_range(face: np.ndarray, tmp_path: Path) -> None:
    """For a mouth that opens less than others, too."""
    motion = mouth_prior.opening_motion(face)
    closed = mouth_prior.close_lips(face, lower_face_weight(face))
    fractions = np.tile(np.repeat([0.0, 0.05, 0.3, 1.0], 10), 3)
    held = np.arange(len(fractions)) % 10 // 2 == 2  # motion is smoothed over some frames
    for name, widest in (("wide", 0.2), ("narrow", 0.1)):
        openings = fractions * widest
        faces = 150 * (closed + openings[:, None, None] * motion) + (192, 192, 0)
        found = measure_motion(write_tracks(tmp_path / name, faces.astype(np.float32)), 0.5, len(openings))
        assert found.usable.all()
        assert np.array_equal(found.shut[held], fractions[held] < 0.1), name
        assert found.times[:2] == pytest.approx([0.5, 0.54])


@pytest.mark.parametrize(("apart", "rest"), [(0.0, 0.0), (0.03, 0.0), (0.15, 0.15), (0.9, 0.3)])
def test_lips_that_rest_apart_are_distinguished_from_lips_that_meet(apart: float, rest: float) -> None:
    assert fit_style(predicted(), measured(apart=apart), IN_SYNC).rest_opening == pytest.approx(rest)


def test_the_rest_is_not_guessed_from_a_clip_without_silence() -> None:
    motion = predicted()
    talking = PredictedMotion(opening=motion.opening, width=motion.width, silence=np.zeros_like(motion.silence))
    assert fit_style(talking, measured(apart=0.2), IN_SYNC).rest_opening == 0


def test_audio_that_does_not_belong_to_the_mouth_gives_no_style() -> None:
    dubbed = SyncEvidence(lag=0.1, r=0.2, z=1.5, seconds=15.0)
    style = fit_style(predicted(), measured(times_opening=1.4, apart=0.2), dubbed)
    assert replace(style, r=0.0, lag=0.0, z=0.0) == SpeakingStyle()
    assert style.z == 1.5


@pytest.mark.parametrize("audio", [(), ("-f", "lavfi", "-i", "anullsrc=r=16000", "-shortest")])
def test_without_audio_the_presenter_speaks_like_most_people(portrait_clip: Path, tmp_path: Path, audio: tuple[str, ...]) -> None:
    path = tmp_path / "silent.mp4"
    command = ("ffmpeg", "-v", "error", "-i", str(portrait_clip), *audio, "-c:v", "copy", str(path))
    subprocess.run(command, check=True, timeout=60)
    assert style_of(path, faceless(path, tmp_path), tmp_path) == SpeakingStyle()


def test_audio_that_cannot_be_read_raises_nothing(portrait_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "presenter.mp4"
    audio = ("-f", "lavfi", "-i", "sine=duration=2")
    subprocess.run(("ffmpeg", "-v", "error", "-i", str(portrait_clip), *audio, "-c:v", "copy", str(path)), check=True, timeout=60)
    info, tracks = probe(path), faceless(path, tmp_path)
    path.write_bytes(b"no video any more")
    with Cache(tmp_path / "cache", 2**30) as cache:
        assert presenter_style(VideoCache(cache=cache, key="a0"), info, tracks, PhoneticDriver(load(shipped_weights()))) == SpeakingStyle()


@pytest.mark.slow  # tests/lipsync/adaptation/test_footage.py has a real talker
def test_real_speech_is_recognised_and_kept_with_the_video(shared_media: Path, weights: Path, tmp_path: Path) -> None:
    path = shared_media / "softcatala_webcam_1080x720_30.mp4"
    with Cache(tmp_path / "cache", 2**30) as cache:
        tracks = cached_tracks(VideoCache(cache=cache, key=content_key(path)), probe(path), face="largest", models=weights)
    first = style_of(path, tracks, tmp_path)
    assert first.is_own
    assert abs(first.lag) < 0.1
    assert style_of(path, tracks, tmp_path) == first


def style_of(path: Path, tracks: FaceTracks, scratch: Path) -> SpeakingStyle:
    with Cache(scratch / "cache", 2**30) as cache:
        return presenter_style(VideoCache(cache=cache, key=content_key(path)), probe(path), tracks, PhoneticDriver(load(shipped_weights())))


def faceless(path: Path, scratch: Path) -> FaceTracks:
    video = probe(path).video
    assert video is not None
    with TracksWriter(scratch / "tracks", size=(video.width, video.height), frame_rate=video.frame_rate) as writer:
        writer.append(None, score=0.0, shot=0)
        return writer.finish()
