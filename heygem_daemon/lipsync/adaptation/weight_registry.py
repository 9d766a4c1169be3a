"""The weights learned on this server: put in force, stored with a model card, taken back.

    <weights>/phonetic.safetensors                        shipped; never touched
    <weights>/local/phonetic.safetensors                  in force where it is there
    <weights>/local/history/0001/phonetic.safetensors     everything ever adopted, the last ones of it
    <weights>/local/history/0001/card.json                what they were learned from, how much better they were, what was in force before

The weights in force are recognised by their content, so that no interruption can leave weights and card that do not belong together.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from heygem_daemon.core.errors import error
from heygem_daemon.durable import sync_folder, write_durably
from heygem_daemon.lipsync.speech.weights import FILE_NAME, LOCAL

KEPT: Final = 10
"""Adoptions that stay in the history."""

_CARD: Final = "card.json"
_SCORES_KEY: Final = "merits"
"""The key of `scores` in card.json, which keeps its first name."""
_DAMAGED: Final = "the history of adopted weights in {folder} cannot be read ({problem})"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The record of one adoption of weights. No names: people and clips are the anonymous ids of the corpus.

    number: of the adoption, from 1; previous: the one that was in force before, 0 = the shipped weights
    sha256: of the weights; shipped_sha256: of those that learning started from
    date: ISO 8601, UTC; hours, people, clips: what was learned from
    judged_on: "people held back" or "time held back"; before, after: DriverMetrics on the clips held out
    gain, gain_error: of the score (cross_validation); scores: clip -> score when it was held out ("merits" in the file)
    """

    number: int = 0
    previous: int = 0
    sha256: str = ""
    shipped_sha256: str
    date: str
    version: str
    seed: int
    hours: float
    people: int
    clips: int
    judged_on: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    gain: float
    gain_error: float
    scores: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read card.json. Raises TransientError (`io_error`) where it cannot be read."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(scores=content.pop(_SCORES_KEY, {}), **content)
        except (OSError, ValueError, TypeError, AttributeError) as problem:
            raise error("io_error", problem=_DAMAGED.format(folder=path.parent, problem=problem)) from problem

    def to_json(self) -> str:
        content = asdict(self)
        content[_SCORES_KEY] = content.pop("scores")
        return json.dumps(content, indent=1)


class WeightRegistry:
    """The folder `local/` of the model files: the weights in force, and the history of adoptions."""

    def __init__(self, weights: Path) -> None:
        """weights: the directory of the model files."""
        self.path = weights / LOCAL
        self._history = self.path.parent / "history"

    def history(self) -> list[ModelCard]:
        """Return the cards of what was adopted, the oldest first."""
        return [ModelCard.read(folder / _CARD) for folder in self._folders()]

    def in_force(self) -> ModelCard | None:
        """Return the card of the weights in force, None for the shipped ones (and for a file that was put there by hand)."""
        if not self.path.is_file():
            return None
        content = _sha256(self.path)
        return next((card for card in reversed(self.history()) if card.sha256 == content), None)

    def adopt(self, save: Callable[[Path], None], card: ModelCard) -> ModelCard:
        """Put what `save` writes in force and into the history; return the card, completed.

        Raises TransientError (`io_error`) where the directory cannot be written; then nothing has changed.
        """
        number = max((int(folder.name) for folder in self._folders()), default=0) + 1
        folder = self._history / f"{number:04d}"
        previous = self.in_force()
        try:
            scratch = self._history / f".{folder.name}.new"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            save(scratch / FILE_NAME)
            card = replace(card, number=number, previous=previous.number if previous else 0, sha256=_sha256(scratch / FILE_NAME))
            write_durably(scratch / FILE_NAME, (scratch / FILE_NAME).read_bytes())
            write_durably(scratch / _CARD, card.to_json().encode())
            scratch.rename(folder)
            sync_folder(self._history)
            self._put_in_force(number)
            for old in self._folders()[:-KEPT]:
                shutil.rmtree(old)
        except OSError as problem:
            raise error("io_error", problem=f"{self._history.parent}: {problem.strerror}") from problem
        return card

    def rollback(self) -> tuple[ModelCard, ModelCard | None]:
        """Put the weights before those in force in force again; return the cards of those taken back and of those now in force.

        None stands for the shipped weights, which also serve where the earlier ones are no longer kept.
        Raises InputError (`nothing_learned`) where the shipped weights are in force, TransientError (`io_error`).
        """
        taken_back = self.in_force()
        if taken_back is None:
            raise error("nothing_learned")
        kept = {card.number: card for card in self.history()}
        again = kept.get(taken_back.previous)
        try:
            if again is None:
                self.path.unlink()
                sync_folder(self.path.parent)
            else:
                self._put_in_force(again.number)
        except OSError as problem:
            raise error("io_error", problem=f"{self.path}: {problem.strerror}") from problem
        return taken_back, again

    def _put_in_force(self, number: int) -> None:
        write_durably(self.path, (self._history / f"{number:04d}" / FILE_NAME).read_bytes())
        sync_folder(self.path.parent)

    def _folders(self) -> list[Path]:
        return sorted(self._history.glob("[0-9][0-9][0-9][0-9]"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
