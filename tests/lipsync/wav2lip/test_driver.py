"""The drivers of a checkpoint: images and measured motion, and when the fallback driver replaces it."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import repeat

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.lipsync.arrays import Float32, Float64
from heygem_daemon.lipsync.geometry.mouth_metrics import sync_offset
from heygem_daemon.lipsync.geometry.mouth_model import learn_mouth
from heygem_daemon.lipsync.geometry.samples import sample_faces
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import FrameContext
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.transcript_drivers import VisualDriver
from heygem_daemon.lipsync.wav2lip import driver as module
from heygem_daemon.lipsync.wav2lip.driver import CalibratedModel, MouthImageDriver, MouthMotionDriver
from heygem_daemon.lipsync.wav2lip.framing import FaceBox
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurement, MouthMeasurer
from heygem_daemon.media.frame import Frame
from tests.lipsync.conftest import Clip
from tests.lipsync.driver_contract import RATE, DriverContract, cut, joined, same
from tests.lipsync.wav2lip.fake_generator import SHOWN, FakeGenerator, InvertedOpening, MouthImages, SpeechOpening, always_shut, loudness

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

FPS = Fraction(25)
NTSC_FILM = Fraction(24000, 1001)
Kind = type[MouthImageDriver] | type[MouthMotionDriver]
both_kinds = pytest.mark.parametrize("kind", [MouthImageDriver, MouthMotionDriver])


@pytest.fixture(scope="session")
def make(
    fallback_driver: PhoneticDriver, measurer: MouthMeasurer, mouths: MouthImages
) -> Callable[..., MouthImageDriver | MouthMotionDriver]:
    """Make a driver of a kind whose checkpoint gives mouths with these openings."""

    def made(
        kind: Kind, opening: Callable[[Float32], npt.ArrayLike], *, shift: Fraction = Fraction(0), follows_speech: bool = True
    ) -> MouthImageDriver | MouthMotionDriver:
        generator = FakeGenerator(mouths=mouths, opening=opening)
        model = CalibratedModel(generator=generator, sha256="5a", shift=shift, follows_speech=follows_speech)
        return kind(model, fallback_driver, measurer)

    return made


@pytest.mark.slow
class TestWithoutFrames(DriverContract):
    """The contract, for a driver that is given no frames. Slow: test_without_frames_the_motion_is_that_of_the_fallback stays."""

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls, make: Callable[..., MouthMotionDriver]) -> MouthMotionDriver:
        return make(MouthMotionDriver, always_shut)


@both_kinds
def test_without_frames_the_motion_is_that_of_the_fallback(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, voice: np.ndarray, kind: Kind
) -> None:
    wave, driver = voice[: 2 * RATE], make(kind, loudness)
    motion = joined(driver.motion(cut(wave, [1, 7, 333, 16001]), NTSC_FILM, 48))
    assert same(motion, joined(fallback_driver.motion([wave], NTSC_FILM, 48)))
    assert motion.opening.max() > 0.3


def still(clip: Clip) -> FrameContext:
    """Return a frame of the clip, repeated without end."""
    return FrameContext(frames=repeat(clip.frames[SHOWN]), tracks=clip.tracks)


def motion_of(
    driver: VisualDriver, context: FrameContext, speech: Float32 | Iterable[Float32], frame_rate: Fraction = FPS, frames: int | None = None
) -> MouthMotion:
    """Return the motion of a driver that uses the frames, in one block."""
    blocks = [speech] if isinstance(speech, np.ndarray) else list(speech)
    if frames is None:
        frames = round(sum(map(len, blocks)) * frame_rate / RATE)
    return joined(driver.motion_from_frames(context, blocks, frame_rate, frames))


@pytest.fixture
def inverted(fallback_driver: PhoneticDriver, voice: np.ndarray) -> InvertedOpening:
    """A mouth that moves against the speech."""
    return InvertedOpening(SpeechOpening(fallback_driver, voice[: 6 * RATE], lead=0.0))


def predicted(fallback_driver: PhoneticDriver, speech: Float32) -> MouthMotion:
    """Return the motion of the fallback driver."""
    return joined(fallback_driver.motion([speech], FPS, round(len(speech) * FPS / RATE)))


# -- the motion ----------------------------------------------------------------------------------------------------------------------------


@both_kinds
def test_it_is_a_visual_driver(make: Callable[..., VisualDriver], kind: Kind) -> None:
    driver = make(kind, always_shut)
    assert isinstance(driver, VisualDriver)
    assert driver.name == "wav2lip"
    assert set(driver.model_hashes) == {"wav2lip", "phonetic"}
    assert driver.model_hashes["wav2lip"] == "5a"


@pytest.mark.family(3)
@both_kinds
@pytest.mark.parametrize(("frame_rate", "frames"), [(FPS, 21), (NTSC_FILM, 18), (Fraction(60), 1), (FPS, 0)])
def test_it_gives_the_requested_number_of_frames_at_exact_times(
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


def test_only_the_image_driver_gives_mouth_images(
    make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, mouths: MouthImages
) -> None:
    motion = motion_of(make(MouthImageDriver, lambda mels: np.ones(len(mels))), still(clip), voice[: RATE // 2])
    assert motion.mouth_images is not None
    assert motion.mouth_images.shape == (len(motion), 52, 96, 3)
    assert motion.mouth_images.dtype == np.float32
    assert all(np.array_equal(image, mouths.lower[-1]) for image in motion.mouth_images)
    assert motion_of(make(MouthMotionDriver, loudness), still(clip), voice[: RATE // 2]).mouth_images is None


@pytest.mark.family(2)
@both_kinds
def test_motion_does_not_depend_on_how_the_speech_is_cut(
    make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, kind: Kind
) -> None:
    wave, driver = voice[:RATE], make(kind, loudness)
    one, other = (motion_of(driver, still(clip), speech, NTSC_FILM, 20) for speech in ([wave], cut(wave, [1, 7, 333, 16001])))
    assert same(one, other)
    assert one.confidence is not None
    assert other.confidence is not None
    assert np.array_equal(one.confidence, other.confidence)
    if kind is MouthImageDriver:
        assert one.mouth_images is not None
        assert other.mouth_images is not None
        assert np.array_equal(one.mouth_images, other.mouth_images)


@pytest.mark.family(2)
@both_kinds
def test_it_reads_a_few_dozen_frames_ahead_at_most(make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, kind: Kind) -> None:
    taken = 0

    def frames() -> Iterator[Frame]:
        nonlocal taken
        while True:
            taken += 1
            yield clip.frames[SHOWN]

    count = 0
    for block in make(kind, loudness).motion_from_frames(FrameContext(frames=frames(), tracks=clip.tracks), [voice[:RATE]], FPS, 40):
        count += len(block)
        assert taken <= count + 24


@pytest.mark.family(2)
@both_kinds
def test_where_the_frames_end_so_does_the_motion(make: Callable[..., VisualDriver], clip: Clip, voice: np.ndarray, kind: Kind) -> None:
    assert len(motion_of(make(kind, loudness), FrameContext(frames=clip.frames[:9], tracks=clip.tracks), voice, frames=20)) == 9


# -- confidence ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faithful(make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray) -> MouthMotion:
    """The motion of a mouth that follows the speech, but 80 ms early; the calibration corrects this."""
    early = Fraction(80, 1000)
    wave = voice[: 4 * RATE]
    return motion_of(make(MouthMotionDriver, SpeechOpening(fallback_driver, wave, lead=float(early)), shift=-early), still(clip), wave)


def test_a_mouth_that_follows_the_speech_is_trusted_and_measured(
    faithful: MouthMotion, fallback_driver: PhoneticDriver, voice: np.ndarray
) -> None:
    expected = predicted(fallback_driver, voice[: 4 * RATE])
    assert faithful.confidence is not None
    assert faithful.confidence.min() > 0.9
    assert np.corrcoef(faithful.opening, expected.opening)[0, 1] > 0.85
    assert faithful.opening.max() > 0.4


def test_the_offset_of_the_checkpoint_is_corrected(faithful: MouthMotion, fallback_driver: PhoneticDriver, voice: np.ndarray) -> None:
    offset, _ = sync_offset(predicted(fallback_driver, voice[: 4 * RATE]).opening, faithful.opening, FPS)
    assert abs(offset) < 15


def test_a_mouth_that_does_not_follow_the_speech_is_replaced_by_the_fallback(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray, inverted: InvertedOpening
) -> None:
    wave = voice[: 6 * RATE]
    motion, expected = motion_of(make(MouthMotionDriver, inverted), still(clip), wave), predicted(fallback_driver, wave)
    assert motion.confidence is not None
    assert motion.confidence[:8].min() > 0.9
    lost = motion.confidence < 0.01
    assert lost[4 * 25 :].all()
    np.testing.assert_allclose(motion.opening[lost], expected.opening[lost], atol=0.02)
    np.testing.assert_allclose(motion.width[lost], expected.width[lost], atol=0.02)


@pytest.mark.slow  # test_engines_end_to_end.py has such a checkpoint
def test_a_checkpoint_that_failed_its_self_test_starts_without_confidence(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray
) -> None:
    wave = voice[: 3 * RATE]
    motion = motion_of(make(MouthMotionDriver, SpeechOpening(fallback_driver, wave, lead=0.0), follows_speech=False), still(clip), wave)
    assert motion.confidence is not None
    assert motion.confidence[:3].max() < 0.1
    np.testing.assert_allclose(motion.opening[:3], predicted(fallback_driver, wave).opening[:3], atol=0.05)
    assert motion.confidence[-25:].min() > 0.9


@pytest.mark.slow
def test_lips_meet_where_the_fallback_surely_shuts_them(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray
) -> None:
    wave = np.concatenate([voice[: 2 * RATE], np.zeros(2 * RATE, np.float32)])  # a mouth takes a second to come to rest
    motion, expected = (
        motion_of(make(MouthMotionDriver, lambda mels: np.ones(len(mels))), still(clip), wave),
        predicted(fallback_driver, wave),
    )
    sure = expected.visemes[:, [VISEMES.index("sil"), VISEMES.index("PP")]].max(1) >= 0.9
    assert 20 < sure.sum() < len(sure) - 20
    np.testing.assert_allclose(motion.opening[sure], expected.opening[sure], atol=1e-5)
    assert motion.opening[-15:].max() < 0.02


class SmileMeasurer(MouthMeasurer):
    """Measures every mouth as a smile: the mesh on which how open the portrait's lips measure depends, depends on the machine."""

    def __init__(self, opening: float, width: float) -> None:
        self._smile = MouthMeasurement(opening=opening, width=width, score=1.0)

    def measure(self, frame: Frame, landmarks: Float32, box: FaceBox, lower: Float32, reference: Float64) -> MouthMeasurement:
        return self._smile


