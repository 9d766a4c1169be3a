"""A mouth for every frame, in order, in batches; smoothed only within a shot."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from heygem_daemon.lipsync.ports import FrameContext
from heygem_daemon.lipsync.wav2lip import mouth_generation
from heygem_daemon.lipsync.wav2lip.mel import SILENCE
from heygem_daemon.lipsync.wav2lip.mouth_generation import GeneratedMouth, MouthGenerator, smoothed
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurement, MouthMeasurer
from heygem_daemon.media.frame import Frame
from tests.lipsync.conftest import Clip
from tests.lipsync.driver_contract import RATE, cut, talk
from tests.lipsync.wav2lip.fake_generator import FakeGenerator, MouthImages, loudness

NO_SHIFT = Fraction(0)
FPS = Fraction(25)


@pytest.fixture
def mouth_generator(clip: Clip, reference: np.ndarray, measurer: MouthMeasurer, mouths: MouthImages) -> Callable[..., MouthGenerator]:
    """Make a generator for these frames of the clip (by default all)."""

    def make(frames: Iterable[Frame] | None = None, talker: FakeGenerator | None = None) -> MouthGenerator:
        context = FrameContext(frames=clip.frames if frames is None else frames, tracks=clip.tracks)
        talking = talker or FakeGenerator(mouths=mouths, opening=loudness)
        return MouthGenerator(context=context, reference=reference, generator=talking, measurer=measurer)

    return make


# -- generating ----------------------------------------------------------------------------------------------------------------------------


def test_every_frame_has_a_mouth_but_those_without_a_face(mouth_generator: Callable[..., MouthGenerator], clip: Clip) -> None:
    generated = list(mouth_generator().generate([talk(2)], FPS, 50, NO_SHIFT, measured=0))
    assert len(generated) == 50
    assert [mouth.lower is None for mouth in generated] == [index in clip.gap for index in range(50)]
    assert all(mouth.measurement is None for mouth in generated)


def test_a_mouth_belongs_to_its_own_audio_and_its_own_frame(
    mouth_generator: Callable[..., MouthGenerator], clip: Clip, mouths: MouthImages
) -> None:
    """The audio begins to hiss with frame 20; the first faces are those of frames that run backwards into a gap."""
    hiss = np.concatenate([np.zeros(20 * 640), np.random.default_rng(0).normal(0, 0.3, 60 * 640)]).astype(np.float32)
    order = [*range(31, 20, -1), *range(21, 50)]
    talker = FakeGenerator(mouths=mouths, opening=lambda mels: mels.max((1, 2)) > SILENCE)
    generated = list(mouth_generator([clip.frames[index] for index in order], talker).generate([hiss], FPS, 40, Fraction(1, 5), measured=0))
    shut, wide = mouths.showing([0, 1])
    for number, (index, mouth) in enumerate(zip(order, generated, strict=True)):
        if index in clip.gap:
            assert mouth.lower is None
        elif not 8 < number < 16:  # a window begins .2 s after its frame and is .2 s long
            assert mouth.lower is not None
            assert np.array_equal(mouth.lower, wide if number > 12 else shut)


@pytest.mark.family(2)
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_mouths_do_not_depend_on_the_batch_or_on_how_the_speech_is_cut(
    mouth_generator: Callable[..., MouthGenerator], mouths: MouthImages, batch: int
) -> None:
    wave = talk(2)
    talkers = [FakeGenerator(mouths=mouths, opening=loudness, batch=size) for size in (16, batch)]
    blocks = ([wave], cut(wave, [333, 1]))
    one, other = (
        list(mouth_generator(talker=talker).generate(speech, FPS, 50, NO_SHIFT, measured=12))
        for talker, speech in zip(talkers, blocks, strict=True)
    )
    assert max(talkers[1].batches) <= max(batch, 8)
    for a, b in zip(one, other, strict=True):
        assert (a.measurement, a.follows) == (b.measurement, b.follows)
        assert (a.lower is None) == (b.lower is None)
        assert a.lower is None or b.lower is None or np.array_equal(a.lower, b.lower)


def test_only_the_first_mouths_are_measured_where_no_more_are_needed(mouth_generator: Callable[..., MouthGenerator], clip: Clip) -> None:
    generated = list(mouth_generator().generate([talk(2)], FPS, 50, NO_SHIFT, measured=30))
    assert [mouth.measurement is not None for mouth in generated] == [index < 30 and index not in clip.gap for index in range(50)]


def test_with_the_first_measured_mouth_those_of_silence_are_known(
    mouth_generator: Callable[..., MouthGenerator],
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, 2 * RATE).astype(np.float32)
    measuring_all, measuring_none = mouth_generator(), mouth_generator()
    first = next(measuring_all.generate([noise], FPS, 50, NO_SHIFT, measured=50))
    assert first.measurement is not None
    assert measuring_all.silent
    assert max(measurement.opening for measurement in measuring_all.silent) < first.measurement.opening - 0.03
    assert next(measuring_none.generate([noise], FPS, 50, NO_SHIFT, measured=0)).lower is not None
    assert not measuring_none.silent


@pytest.mark.parametrize(("frames", "requested", "expected"), [(10, 25, 10), (25, 10, 10), (0, 5, 0), (5, 0, 0), (24, 24, 24)])
def test_there_are_as_many_mouths_as_frames_are_requested_and_present(
    mouth_generator: Callable[..., MouthGenerator], clip: Clip, frames: int, requested: int, expected: int
) -> None:
    generated = list(mouth_generator(clip.frames[:frames]).generate([talk(1)], FPS, requested, NO_SHIFT, measured=5))
    assert [mouth.measurement is not None for mouth in generated] == [number < 5 for number in range(expected)]


def test_a_video_without_a_face_gives_no_mouths(mouth_generator: Callable[..., MouthGenerator], clip: Clip) -> None:
    generated = list(mouth_generator([clip.frames[index] for index in clip.gap]).generate([talk(1)], FPS, 4, NO_SHIFT, measured=4))
    assert [(mouth.lower, mouth.measurement) for mouth in generated] == [(None, None)] * 4


def test_each_mouth_has_whether_it_follows_the_one_before(mouth_generator: Callable[..., MouthGenerator], clip: Clip) -> None:
    """Playing forwards and backwards continues the shot, also where the video turns; a jump does not."""
    order = [0, 1, 2, 2, 1, 0, 5, 6, 30, 29]
    generated = mouth_generator([clip.frames[index] for index in order]).generate([talk(1)], FPS, 10, NO_SHIFT, measured=0)
    assert [mouth.follows for mouth in generated] == [False, True, True, True, True, True, False, True, False, True]


def test_few_large_frames_wait_for_a_large_batch(
    mouth_generator: Callable[..., MouthGenerator], clip: Clip, mouths: MouthImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mouth_generation, "_HELD_BYTES", 3 * clip.frames[0].i420().nbytes)
    taken = 0

    def frames() -> Iterator[Frame]:
        nonlocal taken
        for frame in clip.frames:
            taken += 1
            yield frame

    talker = FakeGenerator(mouths=mouths, opening=loudness, batch=128)
    for count, _ in enumerate(mouth_generator(frames(), talker).generate([talk(2)], FPS, 50, NO_SHIFT, measured=0), start=1):
        assert taken - count < 3
    assert max(talker.batches) == 3


# -- smoothing -----------------------------------------------------------------------------------------------------------------------------


def measurement(opening: float) -> MouthMeasurement:
    return MouthMeasurement(opening=opening, width=2 * opening, score=0.9)


def mouths_of(openings: Iterable[float | None], cuts: Iterable[int] = (0,)) -> list[GeneratedMouth]:
    """Return mouths with these openings, None where it was not measured; at `cuts` another shot begins."""
    starts = set(cuts)
    return [
        GeneratedMouth(lower=None, measurement=None if opening is None else measurement(opening), follows=number not in starts)
        for number, opening in enumerate(openings)
    ]


def openings_of(mouths: Iterable[GeneratedMouth]) -> list[float | None]:
    """Return the smoothed openings."""
    return [None if measured is None else measured.opening for _, measured in smoothed(mouths)]


def test_each_mouth_comes_once_and_in_order() -> None:
    for count in range(8):
        mouths = mouths_of([0.1] * count)
        assert [mouth for mouth, _ in smoothed(mouths)] == mouths


def test_the_noise_of_the_measurement_is_smoothed() -> None:
    noise = np.random.default_rng(0).normal(0.1, 0.01, 400)
    assert np.std(np.array(openings_of(mouths_of(noise.tolist()))[2:-2], float)) < 0.75 * noise.std()


def test_a_parabola_is_not_changed() -> None:
    t = np.arange(20)
    bend = 0.1 + 0.004 * t - 0.0003 * t**2
    assert openings_of(mouths_of(bend.tolist())) == pytest.approx(bend)


def test_width_and_score_are_smoothed_alike() -> None:
    for _, measured in smoothed(mouths_of([0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.0])):
        assert measured is not None
        assert measured.width == pytest.approx(2 * measured.opening)
        assert measured.score == pytest.approx(0.9)


@pytest.mark.parametrize("where", [4, 9, 10])
def test_nothing_is_smoothed_across_a_cut(where: int) -> None:
    step = [0.1] * where + [0.3] * (20 - where)
    assert openings_of(mouths_of(step, (0, where))) == pytest.approx(step)
    assert openings_of(mouths_of(step)) != pytest.approx(step)


def test_nothing_is_smoothed_across_a_gap() -> None:
    step = [*[0.1] * 8, None, *[0.3] * 8]
    seen = openings_of(mouths_of(step))
    assert seen[8] is None
    assert seen[:8] == pytest.approx([0.1] * 8)
    assert seen[9:] == pytest.approx([0.3] * 8)


def test_next_to_a_gap_or_a_cut_a_measurement_is_not_changed() -> None:
    jagged = [0.1, 0.3, 0.1, 0.3, None, 0.3, 0.1, 0.3, 0.1]
    assert openings_of(mouths_of(jagged)) == jagged
    assert openings_of(mouths_of([0.1, 0.3, 0.1, 0.3, 0.1], (0, 3))) == [0.1, 0.3, 0.1, 0.3, 0.1]


def test_smoothing_is_two_frames_late() -> None:
    taken = 0

    def counted() -> Iterator[GeneratedMouth]:
        nonlocal taken
        for mouth in mouths_of([0.1] * 20):
            taken += 1
            yield mouth

    for count, _ in enumerate(smoothed(counted()), start=1):
        assert taken <= count + 2
