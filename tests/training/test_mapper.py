"""Predictions for people held out are measured, and calibrated to move as much and shut as often as real mouths do."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Self

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.adaptation import finetune
from heygem_daemon.lipsync.adaptation.augment import babble
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.finetune import COPIES, EncodedCopy, Example, Recipe
from heygem_daemon.lipsync.adaptation.scores import DriverMetrics, is_shut
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.model import (
    SHUT_SHARES,
    AcousticFeatures,
    Calibration,
    LipPca,
    MotionPrediction,
    PhoneticModel,
)
from heygem_daemon.lipsync.speech.network import FEATURES, PART, TRANSCRIPT_FEATURES, Mapper, VisemeHead
from heygem_daemon.lipsync.speech.voice_activity import VoiceActivity
from heygem_daemon.lipsync.speech.whisper import STREAM, SpeechEncoder
from tests.lipsync.adaptation.conftest import make_clip, syllables
from training import mapper

CLIPS = [make_clip(name, name, seed=seed) for seed, name in enumerate("abcd")]
QUICK = Recipe(members=1, steps=2, batch=2)
NONE = replace(QUICK, members=0)


def spoken(rows: int) -> AcousticFeatures:
    """Return rows in which somebody says "aa" all the time."""
    posteriors = np.zeros((rows, 16), np.float32)
    posteriors[:, 10] = 1
    return AcousticFeatures(
        features=np.zeros((rows, FEATURES), np.float32),
        posteriors=posteriors,
        speech=np.ones(rows, np.float32),
        loudness=np.zeros((rows, 2), np.float32),
    )


def prediction_of(clip: AvClip, gain: float = 1.0) -> tuple[MotionPrediction, AcousticFeatures]:
    """Return what a model predicts that follows the mouth's loudness well, all of it speech."""
    true = syllables(clip.seconds + 0.04, int("abcd".index(clip.name)), 50)
    standard = (true - true.mean()) / true.std()
    prediction = MotionPrediction(
        opening=(gain * standard).astype(np.float32),
        width=(0.5 * gain * standard).astype(np.float32),
        shut=np.exp(-true / 0.15).astype(np.float32),
    )
    return prediction, spoken(len(true))


def predictions(gain: float, odds: float = 0.0, clips: Sequence[AvClip] = CLIPS) -> mapper.Predictions:
    """Return what a model predicts of all clips; odds: is added to the logarithm of the odds of "shut"."""
    made = {}
    for clip in clips:
        prediction, acoustic = prediction_of(clip, gain)
        before = np.log(prediction.shut / np.maximum(1e-6, 1 - prediction.shut))
        made[clip.name] = replace(prediction, shut=(1 / (1 + np.exp(-before - odds))).astype(np.float32)), acoustic
    return made


def calibrated(gain: float = 0.6, clips: Sequence[AvClip] = CLIPS, *, odds: float = 0.0) -> Calibration:
    return mapper.best_calibration(clips, mapper.HeldOutPredictions(clean=predictions(gain, odds, clips), noisy={}))


def is_allowed(found: DriverMetrics, tolerance: float = 0.0) -> bool:
    """Return whether a mouth moves as far as real ones, hits enough closures, and has few false ones."""
    low, high = mapper._AMPLITUDE
    return (
        low - tolerance <= found.amplitude <= high + tolerance
        and found.closures_hit >= mapper._HITS - tolerance
        and found.closures_false <= mapper._FALSE + tolerance
    )


# -- metrics and calibration ---------------------------------------------------------------------------------------------------------------


def test_a_model_that_follows_has_good_metrics_and_a_deaf_one_has_not() -> None:
    good = mapper.metrics_of(CLIPS, {clip.name: prediction_of(clip) for clip in CLIPS}, Calibration())
    strange = mapper.metrics_of(CLIPS, {clip.name: prediction_of(CLIPS[i - 1]) for i, clip in enumerate(CLIPS)}, Calibration())
    assert good.clips == strange.clips == 4
    assert good.opening_r > 0.8
    assert abs(strange.opening_r) < 0.4