@pytest.mark.slow
def test_a_smile_that_measures_open_is_a_shut_mouth(
    fallback_driver: PhoneticDriver, mouths: MouthImages, reference: np.ndarray, clip: Clip, voice: np.ndarray
) -> None:
    """Shut lips measure half of the way to the widest mouth. The speech begins in the middle of a word: at first nothing but the mouths
    generated with silence tells how far apart they rest. Frames in which the fallback decides do not count.
    """
    mouth = learn_mouth(sample_faces(clip.tracks, reference).frontal().canonical, reference)
    shut, wide = mouth.openings
    resting = shut + module._LARGEST_REST * (wide - shut)
    measured = resting / module._OPENING_GAIN
    measurer = SmileMeasurer(measured, mouth.widths[1])
    model = CalibratedModel(generator=FakeGenerator(mouths=mouths, opening=always_shut), sha256="5a", shift=Fraction(0))
    speech = voice[10 * 640 :][:RATE]
    checked, of_images = (
        motion_of(kind(model, fallback_driver, measurer), still(clip), speech) for kind in (MouthMotionDriver, MouthImageDriver)
    )
    assert checked.confidence is not None
    assert checked.confidence[:10].min() > 0.9
    np.testing.assert_allclose(of_images.opening, (measured - shut) / (wide - shut), atol=1e-5)
    assert of_images.opening.min() > 0.4
    own = np.flatnonzero(checked.visemes[:, module._CLOSED].max(1) < module._SURE[0])
    assert own[0] < 3
    assert checked.opening[own[:3]].max() < 0.01
    assert np.median(checked.opening[:10]) < 0.1


