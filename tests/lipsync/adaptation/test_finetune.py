"""Mappers learn from clips: the same ones from the same clips, nearer to the measured mouths."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.adaptation import finetune
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.finetune import (
    TARGETS,
    Recipe,
    examples_of,
    fine_tune,
    learning_rate_factor,
    lip_pca_of,
    train_mappers,
    train_transcript_mappers,
)
from heygem_daemon.lipsync.adaptation.scores import correlation
from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.speech.mel import normalised_mel
from heygem_daemon.lipsync.speech.model import PhoneticModel, encode, load, predict, transcript_features
from heygem_daemon.lipsync.speech.network import COMPONENTS, FEATURES, TRANSCRIPT_FEATURES, Mapper
from heygem_daemon.lipsync.speech.weights import shipped_weights
from tests.lipsync.adaptation.conftest import make_clip
from training.espeak import espeak

TINY = Recipe(members=1, steps=6, batch=6)
SENTENCES = {
    "a": "She sells sea shells on the sunny shore.",
    "b": "Nobody goes to the garden late at night.",
    "c": "Six good ideas cost us nothing.",
}


def encoded(model: PhoneticModel, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mel = normalised_mel(wave)
    found = encode(model, mel[: len(mel) // 2 * 2])
    return found.posteriors, found.features


def odd_clip(model: PhoneticModel, name: str, text: str) -> AvClip:
    """A person whose mouth is a function of the posteriors: it opens for hisses and stops, as nobody's does."""
    wave, _ = espeak().speak(text, "en-us")
    posteriors, _ = encoded(model, wave)
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
def clips(start: PhoneticModel) -> list[AvClip]:
    return [odd_clip(start, name, text) for name, text in SENTENCES.items()]


def agreement(model: PhoneticModel, clips: list[AvClip]) -> float:
    """Return the mean r of the predicted opening and the true one."""
    found = []
    for clip in clips:
        opening = predict(model, encoded(model, clip.audio)[1]).opening
        found.append(correlation(np.interp(clip.times, np.arange(len(opening)) / 50, opening).astype(np.float32), clip.opening))
    return float(np.mean(found))


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    there, here = a.state_dict(), b.state_dict()
    return there.keys() == here.keys() and all(torch.equal(there[name], here[name]) for name in there)


def test_fine_tuning_goes_towards_the_measured_mouths(start: PhoneticModel, clips: list[AvClip], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "FINE", replace(finetune.FINE, steps=40, batch=8, rate=3e-3))
    fractions: list[float] = []
    tuned = fine_tune(start, clips, on_progress=fractions.append)
    before, after = agreement(start, clips), agreement(tuned, clips)
    print(f"r {before:.2f} -> {after:.2f}")  # noqa: T201
    assert after > before + 0.1
    assert (len(tuned.mappers), len(tuned.transcript_mappers)) == (1, 1)
    assert same_weights(tuned.encoder, load(shipped_weights()).encoder)
    assert tuned.calibration == start.calibration
    assert tuned.lip_pca is start.lip_pca
    assert fractions[-1] == 1.0
    assert all(a < b for a, b in pairwise(fractions))


def test_the_start_is_left_as_it_was(start: PhoneticModel, clips: list[AvClip]) -> None:
    examples = examples_of(start, clips[:1], start.lip_pca, copies=0)
    train_mappers(examples, TINY, start=start.mappers)
    assert same_weights(start.mappers[0], load(shipped_weights()).mappers[0])
    assert not start.mappers[0].training


def test_the_same_clips_and_seed_give_the_same_mappers(start: PhoneticModel, clips: list[AvClip], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "FINE", replace(finetune.FINE, steps=3, batch=4))
    first, again, other = (fine_tune(start, clips[:2], seed=seed) for seed in (1, 1, 2))
    assert same_weights(first.mappers[0], again.mappers[0])
    assert same_weights(first.transcript_mappers[0], again.transcript_mappers[0])
    assert not same_weights(first.mappers[0], other.mappers[0])