def test_predictions_are_read_at_the_true_times_of_the_frames() -> None:
    """A mouth that is filmed late is compared where it was."""
    late = [replace(clip, times=clip.times + 0.16, lag=0.16) for clip in CLIPS]
    predicted = {clip.name: prediction_of(clip) for clip in CLIPS}
    on_time, corrected = (mapper.metrics_of(clips, predicted, Calibration()) for clips in (CLIPS, late))
    assert corrected.opening_r == pytest.approx(on_time.opening_r, abs=0.02)
    wrong = mapper.metrics_of([replace(clip, lag=0.0) for clip in late], predicted, Calibration())
    assert wrong.opening_r < on_time.opening_r - 0.2


@pytest.mark.family(2)
@pytest.mark.parametrize("gain", [0.5, 0.7])
def test_the_calibration_gives_people_held_out_the_amplitude_of_real_mouths_and_closes_them_in_time(gain: float) -> None:
    predicted = predictions(gain)
    found = calibrated(gain)
    assert is_allowed(mapper.metrics_of(CLIPS, predicted, found), tolerance=0.01)
    width = found.width_gain * np.mean([prediction.width.std() for prediction, _ in predicted.values()])
    assert width == pytest.approx(0.2, rel=1e-3)


@pytest.mark.family(3)
@pytest.mark.parametrize(
    ("gain", "odds", "limit"),
    [(0.5, 0.0, "amplitude"), (0.95, -1.0, "amplitude"), (0.8, -1.5, "closures_hit"), (0.45, 1.2, "closures_false")],
)
def test_of_the_calibrations_that_move_and_close_a_mouth_as_real_ones_the_one_with_the_best_r_is_chosen(
    gain: float, odds: float, limit: str
) -> None:
    """Though others have a better r: with too little amplitude, too much, too few closures, or too many."""
    predicted = predictions(gain, odds)
    choices = [
        Calibration(opening_mean=mean, opening_gain=factor, shut_thresholds=(threshold,) * len(SHUT_SHARES))
        for mean, factor, threshold in product(mapper._MEANS, mapper._GAINS, mapper._USUAL_THRESHOLDS)
    ]
    metrics = [mapper.metrics_of(CLIPS, predicted, choice) for choice in choices]
    allowed = [each for each in metrics if is_allowed(each)]
    best = max(allowed, key=lambda each: each.opening_r)
    better = max((each for each in metrics if is_allowed(replace(each, **{limit: getattr(best, limit)}))), key=lambda each: each.opening_r)
    assert better.opening_r > best.opening_r
    found = mapper.metrics_of(CLIPS, predicted, calibrated(gain, odds=odds))
    assert is_allowed(found, tolerance=0.01)
    assert found.opening_r == pytest.approx(best.opening_r, abs=4e-4)


@pytest.mark.slow
def test_a_weaker_model_gets_a_larger_gain() -> None:
    assert calibrated(0.4).opening_gain > calibrated(0.8).opening_gain


@pytest.mark.family(4)
@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.4])
def test_a_person_whose_lips_are_shut_in_a_share_of_the_time_is_driven_so(share: float) -> None:
    calibration = replace(calibrated(), shut_share=share)
    curves = [mapper.curve_of(*prediction_of(clip, 0.6), calibration) for clip in CLIPS]
    assert np.mean([is_shut(curve.opening).mean() for curve in curves]) == pytest.approx(share, abs=0.04)


def test_the_more_the_lips_are_shut_the_lower_is_the_threshold() -> None:
    thresholds = calibrated().shut_thresholds
    assert len(thresholds) == len(SHUT_SHARES)
    assert np.all(np.diff(thresholds) <= 0)
    assert thresholds[1] > thresholds[5]


def test_a_person_nobody_knows_is_shut_as_often_as_the_finished_curves_are_at_the_threshold_that_was_chosen() -> None:
    clips = [CLIPS[0], CLIPS[1], CLIPS[2], replace(CLIPS[3], person="c")]
    found = calibrated(0.6, clips)
    chosen = min(mapper._USUAL_THRESHOLDS, key=lambda threshold: abs(threshold - found.shut_threshold))
    at_it = replace(found, shut_thresholds=(chosen,) * len(SHUT_SHARES))
    shares = [mapper.shut_shares([clip], predictions(0.6), at_it)[1] for clip in clips]
    people = [shares[0], shares[1], (shares[2] + shares[3]) / 2]
    assert found.shut_threshold == pytest.approx(chosen, abs=0.003)
    assert found.shut_share == pytest.approx(np.mean(people), abs=0.01)