@pytest.mark.family(2)
@both_kinds
def test_without_a_face_the_motion_is_that_of_the_fallback(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray, kind: Kind
) -> None:
    motion = motion_of(
        make(kind, lambda mels: np.ones(len(mels))), FrameContext(frames=clip.frames[14:39], tracks=clip.tracks), voice[:RATE]
    )
    gap = [index in clip.gap for index in range(14, 39)]
    expected = predicted(fallback_driver, voice[:RATE])
    assert np.array_equal(motion.opening[gap], expected.opening[gap])
    if motion.mouth_images is not None:
        assert [not image.any() for image in motion.mouth_images] == gap


@pytest.mark.slow
def test_images_are_measured_in_the_first_minute_only(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The minute is one second here."""
    monkeypatch.setattr(module, "EVALUATED_SECONDS", 1)
    motion = motion_of(make(MouthImageDriver, lambda mels: np.ones(len(mels))), still(clip), voice[: 2 * RATE])
    expected = predicted(fallback_driver, voice[: 2 * RATE])
    assert motion.opening[:25].min() > 0.5
    assert np.array_equal(motion.opening[25:], expected.opening[25:])
    assert motion.mouth_images is not None
    assert motion.mouth_images.any((1, 2, 3)).all()


@pytest.mark.slow
def test_the_motion_of_the_images_is_given_also_without_confidence(
    make: Callable[..., VisualDriver], fallback_driver: PhoneticDriver, clip: Clip, voice: np.ndarray, inverted: InvertedOpening
) -> None:
    wave = voice[: 6 * RATE]
    motion, expected = motion_of(make(MouthImageDriver, inverted), still(clip), wave), predicted(fallback_driver, wave)
    assert np.corrcoef(motion.opening, expected.opening)[0, 1] < -0.85
    assert motion.confidence is not None
    assert motion.confidence[4 * 25 :].max() < 0.01
