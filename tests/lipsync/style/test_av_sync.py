"""Sound that belongs to a mouth is told from sound that does not, and the offset of the footage is found."""

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.footage import HEARD_RATE, HeardSpeech
from heygem_daemon.lipsync.style.av_sync import Seen, agreement, sync_evidence
from tests.lipsync.adaptation.conftest import FRAME_RATE, syllables


def heard(seconds: float, seed: int) -> HeardSpeech:
    """Return what a driver would hear in speech: half of the motion that the mouth really makes, and errors of its own."""
    true = syllables(seconds, seed, HEARD_RATE)
    errors = syllables(seconds, seed + 7000, HEARD_RATE)
    return HeardSpeech(opening=(0.6 * true + 0.4 * errors).astype(np.float32), speech=np.ones(len(true), bool))


def seen(seconds: float, seed: int, *, late: float = 0.0, sound: int | None = None) -> Seen:
    """Return a mouth that is `late` by some s, with its own sound or that of another one."""
    fine = syllables(seconds, seed, HEARD_RATE)
    times = np.arange(round(seconds * FRAME_RATE)) / FRAME_RATE
    opening = np.interp((times - late) * HEARD_RATE, np.arange(len(fine)), fine) * 0.2
    return Seen(times=times, opening=opening.astype(np.float32), heard=heard(seconds, seed if sound is None else sound))


@pytest.mark.parametrize("late", [-0.12, 0.0, 0.083])
def test_the_offset_of_footage_is_found_to_some_milliseconds(late: float) -> None:
    evidence = sync_evidence([seen(20, 1, late=late)])
    assert evidence.is_in_sync
    assert evidence.lag == pytest.approx(late, abs=0.01)


@pytest.mark.parametrize("sound", range(2, 8))
def test_the_sound_of_somebody_else_is_not_in_sync(sound: int) -> None:
    assert not sync_evidence([seen(20, 1, sound=sound)], [heard(10, 50 + i) for i in range(5)]).is_in_sync


def test_an_offset_beyond_a_fifth_of_a_second_is_not_in_sync() -> None:
    assert not sync_evidence([seen(20, 1, late=0.4)]).is_in_sync


def test_short_stretches_of_one_video_prove_together_what_each_alone_does_not() -> None:
    pieces = [seen(2.4, seed, late=0.04) for seed in range(10, 22)]
    assert not sync_evidence(pieces[:1]).is_in_sync
    assert sync_evidence(pieces).is_in_sync


def test_a_voice_over_the_face_of_a_listener_is_told_from_the_speaker() -> None:
    assert agreement(seen(10, 1, late=0.04), 0.04) > 0.4
    assert abs(agreement(seen(10, 1, late=0.04, sound=2), 0.04)) < 0.3
