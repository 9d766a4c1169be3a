"""A speaking style changes how far the mouth opens, never when it shuts in speech."""

from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.style.speaking_style import SpeakingStyle, load_style

RATE = 25
SPEAKING = slice(50, 100)


def spoken(rate: float = RATE, seconds: int = 6) -> MouthMotion:
    """Return two seconds of silence, two of syllables which shut on a p each, and silence again."""
    times = np.arange(round(seconds * rate)) / rate
    inside = (times >= 2) & (times < 4)
    visemes = np.zeros((len(times), len(VISEMES)), np.float32)
    opening = np.where(inside, 0.5 - 0.5 * np.cos(2 * np.pi * 4 * times), 0).astype(np.float32)
    opening[opening < 0.02] = 0
    visemes[~inside, 0] = 1
    visemes[inside & (opening > 0), VISEMES.index("aa")] = 1
    visemes[inside & (opening == 0), VISEMES.index("PP")] = 1
    return MouthMotion(times=times, opening=opening, width=np.where(inside, 0.7, 0.5).astype(np.float32), visemes=visemes)


def whole(style: SpeakingStyle, blocks: list[MouthMotion]) -> tuple[Float64, Float32, Float32]:
    motion = MouthMotion.concatenate(list(style.apply(blocks)))
    return motion.times, motion.opening, motion.width


def test_without_an_own_style_the_motion_is_unchanged() -> None:
    motion = spoken()
    assert list(SpeakingStyle().apply([motion])) == [motion]


def test_a_lively_presenter_opens_wider_and_still_shuts_the_lips() -> None:
    motion = spoken()
    _, opening, width = whole(SpeakingStyle(amplitude=1.3, width_amplitude=0.8, width_shift=0.05, is_own=True), [motion])
    assert opening == pytest.approx(1.3 * motion.opening)
    assert (opening[motion.opening == 0] == 0).all()
    assert width[SPEAKING] == pytest.approx(0.5 + 0.8 * 0.2 + 0.05)
    assert width[:40] == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [24000 / 1001, 25, 60])
def test_lips_that_rest_apart_do_so_in_silence_and_never_between_syllables(rate: float) -> None:
    motion = spoken(rate)
    times, opening, _ = whole(SpeakingStyle(rest_opening=0.2, is_own=True), [motion])
    assert np.array_equal(times, motion.times)
    assert opening[(times < 1.5) | (times > 4.5)] == pytest.approx(0.2)
    near = (times > 1.9) & (times < 4.1)
    assert opening[near] == pytest.approx(motion.opening[near])
    assert np.abs(np.diff(opening[times < 2])).max() <= 0.2 / (0.08 * rate)


@pytest.mark.parametrize("length", [1, 7, 40])
def test_the_result_does_not_depend_on_how_motion_is_cut_into_blocks(length: int) -> None:
    motion, style = spoken(), SpeakingStyle(amplitude=1.2, rest_opening=0.2, is_own=True)
    blocks = [motion[start : start + length] for start in range(0, len(motion), length)]
    for one, other in zip(whole(style, [motion]), whole(style, blocks), strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_no_motion_stays_no_motion() -> None:
    assert list(SpeakingStyle(rest_opening=0.2, is_own=True).apply([])) == []


def test_a_saved_style_is_read_back(tmp_path: Path) -> None:
    style = SpeakingStyle(amplitude=1.2, rest_opening=0.1, shut_share=0.35, seconds=12.5, r=0.6, lag=-0.04, z=7.1, is_own=True)
    style.save(tmp_path)
    assert load_style(tmp_path) == style