@pytest.mark.family(3)
@pytest.mark.parametrize("gain", [0.5, 0.6, 0.7])
def test_a_person_nobody_knows_is_shut_from_about_the_threshold_that_was_chosen(gain: float) -> None:
    """It is found again by the share of shut lips, between the thresholds of two of SHUT_SHARES."""
    found = calibrated(gain)
    assert min(abs(threshold - found.shut_threshold) for threshold in mapper._USUAL_THRESHOLDS) < 0.02


def test_the_share_of_shut_lips_is_measured_in_truth_and_as_predicted() -> None:
    predicted = {clip.name: prediction_of(clip, 0.6) for clip in CLIPS}
    truth, found = mapper.shut_shares(CLIPS, predicted, replace(calibrated(), shut_share=0.4))
    assert truth == pytest.approx(np.mean([mapper.shut_share(clip.opening) for clip in CLIPS]))
    assert found == pytest.approx(0.4, abs=0.04)


def test_a_share_of_shut_lips_is_counted_by_the_curves_own_range() -> None:
    opening = np.concatenate([np.zeros(30), np.full(70, 0.5)]).astype(np.float32)
    assert mapper.shut_share(opening) == mapper.shut_share(3 * opening) == pytest.approx(0.3)


def test_metrics_are_rounded_for_the_card() -> None:
    found = mapper.rounded_metrics(mapper.metrics_of(CLIPS, {clip.name: prediction_of(clip) for clip in CLIPS}, Calibration()))
    assert found["clips"] == 4
    assert all(value == round(value, 3) for value in found.values())


# -- training ------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def start() -> PhoneticModel:
    """A model whose networks know nothing."""
    torch.manual_seed(0)
    return PhoneticModel(
        encoder=SpeechEncoder(),
        activity=VoiceActivity(),
        projection=torch.nn.Linear(STREAM, FEATURES),
        visemes=VisemeHead(),
        mappers=(Mapper(inputs=PART, first=PART),),
        transcript_mappers=(Mapper(inputs=TRANSCRIPT_FEATURES),),
        lip_pca=LipPca.none(),
        calibration=Calibration(opening_gain=0.77),
    )


class InThisProcess:
    """In the place of the pool of processes."""

    def __init__(self, *_: object) -> None:
        """There is nothing to start."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @staticmethod
    def map(function: Callable[..., Any], *arguments: Iterable[Any]) -> Iterable[Any]:
        return map(function, *arguments)


@pytest.fixture
def waves(monkeypatch: pytest.MonkeyPatch) -> list[Float32]:
    """The recordings that were encoded, in order; what is encoded of them is loudness alone. All work is done in this process."""
    heard: list[Float32] = []

    def encode(_: PhoneticModel, wave: Float32) -> AcousticFeatures:
        heard.append(wave)
        made = spoken(1 + len(wave) // 320)
        parts = np.array_split(wave, len(made))
        made.features[:, 0] = [np.abs(part).mean() for part in parts]
        made.loudness[:, 0] = made.features[:, 0]
        return made

    monkeypatch.setattr(mapper, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    for module in (mapper, finetune):
        monkeypatch.setattr(module, "encode_recording", encode)
    return heard


def people_of(encoded: Sequence[Sequence[EncodedCopy]]) -> set[str]:
    return {copies[0].clip.person for copies in encoded}


def test_every_clip_is_encoded_as_it_is_in_copies_and_last_below_other_people_who_talk(start: PhoneticModel, waves: list[Float32]) -> None:
    (copies, _, _, _) = mapper.encode_clips(start, CLIPS, seed=3, workers=1)
    assert len(copies) == 1 + COPIES + 1
    plain, noisy = copies[0], copies[-1]
    for each in (plain, noisy):
        assert (each.clip, each.speed, each.lead) == (CLIPS[0], 1.0, 0.0)
    assert len({copy.speed for copy in copies[1:-1]}) > 2
    noise = waves[COPIES + 1] - CLIPS[0].audio
    assert 20 * np.log10(CLIPS[0].audio.std() / noise.std()) == pytest.approx(10, abs=0.1)
    assert not np.array_equal(plain.acoustic.features, noisy.acoustic.features)


def test_nobody_talks_in_their_own_background(start: PhoneticModel, waves: list[Float32], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not under another label either: two labels are one person."""
    clips = [replace(CLIPS[0], person="grid_s1"), replace(CLIPS[1], person="grid_bbaf2n"), CLIPS[2], CLIPS[3]]
    backgrounds: list[list[Float32]] = []

    def listening(voices: Sequence[Float32], samples: int, rng: np.random.Generator) -> Float32:
        backgrounds.append(list(voices))
        return babble(voices, samples, rng)

    monkeypatch.setattr(mapper, "babble", listening)
    mapper.encode_clips(start, clips, seed=0, workers=1)
    assert waves
    for mine, others in ((0, (2, 3)), (1, (2, 3)), (2, (0, 1, 3)), (3, (0, 1, 2))):
        assert [id(voice) for voice in backgrounds[mine]] == [id(clips[other].audio) for other in others]


