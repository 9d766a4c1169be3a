"""Mappers learn from clips: the same ones from the same clips, nearer to the measured mouths."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.adaptation import finetune
from heygem_daemon.lipsync.adaptation.adapt import WeightStore
from heygem_daemon.lipsync.adaptation.augment import Augmented
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.finetune import (
    FINE_COPIES,
    TARGETS,
    Example,
    Recipe,
    encode_copies,
    encoded_copies,
    examples_of,
    fine_tune,
    learning_rate_factor,
    lip_pca_of,
    train_mappers,
    train_transcript_mappers,
    with_posteriors,
)
from heygem_daemon.lipsync.adaptation.phonetic_method import phonetic_method
from heygem_daemon.lipsync.adaptation.scores import correlation
from heygem_daemon.lipsync.motion import VISEMES, viseme_index
from heygem_daemon.lipsync.speech.model import AcousticFeatures, PhoneticModel, encode_recording, load, predict, transcript_features
from heygem_daemon.lipsync.speech.network import COMPONENTS, FEATURES, PART, TRANSCRIPT_FEATURES, Mapper
from heygem_daemon.lipsync.speech.weights import shipped_weights
from tests.lipsync.adaptation.conftest import make_clip
from tests.synthetic_speech import synthesise

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

TINY = Recipe(members=1, steps=6, batch=6)
SENTENCES = {
    "a": "She sells sea shells on the sunny shore.",
    "b": "Nobody goes to the garden late at night.",
    "c": "Six good ideas cost us nothing.",
}


def odd_clip(model: PhoneticModel, name: str, text: str) -> AvClip:
    """A person whose mouth is a function of the posteriors: it opens for hisses and stops, as nobody's does."""
    wave, _ = synthesise(text, "en-us")
    posteriors = encode_recording(model, wave).posteriors
    times = np.arange(round(len(wave) / 640) - 2) / 25
    opening = 0.02 + 0.2 * posteriors[:, [viseme_index(v) for v in ("SS", "CH", "DD", "kk", "nn")]].sum(1)
    at = np.interp(times, np.arange(len(opening)) / 50, opening).astype(np.float32)
    lips = np.zeros((len(times), 40, 3), np.float32)
    lips[:, :20, 1] = at[:, None]
    return AvClip(name=name, person=name, audio=wave, times=times, lag=0.0, opening=at, width=0.6 - at, lips=lips)


@pytest.fixture(scope="module")
def start() -> PhoneticModel:
    """The shipped weights, one mapper and one transcript mapper of them."""
    model = load(shipped_weights())
    return model.with_(mappers=model.mappers[:1], transcript_mappers=model.transcript_mappers[:1])


@pytest.fixture(scope="module")
def plain(start: PhoneticModel, clips: list[AvClip]) -> list[Example]:
    """The clips as they are, encoded once."""
    return examples_of(encode_copies(start, clips, copies=0), clips, start.lip_pca)


@pytest.fixture(scope="module")
def short(clips: list[AvClip]) -> list[AvClip]:
    """The first second of two clips, for what has to be encoded again and again."""
    return [
        replace(
            clip, audio=clip.audio[:16000], times=clip.times[:25], opening=clip.opening[:25], width=clip.width[:25], lips=clip.lips[:25]
        )
        for clip in clips[:2]
    ]


@pytest.fixture(scope="module")
def clips(start: PhoneticModel) -> list[AvClip]:
    return [odd_clip(start, name, text) for name, text in SENTENCES.items()]


def agreement(model: PhoneticModel, clips: list[AvClip], plain: list[Example]) -> float:
    """Return the mean r of the predicted opening and the true one."""
    found = []
    for clip, example in zip(clips, plain, strict=True):
        opening = predict(model, example.acoustic.features).opening
        found.append(correlation(np.interp(clip.times, np.arange(len(opening)) / 50, opening).astype(np.float32), clip.opening))
    return float(np.mean(found))


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    there, here = a.state_dict(), b.state_dict()
    return there.keys() == here.keys() and all(torch.equal(there[name], here[name]) for name in there)


