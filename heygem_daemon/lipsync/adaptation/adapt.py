"""Make new weights from the corpus: cross-validate, and if they are better, learn from everything and put them in force."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from heygem_daemon import __version__
from heygem_daemon.lipsync.adaptation.clips import AvClip, people
from heygem_daemon.lipsync.adaptation.cross_validation import ClipScores, CrossValidation, Method, clip_scores, cross_validate
from heygem_daemon.lipsync.adaptation.weight_registry import ModelCard, WeightRegistry
from heygem_daemon.lipsync.progress import OnProgress, Progress

Model = TypeVar("Model")


@dataclass(frozen=True, kw_only=True)
class WeightStore(Generic[Model]):
    """How weights are read and written; shipped: the file that learning starts from."""

    shipped: Path
    load: Callable[[Path], Model]
    save: Callable[[Model, Path], None]


def adapt_weights(
    clips: Sequence[AvClip],
    method: Method[Model],
    store: WeightStore[Model],
    registry: WeightRegistry,
    *,
    dry_run: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> tuple[CrossValidation, ModelCard | None]:
    """Cross-validate, and if the weights are better, learn from all clips and put them in force; return the card of what was adopted.

    Needs `has_enough_clips(clips)`. Raises TransientError (`io_error`) where the weights cannot be written.
    """
    result = cross_validate(clips, method, in_force_scores(clips, method, store, registry), on_progress)
    if dry_run or not result.is_better:
        return result, None

    def forward(fraction: float) -> None:
        on_progress(Progress(stage="learn", done=round(100 * fraction), total=100))

    learned = method.fine_tune(method.shipped, clips, seed=method.seed, on_progress=forward)
    return result, registry.adopt(lambda path: store.save(learned, path), _card(clips, method, store, result))


def in_force_scores(
    clips: Sequence[AvClip], method: Method[Model], store: WeightStore[Model], registry: WeightRegistry
) -> ClipScores | None:
    """Return clip name -> score of the weights learned earlier, None while the shipped ones are in force.

    For clips they were learned from, that is their score when these clips were held out. Weights of another format, which no driver
    of this version can use, count as the shipped ones.
    """
    card = registry.in_force()
    if card is None:
        return None
    known = {clip.name: card.scores[clip.name] for clip in clips if clip.name in card.scores}
    unknown = [clip for clip in clips if clip.name not in known]
    try:
        predictions = method.predict(store.load(registry.path), unknown) if unknown else {}
    except ValueError:
        return None
    return {**known, **clip_scores(unknown, predictions)}


def _card(clips: Sequence[AvClip], method: Method[Model], store: WeightStore[Model], result: CrossValidation) -> ModelCard:
    return ModelCard(
        shipped_sha256=hashlib.sha256(store.shipped.read_bytes()).hexdigest(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        seed=method.seed,
        hours=round(sum(clip.seconds for clip in clips) / 3600, 3),
        people=len(people(clips)),
        clips=len(clips),
        judged_on="people held back" if result.by_person else "time held back",
        before=asdict(result.before),
        after=asdict(result.after),
        gain=result.gain,
        gain_error=result.error,
        scores=dict(result.scores),
    )
