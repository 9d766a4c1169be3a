"""A whole run of the training, on a corpus of a few sentences: every stage works, and what is done is not done again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.finetune import EncodedCopy
from heygem_daemon.lipsync.adaptation.scores import DriverMetrics
from heygem_daemon.lipsync.speech.model import AcousticFeatures, Calibration, PhoneticModel, load, pack, unpack
from heygem_daemon.lipsync.speech.network import FEATURES, VisemeHead
from heygem_daemon.lipsync.speech.weights import shipped_weights
from heygem_daemon.lipsync.speech.whisper import STREAM
from tests.lipsync.adaptation.conftest import make_clip
from training import __main__ as run
from training import corpus, mapper, pretrained
from training.__main__ import main
from training.mapper import FOLDS
from training.utterance import Utterance

RECOGNISED = {"frames": 700, "accuracy": 0.611, "in_speech": 0.622, "bilabial_recall": 0.63, "bilabial_precision": 0.64}
METRICS = DriverMetrics(
    opening_r=0.7,
    opening_r_mean=0.7,
    opening_r_median=0.7,
    width_r=0.4,
    amplitude=1.0,
    closures_hit=0.7,
    closures_false=0.1,
    clips=7,
)


@pytest.fixture(scope="module")
def used() -> PhoneticModel:
    """The weights that are shipped."""
    return load(shipped_weights())


@pytest.fixture(scope="module")
def folder(small_corpus: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which the corpus is spoken already (by espeak-ng alone), and weights that are in use."""
    folder = tmp_path_factory.mktemp("training")
    corpus.save(small_corpus, folder / f"corpus-tiny-{corpus.VERSION}-0.npz")
    shutil.copy(shipped_weights(), folder / "out.safetensors")
    return folder


@pytest.fixture
def headed(tmp_path: Path) -> Path:
    """A work folder in which the viseme head is trained already: nothing but the mappers is left to do."""
    torch.manual_seed(5)
    states = {"projection": nn.Linear(STREAM, FEATURES).state_dict(), "visemes": VisemeHead().state_dict()}
    stage = {**states, "recognised": {"unseen voices": RECOGNISED}, "minutes": 30.0}
    torch.save(stage, tmp_path / f"visemes-tiny-{corpus.VERSION}-0.pt")
    shutil.copy(shipped_weights(), tmp_path / "out.safetensors")
    return tmp_path


