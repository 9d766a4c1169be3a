"""A whole run of the training, on a corpus of a few sentences: every stage works, and what is done is not done again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.weights import shipped_weights
from tests.lipsync.adaptation.conftest import make_clip
from training import __main__ as run
from training import corpus
from training.__main__ import main
from training.mapper import FOLDS
from training.utterance import Utterance


@pytest.fixture(scope="module")
def folder(small_corpus: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which the corpus is spoken already (by espeak-ng alone), and weights to distil from."""
    folder = tmp_path_factory.mktemp("training")
    corpus.save(small_corpus, folder / f"corpus-tiny-{corpus.VERSION}-0.npz")
    shutil.copy(shipped_weights(), folder / "out.safetensors")
    return folder


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny run with fewer steps: what it makes is of no use in either case."""
    monkeypatch.setattr(run, "TINY", replace(run.TINY, steps=3))


def arguments(folder: Path, *more: str) -> list[str]:
    return ["--tiny", "--work", str(folder), "--out", str(folder / "out.safetensors"), "--device", "cpu", "--workers", "1", *more]


def write_clips(folder: Path, people: int) -> None:
    folder.mkdir(exist_ok=True)
    for place in range(people):
        clip = make_clip(f"p{place}", f"p{place}", seed=place, seconds=2)
        np.savez(
            folder / f"{clip.name}.npz",
            person=np.array(clip.person),
            audio=np.clip(clip.audio * 32767, -32768, 32767).astype(np.int16),
            t=clip.times,
            av_lag=np.array(0.0),
            raw=clip.opening,
            P=np.stack([clip.opening, clip.width], axis=1),
            lips=clip.lips,
        )


def read_card(printed: str) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(printed[printed.index("\n{") :])
    return card


@pytest.mark.slow
def test_without_footage_new_mappers_are_distilled_from_the_weights_in_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = load(folder / "out.safetensors")
    assert main(arguments(folder)) == 0
    printed = capsys.readouterr().out
    after = load(folder / "out.safetensors")
    assert after.calibration == before.calibration
    assert not np.array_equal(after.encoder.entry.weight.detach().numpy(), before.encoder.entry.weight.detach().numpy())
    assert read_card(printed) == after.card
    assert "footage" not in after.card
    assert after.card["encoder"]["unseen languages"]["frames"] > 50
    assert "No footage" in (folder / "out.md").read_text("utf-8")
    assert "augmenting" in printed


@pytest.mark.slow
def test_with_footage_mappers_are_trained_on_people_and_evaluated_on_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "clips", FOLDS)
    assert main(arguments(folder, "--avdata", str(tmp_path / "clips"))) == 0
    printed = capsys.readouterr().out
    card = load(folder / "out.safetensors").card
    assert "encoder and detector from" in printed  # it was there from the run before
    assert "augmenting" not in printed
    assert (card["footage"]["clips"], card["footage"]["people"]) == (FOLDS, FOLDS)
    assert card["mapper"]["clean"]["clips"] == FOLDS
    assert "babble 10 dB" in (folder / "out.md").read_text("utf-8")


def test_too_few_people_are_reported_at_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "clips", FOLDS - 1)
    assert main(arguments(folder, "--avdata", str(tmp_path / "clips"))) == 2
    assert "too few to evaluate" in capsys.readouterr().err