def test_the_same_seed_makes_the_same_copies(start: PhoneticModel, waves: list[Float32]) -> None:
    first, again, other = (mapper.encode_clips(start, CLIPS[:2], seed=seed, workers=1) for seed in (1, 1, 2))
    assert waves
    for there, here in zip(first[1], again[1], strict=True):
        assert np.array_equal(there.acoustic.features, here.acoustic.features)
    assert [copy.speed for copy in first[1]] != [copy.speed for copy in other[1]]


def test_mappers_are_trained_on_all_copies_but_that_of_the_evaluation(
    start: PhoneticModel, waves: list[Float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Sequence[Example]] = []

    def train(examples: Sequence[Example], recipe: Recipe, *, seed: int) -> tuple[Mapper, ...]:
        given.append(examples)
        return finetune.train_mappers(examples, recipe, seed=seed)

    monkeypatch.setattr(mapper, "train_mappers", train)
    encoded = mapper.encode_clips(start, CLIPS[:2], seed=0, workers=1)
    assert waves
    learned = mapper.fit_mappers(start, encoded, seed=0, mappers=QUICK, transcript_mappers=NONE)
    (examples,) = given
    expected = [copy.acoustic for copies in encoded for copy in copies[:-1]]
    assert [id(example.acoustic) for example in examples] == [id(acoustic) for acoustic in expected]
    assert learned.encoder is start.encoder
    assert learned.projection is start.projection
    assert learned.calibration == start.calibration
    assert len(learned.mappers) == 1
    assert learned.transcript_mappers is start.transcript_mappers  # none were asked for
    assert learned.lip_pca.components.shape == start.lip_pca.components.shape
    assert learned.lip_pca.components.any()


def test_transcript_mappers_are_trained_where_they_are_asked_for(start: PhoneticModel, waves: list[Float32]) -> None:
    encoded = mapper.encode_clips(start, CLIPS[:2], seed=0, workers=1)
    assert waves
    learned = mapper.fit_mappers(start, encoded, seed=0, mappers=QUICK, transcript_mappers=replace(QUICK, members=2))
    assert [each.entry.in_channels for each in learned.transcript_mappers] == [TRANSCRIPT_FEATURES] * 2


def test_nobody_is_predicted_by_mappers_that_were_trained_on_them(
    start: PhoneticModel, waves: list[Float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[set[str]] = []
    clips = [*CLIPS, *(replace(CLIPS[i], name=f"{i}", person=f"{i}") for i in range(3))]
    encoded = mapper.encode_clips(start, clips, seed=0, workers=1)
    assert waves
    owner = {id(copy.acoustic): copy.clip.person for copies in encoded for copy in copies}

    def fit(model: PhoneticModel, chosen: Sequence[Sequence[EncodedCopy]], **_: object) -> PhoneticModel:
        trained.append(people_of(chosen))
        return model

    def predict(_: PhoneticModel, acoustic: AcousticFeatures) -> tuple[MotionPrediction, AcousticFeatures]:
        assert owner[id(acoustic)] not in trained[-1]
        return prediction_of(CLIPS[0])[0], acoustic

    monkeypatch.setattr(mapper, "fit_mappers", fit)
    monkeypatch.setattr(mapper, "_predict", predict)
    unseen = mapper.cross_validate(start, encoded, seed=0, recipe=QUICK, workers=1)
    assert set(unseen.clean) == set(unseen.noisy) == {clip.name for clip in clips}
    everybody = people_of(encoded)
    assert len(trained) == mapper.FOLDS
    assert all(people < everybody for people in trained)
    assert sorted(person for people in trained for person in everybody - people) == sorted(everybody)
    for copies in encoded:
        name = copies[0].clip.name
        assert unseen.clean[name][1] is copies[0].acoustic
        assert unseen.noisy[name][1] is copies[-1].acoustic
