"""From the corpus to new weights: learn, judge on people held back, adopt if better."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from heygem_daemon import __version__
from heygem_daemon.lipsync.adaptation.clips import AvClip, people
from heygem_daemon.lipsync.adaptation.cross_validation import Merits, Method, Trial, hold_trial, merits_of
from heygem_daemon.lipsync.adaptation.weight_registry import Card, LocalWeights
from heygem_daemon.lipsync.progress import OnProgress, Progress

Model = TypeVar("Model")


@dataclass(frozen=True, kw_only=True)
class Store(Generic[Model]):
    """How weights are read and written; shipped: the file that learning starts from."""

    shipped: Path
    load: Callable[[Path], Model]
    save: Callable[[Model, Path], None]


def learn(
    clips: Sequence[AvClip],
    method: Method[Model],
    store: Store[Model],
    local: LocalWeights,
    *,
    dry_run: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> tuple[Trial, Card | None]:
    """Hold the trial, and if it is won, learn from all clips and put the weights in force; return the card of what was adopted.

    Needs `trial.can_judge(clips)`. Raises TransientError (`io_error`) where the weights cannot be written.
    """
    trial = hold_trial(clips, method, in_force_merits(clips, method, store, local), on_progress)
    if dry_run or not trial.is_better:
        return trial, None

    def say(share: float) -> None:
        on_progress(Progress(stage="learn", done=round(100 * share), total=100))

    learned = method.fine_tune(method.shipped, clips, seed=method.seed, on_progress=say)
    return trial, local.adopt(lambda path: store.save(learned, path), _card(clips, method, store, trial))


def in_force_merits(clips: Sequence[AvClip], method: Method[Model], store: Store[Model], local: LocalWeights) -> Merits | None:
    """Return clip name -> merit of the weights learned earlier, None while the shipped ones are in force.

    For clips they were learned from, that is what they were worth when these clips were held back. Weights of another format, which
    no driver of this version can use, stand for nothing.
    """
    card = local.in_force()
    if card is None:
        return None
    known = {clip.name: card.merits[clip.name] for clip in clips if clip.name in card.merits}
    unknown = [clip for clip in clips if clip.name not in known]
    try:
        predictions = method.predict(store.load(local.path), unknown) if unknown else {}
    except ValueError:
        return None
    return {**known, **merits_of(unknown, predictions)}


def _card(clips: Sequence[AvClip], method: Method[Model], store: Store[Model], trial: Trial) -> Card:
    return Card(
        shipped_sha256=hashlib.sha256(store.shipped.read_bytes()).hexdigest(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        seed=method.seed,
        hours=round(sum(clip.seconds for clip in clips) / 3600, 3),
        people=len(people(clips)),
        clips=len(clips),
        judged_on="people held back" if trial.by_people else "time held back",
        before=asdict(trial.before),
        after=asdict(trial.after),
        gain=trial.gain,
        gain_error=trial.error,
        merits=dict(trial.merits),
    )
