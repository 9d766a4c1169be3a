"""Audio that belongs to a mouth is distinguished from audio that does not, and the offset of the footage is measured."""

import numpy as np
import pytest

from heygem_daemon.lipsync.style.av_sync import MouthTrack, agreement, sync_evidence
from heygem_daemon.lipsync.style.speech_track import SPEECH_TRACK_RATE, SpeechTrack
from tests.lipsync.adaptation.conftest import FRAME_RATE, syllables


def speech(seconds: float, seed: int) -> SpeechTrack:
    """Return what a driver would predict from speech: part of the true motion of the mouth, and errors of its own."""
    true = syllables(seconds, seed, SPEECH_TRACK_RATE)
    errors = syllables(seconds, seed + 7000, SPEECH_TRACK_RATE)
    return SpeechTrack(opening=(0.6 * true + 0.4 * errors).astype(np.float32), speech=np.ones(len(true), bool))


def mouth(seconds: float, seed: int, *, late: float = 0.0, audio: int | None = None) -> MouthTrack:
    """Return a mouth that is `late` (s), with its own audio or that of another one."""
    fine = syllables(seconds, seed, SPEECH_TRACK_RATE)
    times = np.arange(round(seconds * FRAME_RATE)) / FRAME_RATE
    opening = np.interp((times - late) * SPEECH_TRACK_RATE, np.arange(len(fine)), fine) * 0.2
    return MouthTrack(times=times, opening=opening.astype(np.float32), speech=speech(seconds, seed if audio is None else audio))


@pytest.mark.parametrize("late", [-0.12, 0.0, 0.083])
def test_the_offset_of_footage_is_measured_to_some_milliseconds(late: float) -> None:
    evidence = sync_evidence([mouth(20, 1, late=late)])
    assert evidence.is_in_sync
    assert evidence.lag == pytest.approx(late, abs=0.01)


@pytest.mark.parametrize("audio", range(2, 8))
def test_the_audio_of_somebody_else_is_not_in_sync(audio: int) -> None:
    assert not sync_evidence([mouth(20, 1, audio=audio)], [speech(10, 50 + i) for i in range(5)]).is_in_sync


def test_an_offset_beyond_a_fifth_of_a_second_is_not_in_sync() -> None:
    assert not sync_evidence([mouth(20, 1, late=0.4)]).is_in_sync


def test_short_spans_of_one_video_are_in_sync_together_where_each_alone_is_not() -> None:
    pieces = [mouth(2.4, seed, late=0.04) for seed in range(10, 22)]
    assert not sync_evidence(pieces[:1]).is_in_sync
    assert sync_evidence(pieces).is_in_sync


def test_a_voice_over_the_face_of_a_listener_does_not_agree_with_it() -> None:
    assert agreement(mouth(10, 1, late=0.04), 0.04) > 0.4
    assert abs(agreement(mouth(10, 1, late=0.04, audio=2), 0.04)) < 0.3