def test_an_anchor_holds_the_weights_near_where_they_began(start: PhoneticModel, clips: list[AvClip]) -> None:
    examples = examples_of(start, clips[:1], start.lip_pca, copies=0)

    def gone(anchor: float) -> float:
        (mapper,) = train_mappers(examples, replace(TINY, steps=25, rate=5e-3, decay=0.0, anchor=anchor), start=start.mappers)
        there, here = start.mappers[0].state_dict(), mapper.state_dict()
        return sum(float(((here[name] - there[name]) ** 2).sum()) for name in there)

    assert gone(10.0) < 0.7 * gone(0.0)


def test_mappers_begin_apart_and_are_as_many_as_the_recipe_says(start: PhoneticModel, clips: list[AvClip]) -> None:
    examples = examples_of(start, clips[:1], start.lip_pca, copies=0)
    first, second = train_mappers(examples, replace(TINY, members=2, steps=2))
    assert not same_weights(first, second)
    assert not first.training
    features = torch.from_numpy(examples[0].features.T[None])
    assert first(features).shape == (1, TARGETS + 1, len(examples[0].features))
    assert train_mappers(examples, replace(TINY, members=0)) == ()


def test_transcript_mappers_learn_from_visemes_and_loudness_alone(start: PhoneticModel, clips: list[AvClip]) -> None:
    examples = examples_of(start, clips, start.lip_pca, copies=0)
    (mapper,) = train_transcript_mappers(examples, replace(TINY, steps=40, batch=8, rate=5e-3, dropout=0.0))
    mel = normalised_mel(clips[0].audio)
    features = transcript_features(encode(start, mel[: len(mel) // 2 * 2]))
    assert features.shape[1] == TRANSCRIPT_FEATURES
    opening = mapper(torch.from_numpy(np.ascontiguousarray(features.T))[None])[0, 0].detach().numpy()
    at = np.interp(clips[0].times, np.arange(len(opening)) / 50, opening).astype(np.float32)
    assert correlation(at, clips[0].opening) > 0.5


def test_an_example_is_in_time_with_its_copy_and_masked_where_no_mouth_was_measured(start: PhoneticModel, clips: list[AvClip]) -> None:
    lip_pca = lip_pca_of(clips)
    made = examples_of(start, clips, lip_pca, copies=2)
    assert [example.person for example in made] == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    for example in made:
        rows = len(example.mask)
        assert example.features.shape == (rows, FEATURES)
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
        hiss = copy.features[seen, 64 + viseme_index("SS")] ** 2
        assert np.corrcoef(hiss, copy.targets[seen, 0])[0, 1] > 0.2


def test_a_constant_offset_of_the_footage_is_taken_off(start: PhoneticModel, clips: list[AvClip]) -> None:
    late = replace(clips[0], times=clips[0].times + 0.12, lag=0.12)
    (there,), (here,) = (examples_of(start, [clip], start.lip_pca, copies=0) for clip in (clips[0], late))
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
    start, learned = ((Mapper(inputs=FEATURES).eval(),) for _ in range(2))
    kept = [weight.detach().clone() for weight in learned[0].parameters()]
    (between,) = finetune._interpolate(start, learned)
    for weight, before, after, copy in zip(between.parameters(), start[0].parameters(), learned[0].parameters(), kept, strict=True):
        torch.testing.assert_close(weight, before + finetune._BLEND * (after - before))
        assert torch.equal(after, copy)


def test_a_model_without_transcript_mappers_stays_without(
    start: PhoneticModel, clips: list[AvClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "FINE", replace(finetune.FINE, steps=3, batch=4))
    tuned = fine_tune(start.with_(transcript_mappers=()), clips[:2])
    assert tuned.transcript_mappers == ()
    assert len(tuned.mappers) == 1
