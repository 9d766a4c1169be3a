"""The table of a card: without one it says so; the drawing of both is compared where something was drawn."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.card import NO_CARD
from benchmarks.speed.card import main as measure_card
from benchmarks.speed.card_drawing import difference, run


def test_frames_are_compared_where_something_was_drawn() -> None:
    source = np.zeros(1000, np.uint8)
    wanted, drawn = source.copy(), source.copy()
    wanted[:10] = 100
    drawn[:10] = 101
    assert difference([drawn], [wanted], [source]) == {"dB": pytest.approx(48.13, abs=0.01), "% off by more than 2": 0}
    drawn[0] = 110
    assert difference([drawn], [wanted], [source])["% off by more than 2"] == 10
    assert difference([wanted], [wanted], [source]) == {"dB": 99, "% off by more than 2": 0}


def test_without_a_card_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert measure_card([]) == 1
    assert capsys.readouterr().out.strip() == NO_CARD


@pytest.mark.slow
def test_batches_are_drawn_and_compared_with_the_cpu(portrait_clip: Path, weights: Path, tmp_path: Path) -> None:
    job = {"clip": str(portrait_clip), "weights": str(weights), "device": "cpu", "frames": 6, "batches": [2, 4], "rounds": 1}
    found = run(job, tmp_path)
    assert list(found) == ["plan", "2", "4", "whole"]
    assert all(values["ms/frame"] > 0 for values in found.values())
    assert found["2"]["dB"] == pytest.approx(found["4"]["dB"], abs=1)
    assert found["2"]["dB"] > 45
