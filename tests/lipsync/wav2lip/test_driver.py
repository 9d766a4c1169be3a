"""The drivers that ask a checkpoint: what they draw and read, and when they listen to the companion instead."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import repeat

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.geometry.mouth_metrics import sync_offset
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import FrameContext
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.transcript_drivers import VisualDriver
from heygem_daemon.lipsync.wav2lip import driver as module
from heygem_daemon.lipsync.wav2lip.driver import CalibratedModel, MouthImageDriver, MouthMotionDriver
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurer
from heygem_daemon.media.frame import Frame
from tests.lipsync.conftest import Clip
from tests.lipsync.driver_contract import RATE, DriverContract, cut, joined, same
from tests.lipsync.wav2lip.talker import SHOWN, Contrary, Listener, Mouths, Talker, loudness, mute

FPS = Fraction(25)
NTSC_FILM = Fraction(24000, 1001)
Kind = type[MouthImageDriver] | type[MouthMotionDriver]
both_kinds = pytest.mark.parametrize("kind", [MouthImageDriver, MouthMotionDriver])


@pytest.fixture(scope="session")
def make(fallback_driver: PhoneticDriver, reader: MouthMeasurer, mouths: Mouths) -> Callable[..., MouthImageDriver | MouthMotionDriver]:
    """Make a driver of a kind whose checkpoint opens the mouth as `opening` says."""

    def made(kind: Kind, opening: Callable[[Float32], object], **trained: object) -> MouthImageDriver | MouthMotionDriver:
        talker = Talker(mouths=mouths, opening=opening)  # type: ignore[arg-type]
        return kind(CalibratedModel(generator=talker, sha256="5a", **{"shift": Fraction(0), **trained}), fallback_driver, reader)  # type: ignore[arg-type]

    return made


class TestWithoutSight(DriverContract):
    """The contract, for a driver that is given nothing to look at."""

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls, make: Callable[..., MouthMotionDriver]) -> MouthMotionDriver:
        return make(MouthMotionDriver, mute)


def still(clip: Clip) -> FrameContext:
    """Return a frame of the clip, again and again."""
    return FrameContext(frames=repeat(clip.frames[SHOWN]), tracks=clip.tracks)


def seen(
    driver: VisualDriver, context: FrameContext, speech: Float32 | Iterable[Float32], frame_rate: Fraction = FPS, frames: int | None = None
) -> MouthMotion:
    """Return the motion of a driver that uses the frames, in one block."""
    if frames is None:
        frames = round(len(speech) * frame_rate / RATE)  # type: ignore[arg-type]
    blocks = list(driver.motion_from_frames(context, [speech] if isinstance(speech, np.ndarray) else speech, frame_rate, frames))
    return joined(blocks)


@pytest.fixture
def contrary(fallback_driver: PhoneticDriver, voice: np.ndarray) -> Contrary:
    """A mouth that has nothing to do with what is heard."""
    return Contrary(Listener(fallback_driver, voice[: 6 * RATE], lead=0.0))


def heard(fallback_driver: PhoneticDriver, speech: Float32) -> MouthMotion:
    return joined(fallback_driver.motion([speech], FPS, round(len(speech) * FPS / RATE)))


# -- what comes ---------------------------------------------------------------------------------------------------------------------------


@both_kinds
def test_it_can_be_asked_to_look(make: Callable[..., VisualDriver], kind: Kind) -> None:
    driver = make(kind, mute)
    assert isinstance(driver, VisualDriver)
    assert driver.name == "wav2lip"
    assert set(driver.model_hashes) == {"wav2lip", "phonetic"}
    assert driver.model_hashes["wav2lip"] == "5a"


@both_kinds
@pytest.mark.parametrize(("frame_rate", "frames"), [(FPS, 21), (NTSC_FILM, 18), (Fraction(60), 1), (FPS, 0)])
def test_there_are_as_many_frames_as_asked_at_exact_times(
    make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, kind: Kind, frame_rate: Fraction, frames: int
) -> None:
    blocks = list(make(kind, loudness).motion_from_frames(still(clip), [voice[:RATE]], frame_rate, frames))
    assert [time for block in blocks for time in block.times.tolist()] == [float(i / frame_rate) for i in range(frames)]
    for block in blocks:
        n = len(block)
        assert 0 < n <= 16
        assert (block.opening.shape, block.width.shape, block.visemes.shape) == ((n,), (n,), (n, len(VISEMES)))
        assert block.confidence is not None
        assert block.confidence.shape == (n,)
        assert block.opening.dtype == block.width.dtype == block.visemes.dtype == block.confidence.dtype == np.float32
        assert 0 <= block.opening.min() <= block.opening.max() <= 1.25
        assert 0 <= block.confidence.min() <= block.confidence.max() <= 1
        np.testing.assert_allclose(block.visemes.sum(1), 1, atol=1e-4)


def test_the_one_that_draws_gives_the_pictures_and_the_one_that_reads_does_not(
    make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, mouths: Mouths
) -> None:
    drawn = seen(make(MouthImageDriver, lambda mels: np.ones(len(mels))), still(clip), voice[: RATE // 2])
    assert drawn.mouth_images is not None
    assert drawn.mouth_images.shape == (len(drawn), 52, 96, 3)
    assert drawn.mouth_images.dtype == np.float32
    assert all(np.array_equal(picture, mouths.lower[-1]) for picture in drawn.mouth_images)
    assert seen(make(MouthMotionDriver, loudness), still(clip), voice[: RATE // 2]).mouth_images is None


@both_kinds
def test_motion_does_not_depend_on_how_the_speech_is_cut(
    make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, kind: Kind
) -> None:
    wave, driver = voice[:RATE], make(kind, loudness)
    one, other = (seen(driver, still(clip), speech, NTSC_FILM, 20) for speech in ([wave], cut(wave, [1, 7, 333, 16001])))
    assert same(one, other)
    assert np.array_equal(one.confidence, other.confidence)
    assert kind is MouthMotionDriver or np.array_equal(one.mouth_images, other.mouth_images)


@both_kinds
def test_it_looks_a_few_dozen_frames_ahead_at_most(make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, kind: Kind) -> None:
    taken = 0

    def frames() -> Iterator[Frame]:
        nonlocal taken
        while True:
            taken += 1
            yield clip.frames[SHOWN]

    given = 0
    for block in make(kind, loudness).motion_from_frames(FrameContext(frames=frames(), tracks=clip.tracks), [voice[:RATE]], FPS, 40):
        given += len(block)
        assert taken <= given + 24


@both_kinds
def test_where_the_frames_end_so_does_the_motion(make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, kind: Kind) -> None:
    assert len(seen(make(kind, loudness), FrameContext(frames=clip.frames[:9], tracks=clip.tracks), voice, frames=20)) == 9


# -- what is believed ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faithful(make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray) -> MouthMotion:
    """The motion read from a mouth that speaks what is heard, but comes 80 ms early; the calibration knows it."""
    early = Fraction(80, 1000)
    wave = voice[: 4 * RATE]
    return seen(make(MouthMotionDriver, Listener(fallback_driver, wave, lead=float(early)), shift=-early), still(clip), wave)


def test_a_mouth_that_speaks_what_is_heard_is_believed_and_read(
    faithful: MouthMotion, fallback_driver: PhoneticDriver, voice: np.ndarray
) -> None:
    own = heard(fallback_driver, voice[: 4 * RATE])
    assert faithful.confidence is not None
    assert faithful.confidence.min() > 0.9
    assert np.corrcoef(faithful.opening, own.opening)[0, 1] > 0.85
    assert faithful.opening.max() > 0.4


def test_the_offset_of_the_checkpoint_is_taken_off(faithful: MouthMotion, fallback_driver: PhoneticDriver, voice: np.ndarray) -> None:
    offset, _ = sync_offset(heard(fallback_driver, voice[: 4 * RATE]).opening, faithful.opening, FPS)
    assert abs(offset) < 15


def test_a_mouth_that_says_something_else_gives_way_to_what_is_heard(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray, contrary: Contrary
) -> None:
    wave = voice[: 6 * RATE]
    motion, own = seen(make(MouthMotionDriver, contrary), still(clip), wave), heard(fallback_driver, wave)
    assert motion.confidence is not None
    assert motion.confidence[:8].min() > 0.9
    lost = motion.confidence < 0.01
    assert lost[4 * 25 :].all()
    np.testing.assert_allclose(motion.opening[lost], own.opening[lost], atol=0.02)
    np.testing.assert_allclose(motion.width[lost], own.width[lost], atol=0.02)


def test_a_checkpoint_that_did_not_follow_speech_in_its_self_test_has_to_earn_trust(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray
) -> None:
    wave = voice[: 3 * RATE]
    motion = seen(make(MouthMotionDriver, Listener(fallback_driver, wave, lead=0.0), follows_speech=False), still(clip), wave)
    assert motion.confidence is not None
    assert motion.confidence[:3].max() < 0.1
    np.testing.assert_allclose(motion.opening[:3], heard(fallback_driver, wave).opening[:3], atol=0.05)
    assert motion.confidence[-25:].min() > 0.9


def test_lips_meet_where_they_are_surely_heard_to(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray
) -> None:
    wave = np.concatenate([voice[: 2 * RATE], np.zeros(RATE, np.float32)])
    motion, own = seen(make(MouthMotionDriver, lambda mels: np.ones(len(mels))), still(clip), wave), heard(fallback_driver, wave)
    sure = own.visemes[:, [VISEMES.index("sil"), VISEMES.index("PP")]].max(1) >= 0.9
    assert 20 < sure.sum() < len(sure) - 20
    np.testing.assert_allclose(motion.opening[sure], own.opening[sure], atol=1e-5)
    assert motion.opening[-15:].max() < 0.02


def test_a_smile_that_reads_open_is_no_open_mouth(make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray) -> None:
    """Of her shut lips .08 IOD are read, half of the way to the widest mouth. The speech begins in the middle of a word."""
    speech = voice[10 * 640 :][:RATE]
    read, drawn = (seen(make(kind, mute), still(clip), speech) for kind in (MouthMotionDriver, MouthImageDriver))
    assert read.confidence is not None
    assert read.confidence[:10].min() > 0.9
    assert drawn.opening.min() > 0.4
    assert read.opening[:3].max() < 0.1
    assert np.median(read.opening[:10]) < 0.1


@both_kinds
def test_where_there_is_no_face_the_mouth_does_what_is_heard(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray, kind: Kind
) -> None:
    motion = seen(make(kind, lambda mels: np.ones(len(mels))), FrameContext(frames=clip.frames[14:39], tracks=clip.tracks), voice[:RATE])
    gap = [index in clip.gap for index in range(14, 39)]
    own = heard(fallback_driver, voice[:RATE])
    assert np.array_equal(motion.opening[gap], own.opening[gap])
    if motion.mouth_images is not None:
        assert [not picture.any() for picture in motion.mouth_images] == gap


def test_pictures_are_read_in_the_first_minute_only(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The minute is one second here."""
    monkeypatch.setattr(module, "LONGEST", 1)
    motion = seen(make(MouthImageDriver, lambda mels: np.ones(len(mels))), still(clip), voice[: 2 * RATE])
    own = heard(fallback_driver, voice[: 2 * RATE])
    assert motion.opening[:25].min() > 0.5
    assert np.array_equal(motion.opening[25:], own.opening[25:])
    assert motion.mouth_images is not None
    assert motion.mouth_images.any((1, 2, 3)).all()


def test_what_a_picture_shows_is_said_whether_it_makes_sense_or_not(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray, contrary: Contrary
) -> None:
    wave = voice[: 6 * RATE]
    motion, own = seen(make(MouthImageDriver, contrary), still(clip), wave), heard(fallback_driver, wave)
    assert np.corrcoef(motion.opening, own.opening)[0, 1] < -0.85
    assert motion.confidence is not None
    assert motion.confidence[4 * 25 :].max() < 0.01