@pytest.mark.slow
def test_fine_tuning_goes_towards_the_measured_mouths(
    start: PhoneticModel, clips: list[AvClip], plain: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "FINE", replace(finetune.FINE, steps=40, batch=8, rate=3e-3))
    fractions: list[float] = []
    tuned = fine_tune(start, clips, on_progress=fractions.append)
    before, after = agreement(start, clips, plain), agreement(tuned, clips, plain)
    print(f"r {before:.2f} -> {after:.2f}")  # noqa: T201
    assert after > before + 0.1
    assert (len(tuned.mappers), len(tuned.transcript_mappers)) == (1, 1)
    assert tuned.encoder is start.encoder
    assert tuned.projection is start.projection
    assert tuned.visemes is start.visemes
    assert tuned.calibration == start.calibration
    assert tuned.lip_pca is start.lip_pca
    assert fractions[-1] == 1.0
    assert all(a < b for a, b in pairwise(fractions))


@pytest.mark.slow
def test_the_start_is_left_as_it_was(start: PhoneticModel, plain: list[Example]) -> None:
    train_mappers(plain, TINY, start=start.mappers)
    assert same_weights(start.mappers[0], load(shipped_weights()).mappers[0])
    assert not start.mappers[0].training


@pytest.mark.slow
def test_the_same_clips_and_seed_give_the_same_mappers(start: PhoneticModel, short: list[AvClip], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "FINE", replace(finetune.FINE, steps=3, batch=4))
    first, again, other = (fine_tune(start, short, seed=seed) for seed in (1, 1, 2))
    assert same_weights(first.mappers[0], again.mappers[0])
    assert same_weights(first.transcript_mappers[0], again.transcript_mappers[0])
    assert not same_weights(first.mappers[0], other.mappers[0])


@pytest.mark.slow
def test_an_anchor_holds_the_weights_near_where_they_began(start: PhoneticModel, plain: list[Example]) -> None:
    def gone(anchor: float) -> float:
        (mapper,) = train_mappers(plain[:1], replace(TINY, steps=25, rate=5e-3, decay=0.0, anchor=anchor), start=start.mappers)
        there, here = start.mappers[0].state_dict(), mapper.state_dict()
        return sum(float(((here[name] - there[name]) ** 2).sum()) for name in there)

    assert gone(10.0) < 0.7 * gone(0.0)


def test_mappers_begin_apart_and_are_as_many_as_the_recipe_says(plain: list[Example]) -> None:
    first, second = train_mappers(plain[:1], replace(TINY, members=2, steps=2))
    assert not same_weights(first, second)
    assert not first.training
    features = torch.from_numpy(plain[0].acoustic.features.T[None])
    assert first(features).shape == (1, TARGETS + 1, len(plain[0].acoustic))
    assert train_mappers(plain[:1], replace(TINY, members=0)) == ()


def test_mappers_read_the_features_of_one_model_of_the_encoder_and_of_the_other_in_turn(plain: list[Example]) -> None:
    mappers = train_mappers(plain[:1], replace(TINY, members=3, steps=1))
    assert [(int(mapper.first), mapper.entry.in_channels) for mapper in mappers] == [(0, PART), (PART, PART), (0, PART)]


def test_mappers_that_are_trained_further_go_on_to_read_what_they_read(plain: list[Example]) -> None:
    start = tuple(Mapper(inputs=PART, first=first) for first in (PART, 0))
    assert [int(mapper.first) for mapper in train_mappers(plain[:1], replace(TINY, steps=1), start=start)] == [PART, 0]


@pytest.mark.slow
def test_transcript_mappers_learn_from_visemes_and_loudness_alone(clips: list[AvClip], plain: list[Example]) -> None:
    (mapper,) = train_transcript_mappers(plain, replace(TINY, steps=40, batch=8, rate=5e-3, dropout=0.0))
    features = transcript_features(plain[0].acoustic)
    assert features.shape[1] == TRANSCRIPT_FEATURES
    opening = mapper(torch.from_numpy(np.ascontiguousarray(features.T))[None])[0, 0].detach().numpy()
    at = np.interp(clips[0].times, np.arange(len(opening)) / 50, opening).astype(np.float32)
    assert correlation(at, clips[0].opening) > 0.5


