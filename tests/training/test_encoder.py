"""The encoder learns easily separated phonemes in a few steps, and its metrics count those it recognises."""

import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.network import Encoder
from training.encoder import Schedule, recognition, soft_labels, train_encoder
from training.features import Rows

STEPS = 30
Trained = tuple[Encoder, list[tuple[int, float]]]
"""An encoder, and its losses by step."""


def toy(seed: int) -> Rows:
    """A second and a half in which each viseme is a band of its own in the spectrum, and silence is none."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 16, 10), 15).astype(np.int8)
    mel = np.full((150, 80), -2.0)
    for row, label in enumerate(labels):
        if label:
            mel[row, 5 * label : 5 * label + 5] = 1
    return Rows(mel=(mel + rng.normal(0, 0.1, mel.shape)).astype(np.float16), labels=labels)


@pytest.fixture(scope="module")
def trained() -> Trained:
    losses: list[tuple[int, float]] = []
    schedule = Schedule(steps=STEPS, batch=4, warm_up=5)
    encoder = train_encoder(
        [toy(seed) for seed in range(12)], schedule, seed=1, device="cpu", on_step=lambda step, loss: losses.append((step, loss))
    )
    return encoder, losses


def test_an_encoder_learns(trained: Trained) -> None:
    encoder, losses = trained
    assert [step for step, _ in losses] == list(range(1, STEPS + 1))
    assert losses[-1][1] < losses[0][1]
    assert not encoder.training
    found = recognition(encoder, [toy(seed) for seed in range(100, 104)])
    assert found.frames == 4 * 75
    assert found.accuracy > 0.5
    assert found.in_speech > 0.5
    assert found.bilabial_recall > 0.5
    assert found.bilabial_precision > 0.5


def test_the_metrics_of_recognition_fall_where_the_labels_are_wrong(trained: Trained) -> None:
    encoder, _ = trained
    right = toy(100)
    wrong = Rows(mel=right.mel, labels=(1 + right.labels % 15).astype(np.int8))
    assert recognition(encoder, [wrong]).accuracy < 0.3


def test_the_same_seed_gives_the_same_encoder() -> None:
    rows, schedule = [toy(1), toy(2)], Schedule(steps=2, batch=2, warm_up=1)
    first, again, other = (train_encoder(rows, schedule, seed=seed, device="cpu", on_step=lambda *_: None) for seed in (3, 3, 4))
    there, here, elsewhere = (encoder.state_dict()["entry.weight"] for encoder in (first, again, other))
    assert torch.equal(there, here)
    assert not torch.equal(there, elsewhere)


def test_a_boundary_of_labels_is_soft_and_a_steady_label_is_not() -> None:
    labels = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    soft = soft_labels(labels)
    assert soft.shape == (1, len(VISEMES), 4)
    assert soft[0, 1].tolist() == [0, 0.25, 1, 1]
    assert soft[0, 0].tolist() == [1, 0.75, 0, 0]
    assert soft.sum(1).eq(1).all()
