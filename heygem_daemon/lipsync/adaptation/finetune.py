"""Stage B: train the mappers, from the features of the encoder to the motion of a mouth, on clips of real people."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.adaptation.augment import Augmented, Strength, augment
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.scores import SHUT
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.model import AcousticFeatures, LipPca, PhoneticModel, encode_recording, transcript_features
from heygem_daemon.lipsync.speech.network import COMPONENTS, FEATURES, PART, TRANSCRIPT_FEATURES, Mapper
from heygem_daemon.lipsync.speech.stream import CURVE_RATE

CROP: Final = 150
COPIES: Final = 8
TARGETS: Final = 2 + COMPONENTS
_SHRINK_ROWS: Final = 60
"""A clip's own deviation counts as much as that of all people when it has this many rows."""
_WEIGHTS: Final = (2.5, 1.4, 1.0, 0.8, 0.6, 0.5, 0.4, 0.4)
"""Of opening, width and the components in the loss."""

OnProgress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How mappers are trained. velocity, agreement, closure: weights of the loss's parts beside the distance itself; anchor:
    that of the squared distance from the weights that training started from."""

    members: int = 3
    steps: int = 260
    batch: int = 24
    rate: float = 1.5e-3
    decay: float = 0.2
    dropout: float = 0.15
    velocity: float = 0.4
    agreement: float = 0.5
    closure: float = 0.6
    anchor: float = 0.0


STRENGTH: Final = Strength(snr_db=(2.0, 25.0), babble_chance=0.6)
DEFAULT: Final = Recipe()
TRANSCRIPT_RECIPE: Final = Recipe(members=2, dropout=0.1)
FINE: Final = Recipe(steps=160, rate=5e-4, decay=0.0, anchor=0.05)
"""From finished weights, on little footage: few steps, and a pull back to where they began."""
FINE_COPIES: Final = 4
"""Augmented copies of each clip."""
_BLEND: Final = 0.35
"""Weight of the fine-tuned weights against those they began with. Gain of the score on people held out, for weight 1, .5, .25: four
people from whom much is to be learned +.090, +.087, +.055, thirteen like those known already -.015, +.003, +.004; false closures rise
by .14, .06, .02."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One copy of a clip: acoustic of n rows, targets float32 [n, TARGETS] (standardised), shut float32 [n] (0 or 1),
    mask float32 [n] (1 where the mouth was measured); weight: how often it is drawn."""

    acoustic: AcousticFeatures
    targets: Float32
    shut: Float32
    mask: Float32
    person: str
    weight: float


def lip_pca_of(clips: Sequence[AvClip]) -> LipPca:
    """Return the principal components of the lips of these people, each clip about its own mean, and typical deviations."""
    moved = [_flat_lips(clip) - _flat_lips(clip).mean(0) for clip in clips]
    _, _, axes = np.linalg.svd(np.concatenate(moved), full_matrices=False)
    components = np.asarray(axes[:COMPONENTS].T, np.float32)
    deviations = np.median([_raw_targets(clip, components).std(0) for clip in clips], axis=0)
    return LipPca(components=components, deviations=np.asarray(deviations, np.float32))


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedCopy:
    """One copy of a clip, as it is or augmented: its moment t was the moment (t - lead) x speed of the clip, s; weight: how often it is
    drawn."""

    clip: AvClip
    speed: float
    lead: float
    acoustic: AcousticFeatures
    weight: float


def encoded_copies(
    model: PhoneticModel, clip: AvClip, voices: Sequence[Float32], *, copies: int = COPIES, seed: tuple[int, ...]
) -> list[EncodedCopy]:
    """Return the clip as it is, and in `copies` augmented versions. voices: recordings of other people, for babble."""
    rng = np.random.default_rng(seed)
    weight = min(len(clip.times), 1000) ** 0.8 / (1 + copies)
    versions = [Augmented(wave=clip.audio, speed=1.0, lead=0.0)]
    versions += [augment(clip.audio, rng, voices, STRENGTH) for _ in range(copies)]
    return [
        EncodedCopy(clip=clip, speed=each.speed, lead=each.lead, acoustic=encode_recording(model, each.wave), weight=weight)
        for each in versions
    ]


Encoded = dict[str, list[EncodedCopy]]
"""The encoded copies of clips, by clip name."""


def encode_copies(model: PhoneticModel, clips: Sequence[AvClip], *, copies: int = COPIES, seed: int = 0) -> Encoded:
    """Return every clip as it is, and in `copies` augmented versions; the other people talk in the background of some."""
    encoded = Encoded()
    for i, clip in enumerate(clips):
        voices = [other.audio for other in clips if other.person != clip.person]
        encoded[clip.name] = encoded_copies(model, clip, voices, copies=copies, seed=(seed, i))
    return encoded


def examples_of(encoded: Encoded, clips: Sequence[AvClip], lip_pca: LipPca) -> list[Example]:
    """Return the copies of these clips as examples."""
    return [example(made, lip_pca) for clip in clips for made in encoded[clip.name]]


def with_posteriors(example: Example, posteriors: Float32) -> Example:
    """Return the example with `posteriors`, float32 [n, 16], in the place of those that were recognised."""
    return replace(example, acoustic=replace(example.acoustic, posteriors=posteriors[: len(example.acoustic)]))


def train_mappers(
    examples: Sequence[Example], recipe: Recipe = DEFAULT, *, seed: int = 0, start: Sequence[Mapper] = ()
) -> tuple[Mapper, ...]:
    """Return `recipe.members` mappers, each from another beginning; with `start`, as many as that, from there.

    They read the features of one model of the encoder and of the other in turn: opening r on people held out is .727 and .720 of one mapper
    of each, and .734 of the mean of both (components fit on the people trained on); .729 of the mean
    of four that read all features.
    """

    def make(member: int) -> Mapper:
        return copy.deepcopy(start[member]) if start else Mapper(inputs=PART, first=PART * (member % 2))

    return _train(_BatchSource(examples=examples), recipe, seed, make, len(start) or recipe.members)


def train_transcript_mappers(
    examples: Sequence[Example], recipe: Recipe = TRANSCRIPT_RECIPE, *, seed: int = 0, start: Sequence[Mapper] = ()
) -> tuple[Mapper, ...]:
    """Return mappers from visemes and loudness alone, for speech whose words are known."""

    def make(member: int) -> Mapper:
        return copy.deepcopy(start[member]) if start else Mapper(inputs=TRANSCRIPT_FEATURES)

    return _train(_BatchSource(examples=examples, is_transcript_mapper=True), recipe, seed, make, len(start) or recipe.members)


def fine_tune(
    start: PhoneticModel,
    clips: Sequence[AvClip],
    *,
    seed: int = 0,
    on_progress: OnProgress = lambda _: None,
    encoded: Encoded | None = None,
) -> PhoneticModel:
    """Return `start` with its mappers and transcript mappers fine-tuned on these people. The encoder stays as it is.

    The same clips and seed give the same model. on_progress gets the fraction done, 0-1. encoded: of these clips and
    others, by `encode_copies` with FINE_COPIES;
    they are encoded now where it lacks one.
    """
    known = encoded if encoded and all(clip.name in encoded for clip in clips) else None
    examples = examples_of(known or encode_copies(start, clips, copies=FINE_COPIES, seed=seed), clips, start.lip_pca)
    on_progress(0.4)
    mappers = train_mappers(examples, FINE, seed=seed, start=start.mappers)
    on_progress(0.8)
    tuned: tuple[Mapper, ...] = ()
    if start.transcript_mappers:
        recipe = replace(FINE, dropout=TRANSCRIPT_RECIPE.dropout)
        tuned = train_transcript_mappers(examples, recipe, seed=seed, start=start.transcript_mappers)
    on_progress(1.0)
    return start.with_(mappers=_interpolate(start.mappers, mappers), transcript_mappers=_interpolate(start.transcript_mappers, tuned))


def _interpolate(start: Sequence[Mapper], learned: Sequence[Mapper]) -> tuple[Mapper, ...]:
    """Return mappers whose weights lie between those of `start` and `learned` (Wortsman et al. 2022, Robust fine-tuning)."""
    between = copy.deepcopy(tuple(learned))
    with torch.no_grad():
        for mapper, there in zip(between, start, strict=True):
            for weight, before in zip(mapper.parameters(), there.parameters(), strict=True):
                weight.lerp_(before, 1 - _BLEND)
    return between


def _train(source: "_BatchSource", recipe: Recipe, seed: int, make: Callable[[int], Mapper], members: int) -> tuple[Mapper, ...]:
    return tuple(_train_mapper(source, recipe, seed=seed * 1000 + member, make=partial(make, member)) for member in range(members))


def _flat_lips(clip: AvClip) -> Float32:
    return clip.lips.reshape(len(clip.lips), -1)


def _raw_targets(clip: AvClip, components: Float32) -> Float32:
    return np.column_stack([clip.opening, clip.width, _flat_lips(clip) @ components])


def example(made: EncodedCopy, lip_pca: LipPca) -> Example:
    """Return an encoded copy with the mouth that belongs to each of its rows."""
    clip = made.clip
    original = (np.arange(len(made.acoustic)) / CURVE_RATE - made.lead) * made.speed
    times = clip.true_times
    raw = _raw_targets(clip, lip_pca.components)
    deviations = np.sqrt((len(raw) * raw.var(0) + _SHRINK_ROWS * lip_pca.deviations**2) / (len(raw) + _SHRINK_ROWS))
    standard = (raw - raw.mean(0)) / deviations
    targets = np.column_stack([np.interp(original, times, column) for column in standard.T])
    opening = np.interp(original, times, clip.opening)
    inside = (original >= max(times[0], 0.04)) & (original <= min(times[-1], len(clip.audio) / 16000 - 0.04))
    return Example(
        acoustic=made.acoustic,
        targets=targets.astype(np.float32),
        shut=(opening < SHUT * np.percentile(clip.opening, 95)).astype(np.float32),
        mask=inside.astype(np.float32),
        person=clip.person,
        weight=made.weight,
    )


def _train_mapper(source: "_BatchSource", recipe: Recipe, *, seed: int, make: Callable[[], Mapper]) -> Mapper:
    torch.manual_seed(seed)
    mapper = make()
    mapper.dropout.p = recipe.dropout
    anchors = [parameter.detach().clone() for parameter in mapper.parameters()]
    mapper.train()
    optimiser = torch.optim.AdamW(mapper.parameters(), recipe.rate, weight_decay=recipe.decay)
    batches = source.batches(recipe.batch, np.random.default_rng(seed))
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * learning_rate_factor(step, recipe.steps, warm_up=50)
        features, targets, shut, mask = next(batches)
        loss = _loss(mapper(features), targets, shut, mask, recipe)
        if recipe.anchor:
            loss = loss + recipe.anchor * sum(((p - a) ** 2).sum() for p, a in zip(mapper.parameters(), anchors, strict=True))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(mapper.parameters(), 2.0)
        optimiser.step()
    return mapper.eval()


def learning_rate_factor(step: int, steps: int, warm_up: int) -> float:
    """Return the factor of the learning rate at `step`, 0-1: a linear warm-up, then half a cosine."""
    return min(1.0, (step + 1) / warm_up) * max(0.01, 0.5 * (1 + float(np.cos(np.pi * step / steps))))


@dataclass(frozen=True, kw_only=True, eq=False)
class _BatchSource:
    """Draws batches of crops. is_transcript_mapper: visemes and loudness alone, the visemes at times as certain as a transcript is."""

    examples: Sequence[Example]
    is_transcript_mapper: bool = False

    def batches(self, batch: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        weights = np.array([example.weight for example in self.examples])
        chances = weights / weights.sum()
        while True:
            features = np.zeros((batch, CROP, TRANSCRIPT_FEATURES if self.is_transcript_mapper else FEATURES), np.float32)
            targets = np.zeros((batch, CROP, TARGETS), np.float32)
            shut, mask = np.zeros((batch, CROP), np.float32), np.zeros((batch, CROP), np.float32)
            for i, place in enumerate(rng.choice(len(self.examples), batch, p=chances)):
                chosen = self.examples[place]
                first = int(rng.integers(0, max(1, len(chosen.mask) - CROP + 1)))
                part = slice(first, first + CROP)
                count = len(chosen.mask[part])
                features[i, :count] = self._features(chosen.acoustic[part], rng)
                targets[i, :count], shut[i, :count], mask[i, :count] = chosen.targets[part], chosen.shut[part], chosen.mask[part]
            yield (
                torch.from_numpy(features).transpose(1, 2),
                torch.from_numpy(targets).transpose(1, 2),
                torch.from_numpy(shut),
                torch.from_numpy(mask),
            )

    def _features(self, acoustic: AcousticFeatures, rng: np.random.Generator) -> Float32:
        if not self.is_transcript_mapper:
            return acoustic.features
        sure = acoustic.posteriors ** rng.uniform(1, 3)
        return transcript_features(replace(acoustic, posteriors=sure / sure.sum(1, keepdims=True)))


def _loss(outputs: Tensor, targets: Tensor, shut: Tensor, mask: Tensor, recipe: Recipe) -> Tensor:
    """Return smooth L1 distance + velocity + (1 - Pearson r of each crop) + cross-entropy of "shut", each over the measured rows."""
    motion = torch.cat([outputs[:, :2], outputs[:, 3:]], 1)
    weights = torch.tensor(_WEIGHTS)
    weights = (weights / weights.mean())[None, :, None]
    measured = mask[:, None]
    rows = measured.sum() * TARGETS + 1e-6
    distance = (functional.smooth_l1_loss(motion, targets, reduction="none") * measured * weights).sum() / rows
    steps = (motion[..., 2:] - motion[..., :-2]) - (targets[..., 2:] - targets[..., :-2])
    speed = (steps**2 * measured[..., 1:-1] * weights).sum() / rows
    count = measured.sum(-1, keepdim=True) + 1e-3
    a = (motion - (motion * measured).sum(-1, keepdim=True) / count) * measured
    b = (targets - (targets * measured).sum(-1, keepdim=True) / count) * measured
    correlation = (a * b).sum(-1) / ((a**2).sum(-1) * (b**2).sum(-1) + 1e-2).sqrt()
    dissimilarity = ((1 - correlation) * weights[..., 0]).mean()
    closed = functional.binary_cross_entropy_with_logits(outputs[:, 2], shut, reduction="none")
    closure = (closed * mask).sum() / (mask.sum() + 1e-6)
    return distance + recipe.velocity * speed + recipe.agreement * dissimilarity + recipe.closure * closure