def test_an_example_is_in_time_with_its_copy_and_masked_where_no_mouth_was_measured(start: PhoneticModel, clips: list[AvClip]) -> None:
    lip_pca = lip_pca_of(clips)
    made = examples_of(encode_copies(start, clips, copies=2), clips, lip_pca)
    assert [example.person for example in made] == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    for example in made:
        rows = len(example.mask)
        assert example.acoustic.features.shape == (rows, FEATURES)
        assert example.acoustic.posteriors.shape == (rows, len(VISEMES))
        assert example.targets.shape == (rows, TARGETS)
        assert set(np.unique(example.mask)) <= {0.0, 1.0}
        assert set(np.unique(example.shut)) <= {0.0, 1.0}
    plain = made[0]
    seen = plain.mask > 0
    assert seen.sum() == pytest.approx(50 * clips[0].seconds, abs=4)
    assert not seen[-1]
    opening = np.interp(np.arange(len(seen)) / 50, clips[0].times, clips[0].opening)
    assert np.corrcoef(plain.targets[seen, 0], opening[seen])[0, 1] == pytest.approx(1, abs=1e-4)
    assert np.array_equal(plain.shut[seen], opening[seen] < 0.15 * np.percentile(clips[0].opening, 95))
    assert abs(plain.targets[seen, 0].mean()) < 0.15
    # This mouth is a function of the posteriors, so a copy's targets must follow the posteriors of the copy.
    for copy in made[1:3]:
        seen = copy.mask > 0
        hiss = copy.acoustic.posteriors[seen, viseme_index("SS")]
        assert np.corrcoef(hiss, copy.targets[seen, 0])[0, 1] > 0.2


