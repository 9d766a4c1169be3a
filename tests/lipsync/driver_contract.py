"""The contract of every Driver. A suite for a driver inherits this and gives a fixture `driver`."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import Driver

RATE = 16000


def talk(seconds: float, seed: int = 0) -> Float32:
    """Return something like speech without words: a buzzing voice through two formants that move, in syllables, with hisses and a pause."""
    noise = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * t)
    phase = np.cumsum(pitch) / RATE
    first = 450 + 250 * np.sin(2 * np.pi * 1.3 * t)
    voice = sum(np.exp(-(((k * pitch - first) / 150) ** 2)) * np.sin(2 * np.pi * k * phase) for k in range(1, 12))
    voice = voice + 0.3 * np.sin(2 * np.pi * phase)
    syllable = np.clip(np.sin(2 * np.pi * 2.1 * t), 0, 1) ** 0.5
    hiss = noise.normal(0, 0.1, len(t)) * (np.sin(2 * np.pi * 2.1 * t) < -0.7)
    pause = (t % 4.0) < 3.2
    return np.asarray(0.2 * (voice * syllable + hiss) * pause, np.float32)


def joined(blocks: Iterable[MouthMotion]) -> MouthMotion:
    """Return consecutive blocks as one."""
    return MouthMotion.concatenate(list(blocks))


def cut(wave: Float32, sizes: Sequence[int]) -> Iterator[Float32]:
    """Yield the wave in blocks of these sizes, over and over."""
    place, number = 0, 0
    while place < len(wave):
        size = sizes[number % len(sizes)]
        yield wave[place : place + size]
        place, number = place + size, number + 1


def same(a: MouthMotion, b: MouthMotion) -> bool:
    """Return whether two motions are bit-identical."""
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("times", "opening", "width", "visemes")) and (
        (a.lips is None and b.lips is None) or (a.lips is not None and b.lips is not None and np.array_equal(a.lips, b.lips))
    )


UNCUT: Final = talk(5.3)
UNCUT_FRAMES: Final = (Fraction(24000, 1001), 140)
"""Speech that is given whole and in pieces; the frame rate and the number of frames of its motion."""


class DriverContract:
    """Needs a fixture `driver`."""

    def motion(self, driver: Driver, wave: Float32, frame_rate: Fraction = Fraction(25), frames: int | None = None) -> MouthMotion:
        count = round(Fraction(len(wave), RATE) * frame_rate) if frames is None else frames
        return joined(driver.motion(cut(wave, [16000]), frame_rate, count))

    def test_it_has_a_name(self, driver: Driver) -> None:
        assert driver.name.isidentifier()

    @pytest.mark.family(3)  # every frame rate and every number of frames is among them
    @pytest.mark.parametrize("frame_rate", [Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60), Fraction(7, 3)])
    @pytest.mark.parametrize("frames", [1, 2, 61, 250])
    def test_it_gives_the_requested_number_of_frames_at_exact_times(self, driver: Driver, frame_rate: Fraction, frames: int) -> None:
        motion = self.motion(driver, talk(4), frame_rate, frames)
        assert len(motion) == frames
        assert motion.times.dtype == np.float64
        assert motion.times.tolist() == [float(i / frame_rate) for i in range(frames)]

    def test_no_frames_are_no_motion(self, driver: Driver) -> None:
        assert sum(len(block) for block in driver.motion([talk(1)], Fraction(25), 0)) == 0

    def test_the_shapes_and_types_are_those_of_the_port(self, driver: Driver) -> None:
        for block in driver.motion([talk(5)], Fraction(25), 125):
            n = len(block)
            assert n > 0
            assert (block.opening.shape, block.width.shape, block.visemes.shape) == ((n,), (n,), (n, len(VISEMES)))
            assert block.opening.dtype == block.width.dtype == block.visemes.dtype == np.float32
            assert block.lips is None or (block.lips.shape == (n, 40, 3) and block.lips.dtype == np.float32)

    def test_the_values_stay_in_their_range(self, driver: Driver) -> None:
        motion = self.motion(driver, talk(8) * 3)
        assert np.isfinite(motion.opening).all()
        assert motion.opening.min() >= 0
        assert motion.opening.max() <= 1.25
        assert motion.width.min() >= -0.1
        assert motion.width.max() <= 1.1
        assert motion.visemes.min() >= 0
        np.testing.assert_allclose(motion.visemes.sum(1), 1, atol=1e-4)

    def test_speech_moves_the_mouth(self, driver: Driver) -> None:
        motion = self.motion(driver, talk(6))
        assert motion.opening.max() > 0.3
        assert motion.opening.std() > 0.05

    @pytest.fixture(scope="class")
    @classmethod
    def uncut(cls, driver: Driver) -> MouthMotion:
        """The motion of UNCUT, given as one block."""
        return joined(driver.motion([UNCUT], *UNCUT_FRAMES))

    @pytest.mark.parametrize("sizes", [[1_000_000], [160], [16000], [1, 7, 333, 16001], [15999, 2]], ids=str)
    def test_the_result_does_not_depend_on_how_the_speech_is_cut(self, driver: Driver, uncut: MouthMotion, sizes: list[int]) -> None:
        assert same(uncut, joined(driver.motion(cut(UNCUT, sizes), *UNCUT_FRAMES)))

    def test_empty_blocks_change_nothing(self, driver: Driver) -> None:
        wave, empty = talk(3), np.zeros(0, np.float32)
        assert same(self.motion(driver, wave), joined(driver.motion([empty, wave[:7000], empty, wave[7000:], empty], Fraction(25), 75)))

    def test_the_same_speech_gives_the_same_motion(self, driver: Driver) -> None:
        assert same(self.motion(driver, talk(4)), self.motion(driver, talk(4)))

    def test_earlier_speech_does_not_matter(self, driver: Driver) -> None:
        first = self.motion(driver, talk(4))
        self.motion(driver, talk(7, seed=3))
        assert same(first, self.motion(driver, talk(4)))

    def test_two_motions_do_not_disturb_each_other(self, driver: Driver) -> None:
        a, b = driver.motion([talk(9)], Fraction(25), 225), driver.motion([talk(9, seed=1)], Fraction(25), 225)
        mixed = [(next(a), next(b)) for _ in range(2)]
        whole = self.motion(driver, talk(9))
        done = sum(len(block) for block, _ in mixed)
        assert np.array_equal(np.concatenate([block.opening for block, _ in mixed]), whole.opening[:done])

    def test_digital_silence_keeps_the_lips_shut(self, driver: Driver) -> None:
        motion = self.motion(driver, np.zeros(4 * RATE, np.float32))
        assert motion.opening.max() < 0.02
        assert motion.visemes[:, 0].min() > 0.5

    @pytest.mark.family(2)
    @pytest.mark.parametrize("level", [-60, -40, -25])
    def test_steady_noise_keeps_the_lips_shut(self, driver: Driver, level: int) -> None:
        noise = np.random.default_rng(5).normal(0, 10 ** (level / 20), 6 * RATE).astype(np.float32)
        assert np.quantile(self.motion(driver, noise).opening, 0.95) < 0.05

    def test_mains_hum_keeps_the_lips_shut(self, driver: Driver) -> None:
        t = np.arange(6 * RATE) / RATE
        hum = 0.01 * (np.sin(2 * np.pi * 50 * t) + 0.5 * np.sin(2 * np.pi * 150 * t) + 0.3 * np.sin(2 * np.pi * 250 * t))
        assert self.motion(driver, hum.astype(np.float32)).opening.max() < 0.05

    def test_the_lips_are_shut_in_a_long_pause(self, driver: Driver) -> None:
        """A second after the speech and before it goes on; nearer to it, a mouth neither snaps shut nor rests."""
        wave = np.concatenate([talk(3), np.zeros(3 * RATE, np.float32), talk(3, seed=2)])
        motion = self.motion(driver, wave)
        pause = (motion.times > 4) & (motion.times < 5)
        assert motion.opening[pause].max() < 0.02
        assert motion.opening[motion.times > 6.2].max() > 0.3

    def test_after_the_speech_the_mouth_rests(self, driver: Driver) -> None:
        motion = self.motion(driver, talk(3), frames=250)
        assert motion.opening[motion.times > 3.8].max() < 0.02
        assert motion.opening[motion.times < 3].max() > 0.3

    def test_no_speech_at_all_is_rest(self, driver: Driver) -> None:
        assert joined(driver.motion([], Fraction(25), 50)).opening.max() < 0.02

    def test_a_very_short_recording_works(self, driver: Driver) -> None:
        assert len(self.motion(driver, talk(0.01), frames=1)) == 1
        assert len(self.motion(driver, np.zeros(1, np.float32), frames=3)) == 3

    def test_loud_and_soft_recordings_open_the_mouth_alike(self, driver: Driver) -> None:
        loud, soft = self.motion(driver, talk(6) * 2), self.motion(driver, talk(6) * 0.1)
        assert abs(loud.opening.mean() - soft.opening.mean()) < 0.25 * loud.opening.mean()

    def test_it_does_not_read_far_ahead(self, driver: Driver) -> None:
        """A block of motion needs the speech up to a few seconds later, never all of it: memory stays bounded."""
        taken = 0

        def speech() -> Iterator[Float32]:
            nonlocal taken
            for _ in range(40):
                taken += 1
                yield talk(1)

        motion = driver.motion(speech(), Fraction(25), 1000)
        seconds = len(next(motion)) / 25
        assert taken <= seconds + 8