@pytest.fixture(autouse=True)
def offline(used: PhoneticModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pretrained networks are those of the shipped weights: nothing is downloaded."""
    monkeypatch.setattr(pretrained, "load_encoder", lambda _: used.encoder)
    monkeypatch.setattr(pretrained, "load_voice_activity", lambda _: used.activity)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny run with fewer steps: what it makes is of no use in either case."""
    monkeypatch.setattr(run, "TINY", replace(run.TINY, steps=3))


def arguments(folder: Path, *more: str) -> list[str]:
    return ["--tiny", "--work", str(folder), "--out", str(folder / "out.safetensors"), "--device", "cpu", "--workers", "1", *more]


def write_clips(folder: Path, people: int) -> None:
    folder.mkdir(exist_ok=True)
    for place in range(people):
        write_clip(folder, f"p{place}", f"p{place}", seed=place)


def write_clip(folder: Path, name: str, person: str, *, seed: int) -> None:
    clip = make_clip(name, person, seed=seed, seconds=2)
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


def same(there: nn.Module, here: nn.Module) -> bool:
    """Return whether two networks are the same, once they are rounded as they are stored."""
    rounded = unpack(pack(there.state_dict()))
    return all(torch.equal(rounded[name], value) for name, value in unpack(pack(here.state_dict())).items())


@pytest.mark.slow
def test_without_footage_the_mappers_are_kept_and_the_viseme_head_is_renewed(
    folder: Path, used: PhoneticModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(folder)) == 0
    printed = capsys.readouterr().out
    after = load(folder / "out.safetensors")
    assert not same(used.visemes, after.visemes)
    assert all(same(there, here) for there, here in zip(used.mappers, after.mappers, strict=True))
    assert read_card(printed) == after.card
    assert "footage" not in after.card
    assert after.card["visemes"]["unseen languages"]["frames"] > 50
    assert "No footage" in (folder / "out.md").read_text("utf-8")
    assert "augmenting" in printed


@pytest.mark.slow
def test_a_viseme_head_that_is_trained_is_read_and_the_rest_stays_that_of_the_weights_in_use(
    headed: Path, used: PhoneticModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """The projection stays, too: the mappers that are kept were trained on its features."""
    assert main(arguments(headed)) == 0
    printed = capsys.readouterr().out
    assert "projection and viseme head from" in printed
    assert "augmenting" not in printed
    after = load(headed / "out.safetensors")
    torch.manual_seed(5)
    assert not same(nn.Linear(STREAM, FEATURES), after.projection)
    assert same(VisemeHead(), after.visemes)
    for part in ("encoder", "activity", "projection"):
        assert same(getattr(used, part), getattr(after, part)), part
    for kind in ("mappers", "transcript_mappers"):
        assert all(same(there, here) for there, here in zip(getattr(used, kind), getattr(after, kind), strict=True)), kind
    assert after.calibration == used.calibration
    assert after.card["visemes"] == {"unseen voices": RECOGNISED}
    assert float(after.card["made_with"].split()[-2]) >= 30  # with the minutes of the earlier run


def test_people_who_are_left_out_or_held_out_are_evaluated_and_not_trained_on(
    headed: Path, used: PhoneticModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clips(tmp_path / "clips", FOLDS)
    write_clip(tmp_path / "clips", "s1", "grid_s1", seed=99)
    trained: list[str] = []
    evaluated: list[str] = []

    def encode(_: PhoneticModel, clips: list[AvClip], **__: object) -> list[list[EncodedCopy]]:
        nothing = AcousticFeatures(**{name: np.zeros((0, 1), np.float32) for name in ("features", "posteriors", "speech", "loudness")})
        return [[EncodedCopy(clip=clip, speed=1.0, lead=0.0, acoustic=nothing, weight=1.0)] for clip in clips]

    def cross_validate(_: PhoneticModel, encoded: list[list[EncodedCopy]], **__: object) -> mapper.HeldOutPredictions:
        evaluated.extend(copies[0].clip.person for copies in encoded)
        return mapper.HeldOutPredictions(clean={}, noisy={})

    def fit(start: PhoneticModel, encoded: list[list[EncodedCopy]], **_: object) -> PhoneticModel:
        trained.extend(copies[0].clip.person for copies in encoded)
        return start.with_(mappers=used.mappers, transcript_mappers=used.transcript_mappers)

    monkeypatch.setattr(mapper, "encode_clips", encode)
    monkeypatch.setattr(mapper, "cross_validate", cross_validate)
    monkeypatch.setattr(mapper, "fit_mappers", fit)
    monkeypatch.setattr(mapper, "best_calibration", lambda *_: Calibration(shut_share=0.27))
    monkeypatch.setattr(mapper, "metrics_of", lambda *_: METRICS)
    monkeypatch.setattr(mapper, "shut_shares", lambda *_: (0.2, 0.24))
    assert main(arguments(headed, "--avdata", str(tmp_path / "clips"), "--without", "p1", "p4")) == 0
    assert sorted(evaluated) == ["grid_s1", "p0", "p1", "p2", "p3", "p4", "p5"]
    assert sorted(trained) == ["p0", "p2", "p3", "p5"]
    after = load(headed / "out.safetensors")
    assert after.calibration == Calibration(shut_share=0.27)
    torch.manual_seed(5)
    assert same(nn.Linear(STREAM, FEATURES), after.projection)  # the new mappers belong to the new projection


@pytest.mark.slow
def test_with_footage_mappers_are_trained_on_people_and_evaluated_on_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "clips", FOLDS)
    assert main(arguments(folder, "--avdata", str(tmp_path / "clips"))) == 0
    printed = capsys.readouterr().out
    card = load(folder / "out.safetensors").card
    assert "projection and viseme head from" in printed  # it was there from the run before
    assert "augmenting" not in printed
    assert (card["footage"]["clips"], card["footage"]["people"]) == (FOLDS, FOLDS)
    assert card["mapper"]["clean"]["clips"] == FOLDS
    assert "babble 10 dB" in (folder / "out.md").read_text("utf-8")


def test_too_few_people_are_reported_at_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "clips", FOLDS - 1)
    assert main(arguments(folder, "--avdata", str(tmp_path / "clips"))) == 2
    assert "too few to evaluate" in capsys.readouterr().err