def test_a_copy_is_encoded_from_its_own_audio_and_knows_how_it_was_changed(
    start: PhoneticModel, short: list[AvClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = encoded_copies(start, short[0], [short[1].audio], copies=3, seed=(1, 2))
    assert all(copy.clip is short[0] for copy in copies)
    assert (copies[0].speed, copies[0].lead) == (1.0, 0.0)
    np.testing.assert_array_equal(copies[0].acoustic.features, encode_recording(start, short[0].audio).features)
    for copy in copies[1:]:
        assert copy.lead > 0
        assert copy.lead + 1 / copy.speed < len(copy.acoustic) / 50 < copy.lead + 1 / copy.speed + 0.52
    heard: list[Sequence[np.ndarray]] = []

    def augmented(wave: np.ndarray, _rng: np.random.Generator, voices: Sequence[np.ndarray], _: object) -> Augmented:
        heard.append(voices)
        return Augmented(wave=wave, speed=1.0, lead=0.0)

    monkeypatch.setattr(finetune, "augment", augmented)
    monkeypatch.setattr(finetune, "encode_recording", lambda *_: copies[0].acoustic)
    encode_copies(start, [*short, replace(short[1], name="more of a", person=short[0].person)], copies=1)
    assert [[id(voice) for voice in voices] for voices in heard] == [  # nobody talks in their own background
        [id(short[1].audio)],
        [id(short[0].audio), id(short[1].audio)],
        [id(short[1].audio)],
    ]


@pytest.mark.slow
def test_what_is_encoded_beforehand_is_not_encoded_again(
    start: PhoneticModel, short: list[AvClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every fold, and only where all clips are there: the result is that of copies made for everybody."""
    method = phonetic_method(WeightStore(shipped=Path(), load=lambda _: start, save=lambda *_: None))
    monkeypatch.setattr(finetune, "FINE", replace(finetune.FINE, steps=2, batch=4))
    heard: list[np.ndarray] = []

    def listening(model: PhoneticModel, wave: np.ndarray) -> AcousticFeatures:
        heard.append(wave)
        return encode_recording(model, wave)

    monkeypatch.setattr(finetune, "encode_recording", listening)
    method.prepare(short)
    assert len(heard) == len(short) * (1 + FINE_COPIES)
    whole = method.fine_tune(start, short, seed=0, on_progress=lambda _: None)
    method.fine_tune(start, short[:1], seed=0, on_progress=lambda _: None)
    again = method.fine_tune(start, short, seed=0, on_progress=lambda _: None)
    assert len(heard) == len(short) * (1 + FINE_COPIES)
    assert same_weights(whole.mappers[0], again.mappers[0])
    method.fine_tune(start, [replace(short[0], name="new")], seed=0, on_progress=lambda _: None)
    assert len(heard) == (len(short) + 1) * (1 + FINE_COPIES)


def test_the_copies_of_a_clip_count_together_as_the_clip_does(start: PhoneticModel, short: list[AvClip]) -> None:
    alone, some = (encoded_copies(start, short[0], [short[1].audio], copies=copies, seed=(0, 0)) for copies in (0, 2))
    assert len(some) == 3
    assert sum(copy.weight for copy in some) == pytest.approx(alone[0].weight)


def test_posteriors_of_a_transcript_take_the_place_of_those_recognised_and_nothing_else(plain: list[Example]) -> None:
    told = np.zeros((len(plain[0].mask) + 7, len(VISEMES)), np.float32)
    told[:, 3] = 1
    made = with_posteriors(plain[0], told)
    assert np.array_equal(made.acoustic.posteriors, told[:-7])
    assert made.acoustic.features is plain[0].acoustic.features
    assert made.acoustic.loudness is plain[0].acoustic.loudness
    assert made.targets is plain[0].targets
    assert not np.array_equal(plain[0].acoustic.posteriors, told[:-7])


def test_transcript_mappers_are_trained_on_visemes_that_are_at_times_as_certain_as_a_transcript_is(plain: list[Example]) -> None:
    posteriors = np.full((200, len(VISEMES)), 0.02, np.float32)
    posteriors[:, 4] = 0.7
    steady = AcousticFeatures(
        features=np.zeros((200, FEATURES), np.float32),
        posteriors=posteriors,
        speech=np.ones(200, np.float32),
        loudness=np.full((200, 2), (0.25, -0.5), np.float32),
    )
    example = replace(
        plain[0],
        acoustic=steady,
        targets=np.zeros((200, TARGETS), np.float32),
        shut=np.zeros(200, np.float32),
        mask=np.ones(200, np.float32),
    )
    source = finetune._BatchSource(examples=[example], is_transcript_mapper=True)
    features, *_ = next(source.batches(32, np.random.default_rng(0)))
    visemes = (features[:, : len(VISEMES)].numpy() / 2) ** 2
    assert visemes.sum(1) == pytest.approx(1, abs=1e-5)
    certain = visemes[:, 4, 0]
    assert 0.699 < certain.min() < 0.85
    assert certain.max() > 0.95
    assert np.unique(features[:, len(VISEMES) :].numpy()).tolist() == [-0.5, 0.25]


def test_a_constant_offset_of_the_footage_is_taken_off(start: PhoneticModel, short: list[AvClip]) -> None:
    late = replace(short[0], times=short[0].times + 0.12, lag=0.12)
    (there,), (here,) = (examples_of(encode_copies(start, [clip], copies=0), [clip], start.lip_pca) for clip in (short[0], late))
    np.testing.assert_allclose(here.targets, there.targets, atol=1e-4)


def test_the_shapes_of_people_are_the_ways_in_which_their_lips_move() -> None:
    rng = np.random.default_rng(1)
    way = rng.normal(0, 1, (40, 3)).astype(np.float32)
    way /= np.linalg.norm(way)
    base = [make_clip(name, name, seed=i) for i, name in enumerate("abc")]
    rest = rng.normal(0, 1, (40, 3)).astype(np.float32)
    moving = [replace(clip, lips=rest * (i + 1) + clip.opening[:, None, None] * way + clip.lips) for i, clip in enumerate(base)]
    lip_pca = lip_pca_of(moving)
    assert lip_pca.components.shape == (120, COMPONENTS)
    assert abs(float(lip_pca.components[:, 0] @ way.ravel())) > 0.99
    np.testing.assert_allclose(lip_pca.components.T @ lip_pca.components, np.eye(COMPONENTS), atol=1e-4)
    assert lip_pca.deviations[0] == pytest.approx(np.median([clip.opening.std() for clip in base]), rel=1e-4)
    assert lip_pca.deviations[2] == pytest.approx(lip_pca.deviations[0], rel=0.05)


def test_the_learning_rate_warms_up_and_fades_away() -> None:
    rates = [learning_rate_factor(step, 200, warm_up=20) for step in range(200)]
    assert rates[0] == pytest.approx(1 / 20)
    assert int(np.argmax(rates)) in range(18, 22)
    assert np.all(np.diff(rates[21:]) <= 0)
    assert rates[100] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.01)


def test_weights_go_a_part_of_the_way_from_where_they_were_to_what_was_learned() -> None:
    torch.manual_seed(1)
    start, learned = ((Mapper(inputs=PART, first=PART).eval(),) for _ in range(2))
    kept = [weight.detach().clone() for weight in learned[0].parameters()]
    (between,) = finetune._interpolate(start, learned)
    assert int(between.first) == PART
    for weight, before, after, copy in zip(between.parameters(), start[0].parameters(), learned[0].parameters(), kept, strict=True):
        torch.testing.assert_close(weight, before + finetune._BLEND * (after - before))
        assert torch.equal(after, copy)


def test_a_model_without_transcript_mappers_stays_without(
    start: PhoneticModel, short: list[AvClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "FINE", replace(finetune.FINE, steps=3, batch=4))
    tuned = fine_tune(start.with_(transcript_mappers=()), short)
    assert tuned.transcript_mappers == ()
    assert len(tuned.mappers) == 1
