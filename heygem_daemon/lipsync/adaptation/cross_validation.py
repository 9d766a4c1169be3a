"""Cross-validate weights learned from the corpus, and decide whether they are adopted.

The people of the corpus are grouped into folds; for each fold, weights are learned from the other people, starting from the shipped
weights, and measured on the people held out. That measures the method; the weights that are adopted are then learned from everybody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import numpy as np

from heygem_daemon.lipsync.adaptation.clips import AvClip, people
from heygem_daemon.lipsync.adaptation.scores import DriverMetrics, Prediction, driver_metrics
from heygem_daemon.lipsync.progress import OnProgress, Progress

Model = TypeVar("Model")
ClipScores = Mapping[str, float]

FOLDS: Final = 5
FEWEST_PEOPLE: Final = 3
FEWEST_CLIPS: Final = 5
"""With fewer, the error of the mean gain cannot be estimated."""

LEAST_GAIN: Final = 0.005
"""Of the score of a clip: less is not worth the change."""
CERTAINTY: Final = 1.28
"""Standard errors that the mean gain must lie above 0: weights that are no better then pass one time in ten."""
AMPLITUDE_SLACK: Final = 0.1
CLOSURE_SLACK: Final = 0.05
"""What amplitude (distance from 1) and closures may lose: correlation measures neither of them."""
_WIDTH_WEIGHT: Final = 0.25


class FineTune(Protocol[Model]):
    """Learn from clips, starting from a model; the same clips and seed give the same model. on_progress gets the fraction done, 0-1."""

    def __call__(self, start: Model, clips: Sequence[AvClip], *, seed: int, on_progress: Callable[[float], None]) -> Model: ...


@dataclass(frozen=True, kw_only=True)
class Method(Generic[Model]):
    """How weights are learned and used. shipped: the weights to start from; predict: the mouth at the frames of clips, by clip name;
    prepare: takes all clips, before anything is learned from some of them."""

    shipped: Model
    fine_tune: FineTune[Model]
    predict: Callable[[Model, Sequence[AvClip]], Mapping[str, Prediction]]
    prepare: Callable[[Sequence[AvClip]], None] = lambda _: None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Fold:
    train: tuple[AvClip, ...]
    held_out: tuple[AvClip, ...]


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """before, after: the shipped weights and the learned ones on clips held out. by_person: no held-out person was learned from.

    scores: clip name -> score of the learned weights; gain: mean over clips, weighted by length, against the better of the shipped
    weights and those in force; error: its standard error
    """

    before: DriverMetrics
    after: DriverMetrics
    by_person: bool
    scores: ClipScores
    gain: float
    error: float

    @property
    def rejections(self) -> tuple[str, ...]:
        """Return the reasons against the learned weights; none where they are to be adopted."""
        needed = max(LEAST_GAIN, CERTAINTY * self.error)
        spread = abs(np.log(max(self.after.amplitude, 1e-3))) - abs(np.log(max(self.before.amplitude, 1e-3)))
        possible = {
            f"the gain of {self.gain:+.3f} is below {needed:.3f}": self.gain < needed,
            f"amplitude {self.before.amplitude:.2f} -> {self.after.amplitude:.2f}": spread > AMPLITUDE_SLACK,
            "fewer closures are hit": self.after.closures_hit < self.before.closures_hit - CLOSURE_SLACK,
            "more closures are false": self.after.closures_false > self.before.closures_false + CLOSURE_SLACK,
        }
        return tuple(reason for reason, applies in possible.items() if applies)

    @property
    def is_better(self) -> bool:
        return not self.rejections


def has_enough_clips(clips: Sequence[AvClip]) -> bool:
    return len(clips) >= FEWEST_CLIPS


def can_split_by_person(clips: Sequence[AvClip]) -> bool:
    return len(people(clips)) >= FEWEST_PEOPLE


def cross_validate(
    clips: Sequence[AvClip], method: Method[Model], in_force: ClipScores | None = None, on_progress: OnProgress = lambda _: None
) -> CrossValidation:
    """Measure the method on clips held out; needs `has_enough_clips(clips)`.

    in_force: the score of the weights in force on each clip when its person was held out (or as they are, for clips they have
    not learned from); None while the shipped weights are in force.
    """
    method.prepare(clips)
    after: dict[str, Prediction] = {}
    folds = group_folds(clips)
    for done, fold in enumerate(folds):
        learned = method.fine_tune(
            method.shipped, fold.train, seed=method.seed, on_progress=_progress_of_fold(on_progress, done, len(folds))
        )
        after |= method.predict(learned, fold.held_out)
    before = dict(method.predict(method.shipped, clips))
    scores = clip_scores(clips, after)
    baselines = [clip_scores(clips, before), *([] if in_force is None else [in_force])]
    gain, error = min(_gain(clips, scores, baseline) for baseline in baselines)
    return CrossValidation(
        before=driver_metrics(clips, before),
        after=driver_metrics(clips, after),
        by_person=can_split_by_person(clips),
        scores=scores,
        gain=gain,
        error=error,
    )


def _progress_of_fold(on_progress: OnProgress, done: int, total: int) -> Callable[[float], None]:
    def forward(fraction: float) -> None:
        on_progress(Progress(stage="trial", done=round(100 * (done + fraction)), total=100 * total))

    return forward


def clip_scores(clips: Sequence[AvClip], predictions: Mapping[str, Prediction]) -> dict[str, float]:
    """Return clip name -> opening r + a quarter of width r."""
    metrics = {clip.name: driver_metrics([clip], predictions) for clip in clips if clip.name in predictions}
    return {name: each.opening_r + _WIDTH_WEIGHT * each.width_r for name, each in metrics.items()}


def group_folds(clips: Sequence[AvClip]) -> list[Fold]:
    """Return folds over people, each person in one of them, about equally long; with too few people, thirds of the time."""
    groups = _split_by_person(clips) if can_split_by_person(clips) else _split_by_time(clips)
    return [Fold(train=tuple(c for other in groups if other is not group for c in other), held_out=tuple(group)) for group in groups]


def _split_by_person(clips: Sequence[AvClip]) -> list[list[AvClip]]:
    by_person = [[clip for clip in clips if clip.person == person] for person in people(clips)]
    groups: list[list[AvClip]] = [[] for _ in range(min(FOLDS, len(by_person)))]
    for of_one in sorted(by_person, key=_seconds, reverse=True):
        min(groups, key=_seconds).extend(of_one)
    return groups


def _split_by_time(clips: Sequence[AvClip]) -> list[list[AvClip]]:
    """Cut the clips, in the order of their names, into three parts: neighbours in time stay together."""
    ordered = sorted(clips, key=lambda clip: clip.name)
    return [[ordered[i] for i in part] for part in np.array_split(np.arange(len(ordered)), FEWEST_PEOPLE)]


def _seconds(clips: Sequence[AvClip]) -> float:
    return sum(clip.seconds for clip in clips)


def _gain(clips: Sequence[AvClip], scores: ClipScores, baseline: ClipScores) -> tuple[float, float]:
    """Return the mean gain over clips, weighted by their length, and its standard error."""
    pairs = [(scores[clip.name] - baseline[clip.name], clip.seconds) for clip in clips if clip.name in baseline]
    gains, weights = (np.array(column) for column in zip(*pairs, strict=True))
    weights /= weights.sum()
    mean = float(gains @ weights)
    error = np.sqrt((weights**2 * (gains - mean) ** 2).sum() * len(pairs) / max(1, len(pairs) - 1))
    return mean, float(error)
