"""Adopted weights: in force at once, kept with a card, taken back in order."""

import json
from pathlib import Path

import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.lipsync.adaptation.weight_registry import KEPT, ModelCard, WeightRegistry

CARD = ModelCard(
    shipped_sha256="0" * 64,
    date="2026-01-01T00:00:00+00:00",
    version="1",
    seed=0,
    hours=1.5,
    people=4,
    clips=20,
    judged_on="people held back",
    before={"opening_r": 0.5},
    after={"opening_r": 0.6},
    gain=0.1,
    gain_error=0.02,
    scores={"0a-0000": 0.7},
)


def adopt(registry: WeightRegistry, content: str) -> ModelCard:
    def save(path: Path) -> None:
        path.write_text(content, encoding="utf-8")

    return registry.adopt(save, CARD)


def test_before_anything_is_learned_the_shipped_weights_are_in_force(tmp_path: Path) -> None:
    registry = WeightRegistry(tmp_path)
    assert registry.in_force() is None
    with pytest.raises(HeygemError) as caught:
        registry.rollback()
    assert caught.value.code == "nothing_learned"


def test_rolling_back_goes_through_the_adoptions_to_the_shipped_weights(tmp_path: Path) -> None:
    registry = WeightRegistry(tmp_path)
    assert [adopt(registry, text).number for text in ("one", "two")] == [1, 2]
    assert registry.path.read_text(encoding="utf-8") == "two"
    taken_back, again = registry.rollback()
    assert (taken_back.number, again and again.number, registry.path.read_text(encoding="utf-8")) == (2, 1, "one")
    assert registry.rollback()[1] is None
    assert not registry.path.exists()
    assert [card.number for card in registry.history()] == [1, 2]


def test_what_is_adopted_after_a_rollback_comes_after_what_was_in_force(tmp_path: Path) -> None:
    registry = WeightRegistry(tmp_path)
    for text in ("one", "two"):
        adopt(registry, text)
    registry.rollback()
    assert (adopt(registry, "three").previous, registry.history()[-1].number) == (1, 3)


def test_the_card_has_what_was_learned_from_and_how_much_better_it_was(tmp_path: Path) -> None:
    registry = WeightRegistry(tmp_path)
    card = adopt(registry, "one")
    kept = json.loads((tmp_path / "local" / "history" / "0001" / "card.json").read_text(encoding="utf-8"))
    assert {"date", "hours", "people", "before", "after", "shipped_sha256"} <= kept.keys()
    assert registry.in_force() == card
    assert kept["merits"] == {"0a-0000": 0.7}, "the key of earlier versions"


def test_weights_that_cannot_be_saved_change_nothing(tmp_path: Path) -> None:
    registry = WeightRegistry(tmp_path)
    adopt(registry, "one")

    def fails(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(HeygemError, match="No space"):
        registry.adopt(fails, CARD)
    assert registry.path.read_text(encoding="utf-8") == "one"
    assert [card.number for card in registry.history()] == [1]


def test_the_history_stays_small_and_a_rollback_past_it_leads_to_the_shipped_weights(tmp_path: Path) -> None:
    registry = WeightRegistry(tmp_path)
    for number in range(KEPT + 2):
        adopt(registry, str(number))
    assert [card.number for card in registry.history()] == list(range(3, KEPT + 3))
    while registry.in_force():
        last = registry.rollback()[1]
    assert last is None
