"""Are the weights learned from the corpus better on people they have not seen? Cross-validation, and the rule of adoption.

The people of the corpus are dealt into folds; for each fold, weights are learned from the other people, starting from the shipped
weights, and judged on the people held back. That judges the method; what is adopted is then learned from everybody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import numpy as np

from heygem_daemon.lipsync.adaptation.clips import AvClip, people
from heygem_daemon.lipsync.adaptation.scores import Prediction, Score, score
from heygem_daemon.lipsync.progress import OnProgress, Progress

Model = TypeVar("Model")
Merits = Mapping[str, float]

FOLDS: Final = 5
FEWEST_PEOPLE: Final = 3
FEWEST_CLIPS: Final = 5
"""With fewer, the error of the mean gain cannot be told."""

LEAST_GAIN: Final = 0.005
"""Of merit: less is not worth the change."""
CERTAINTY: Final = 1.28
"""Standard errors that the mean gain must lie above 0: weights that are no better then pass one time in ten."""
AMPLITUDE_SLACK: Final = 0.1
CLOSURE_SLACK: Final = 0.05
"""What amplitude (distance from 1) and closures may lose: correlation sees neither of them."""
_WIDTH_SHARE: Final = 0.25


class FineTune(Protocol[Model]):
    """Learn from clips, starting from a model; the same clips and seed give the same model. on_progress hears the share done, 0-1."""

    def __call__(self, start: Model, clips: Sequence[AvClip], *, seed: int, on_progress: Callable[[float], None]) -> Model: ...


@dataclass(frozen=True, kw_only=True)
class Method(Generic[Model]):
    """shipped: the weights to start from; predict: what a model asks for at the frames of clips, by clip name."""

    shipped: Model
    fine_tune: FineTune[Model]
    predict: Callable[[Model, Sequence[AvClip]], Mapping[str, Prediction]]
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Fold:
    learn: tuple[AvClip, ...]
    held_back: tuple[AvClip, ...]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """before, after: the shipped weights and the learned ones on clips held back. by_people: no held-back person was learned from.

    merits: clip name -> merit of the learned weights; gain: mean over clips, weighted by length, against the better of the shipped
    weights and those in force; error: its standard error
    """

    before: Score
    after: Score
    by_people: bool
    merits: Merits
    gain: float
    error: float

    @property
    def objections(self) -> tuple[str, ...]:
        """Return why the learned weights are not to be adopted; nothing where they are."""
        needed = max(LEAST_GAIN, CERTAINTY * self.error)
        spread = abs(np.log(max(self.after.amplitude, 1e-3))) - abs(np.log(max(self.before.amplitude, 1e-3)))
        possible = {
            f"the gain of {self.gain:+.3f} is below {needed:.3f}": self.gain < needed,
            f"amplitude {self.before.amplitude:.2f} -> {self.after.amplitude:.2f}": spread > AMPLITUDE_SLACK,
            "fewer closures are hit": self.after.closures_hit < self.before.closures_hit - CLOSURE_SLACK,
            "more closures are false": self.after.closures_false > self.before.closures_false + CLOSURE_SLACK,
        }
        return tuple(why for why, applies in possible.items() if applies)

    @property
    def is_better(self) -> bool:
        return not self.objections


def can_judge(clips: Sequence[AvClip]) -> bool:
    return len(clips) >= FEWEST_CLIPS


def is_by_people(clips: Sequence[AvClip]) -> bool:
    return len(people(clips)) >= FEWEST_PEOPLE


def hold_trial(
    clips: Sequence[AvClip], method: Method[Model], in_force: Merits | None = None, on_progress: OnProgress = lambda _: None
) -> Trial:
    """Judge the method on clips held back; needs `can_judge(clips)`.

    in_force: what the weights in force were worth on each clip when its person was held back (or as they are, for clips they have
    not learned from); None while the shipped weights are in force.
    """
    after: dict[str, Prediction] = {}
    folds = deal(clips)
    for done, fold in enumerate(folds):
        learned = method.fine_tune(method.shipped, fold.learn, seed=method.seed, on_progress=_part_of(on_progress, done, len(folds)))
        after |= method.predict(learned, fold.held_back)
    before = dict(method.predict(method.shipped, clips))
    merits = merits_of(clips, after)
    standing = [merits_of(clips, before), *([] if in_force is None else [in_force])]
    gains = [_gain(clips, merits, stands) for stands in standing]
    gain, error = min(gains)
    return Trial(
        before=score(clips, before),
        after=score(clips, after),
        by_people=is_by_people(clips),
        merits=merits,
        gain=gain,
        error=error,
    )


def _part_of(on_progress: OnProgress, done: int, total: int) -> Callable[[float], None]:
    def say(share: float) -> None:
        on_progress(Progress(stage="trial", done=round(100 * (done + share)), total=100 * total))

    return say


def merits_of(clips: Sequence[AvClip], predictions: Mapping[str, Prediction]) -> dict[str, float]:
    """Return clip name -> opening r + a quarter of width r."""
    scores = {clip.name: score([clip], predictions) for clip in clips if clip.name in predictions}
    return {name: each.opening_r + _WIDTH_SHARE * each.width_r for name, each in scores.items()}


def deal(clips: Sequence[AvClip]) -> list[Fold]:
    """Return folds over people, each person in one of them, about equally long; with too few people, thirds of the time."""
    groups = _by_people(clips) if is_by_people(clips) else _by_time(clips)
    return [Fold(learn=tuple(c for other in groups if other is not group for c in other), held_back=tuple(group)) for group in groups]


def _by_people(clips: Sequence[AvClip]) -> list[list[AvClip]]:
    by_person = [[clip for clip in clips if clip.person == person] for person in people(clips)]
    groups: list[list[AvClip]] = [[] for _ in range(min(FOLDS, len(by_person)))]
    for of_one in sorted(by_person, key=_seconds, reverse=True):
        min(groups, key=_seconds).extend(of_one)
    return groups


def _by_time(clips: Sequence[AvClip]) -> list[list[AvClip]]:
    """Cut the clips, in the order of their names, into three parts: neighbours in time stay together."""
    ordered = sorted(clips, key=lambda clip: clip.name)
    return [[ordered[i] for i in part] for part in np.array_split(np.arange(len(ordered)), FEWEST_PEOPLE)]


def _seconds(clips: Sequence[AvClip]) -> float:
    return sum(clip.seconds for clip in clips)


def _gain(clips: Sequence[AvClip], merits: Merits, standing: Merits) -> tuple[float, float]:
    """Return the mean gain over clips, weighted by their length, and its standard error."""
    pairs = [(merits[clip.name] - standing[clip.name], clip.seconds) for clip in clips if clip.name in standing]
    gains, weights = (np.array(column) for column in zip(*pairs, strict=True))
    share = weights / weights.sum()
    mean = float(gains @ share)
    error = np.sqrt((share**2 * (gains - mean) ** 2).sum() * len(pairs) / max(1, len(pairs) - 1))
    return mean, float(error)
