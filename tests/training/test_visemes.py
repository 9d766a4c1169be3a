"""The viseme head learns easily separated phonemes in a few steps, and its metrics count those it recognises."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch

from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.network import VisemeHead
from heygem_daemon.lipsync.speech.whisper import STREAM
from training.features import Rows
from training.visemes import Recognition, Schedule, recognition, soft_labels, train_head

STEPS = 30
BAND = STREAM // len(VISEMES)
Trained = tuple[VisemeHead, list[tuple[int, float]]]
"""A viseme head, and its losses by step."""


def bands(labels: npt.NDArray[np.int8], rng: np.random.Generator) -> Rows:
    """Return rows in which each viseme is a band of its own in the stream, below some noise."""
    stream = np.repeat(np.eye(len(VISEMES))[labels[::2]], BAND, axis=1)
    return Rows(stream=(stream + rng.normal(0, 0.5, stream.shape)).astype(np.float16), labels=labels)


def toy(seed: int) -> Rows:
    """A second and a half of visemes by chance."""
    rng = np.random.default_rng(seed)
    return bands(np.repeat(rng.integers(0, 16, 10), 15).astype(np.int8), rng)


@pytest.fixture(scope="module")
def trained() -> Trained:
    losses: list[tuple[int, float]] = []
    schedule = Schedule(steps=STEPS, batch=4, warm_up=5)
    head = train_head(
        [toy(seed) for seed in range(12)], schedule, seed=1, device="cpu", on_step=lambda step, loss: losses.append((step, loss))
    )
    return head, losses


def test_a_viseme_head_learns(trained: Trained) -> None:
    head, losses = trained
    assert [step for step, _ in losses] == list(range(1, STEPS + 1))
    assert losses[-1][1] < losses[0][1]
    assert not head.training
    found = recognition(head, [toy(seed) for seed in range(100, 104)])
    assert found.frames == 4 * 75
    assert found.accuracy > 0.5
    assert found.in_speech > 0.5
    assert found.bilabial_recall > 0.5
    assert found.bilabial_precision > 0.5


def test_the_metrics_of_recognition_fall_where_the_labels_are_wrong(trained: Trained) -> None:
    head, _ = trained
    right = toy(100)
    wrong = Rows(stream=right.stream, labels=(1 + right.labels % 15).astype(np.int8))
    assert recognition(head, [wrong]).accuracy < 0.3


class Answering(VisemeHead):
    """A head whose logits are the first values of the stream."""

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        return stream[:, :, : len(VISEMES)]


def answer(truth: Sequence[str], answers: Sequence[str], second: str) -> Recognition:
    """Return the metrics of a head that gives these answers, and would give `second` next."""
    stream = np.zeros((len(truth), STREAM), np.float16)
    stream[:, VISEMES.index(second)] = 1
    stream[np.arange(len(answers)), [VISEMES.index(name) for name in answers]] = 2
    return recognition(Answering(), [Rows(stream=stream, labels=np.repeat([VISEMES.index(name) for name in truth], 2).astype(np.int8))])


def test_the_metrics_count_rows_and_bilabials() -> None:
    truth = ["sil", "sil", "PP", "PP", "PP", "PP", "aa", "aa", "aa", "FF"]
    found = answer(truth, ["sil", "PP", "PP", "PP", "PP", "FF", "aa", "aa", "PP", "FF"], "sil")
    assert found == Recognition(frames=10, accuracy=0.7, in_speech=0.75, bilabial_recall=0.75, bilabial_precision=0.6)


def test_silence_is_no_answer_where_somebody_speaks() -> None:
    """Of what is taken for silence, the accuracy in speech tells whether it is at least likelier than any other viseme."""
    assert answer(["PP", "aa"], ["sil", "sil"], "PP").accuracy == 0
    assert answer(["PP", "aa"], ["sil", "sil"], "PP").in_speech == 0.5


def test_the_same_seed_gives_the_same_viseme_head() -> None:
    rows, schedule = [toy(1), toy(2)], Schedule(steps=2, batch=2, warm_up=1)
    first, again, other = (train_head(rows, schedule, seed=seed, device="cpu", on_step=lambda *_: None) for seed in (3, 3, 4))
    there, here, elsewhere = (head.state_dict()["entry.weight"] for head in (first, again, other))
    assert torch.equal(there, here)
    assert not torch.equal(there, elsewhere)


@pytest.mark.slow
def test_utterances_longer_than_a_crop_are_learned_whole() -> None:
    """The last second of four is in some batch, too: the head knows a viseme that occurs nowhere else."""
    labels = np.full(400, VISEMES.index("aa"), np.int8)
    labels[330:] = VISEMES.index("FF")
    rows = bands(labels, np.random.default_rng(2))
    head = train_head([rows], Schedule(steps=STEPS, batch=4, warm_up=5), seed=0, device="cpu", on_step=lambda *_: None)
    assert recognition(head, [rows]).accuracy > 0.9


def test_a_boundary_of_labels_is_soft_and_a_steady_label_is_not() -> None:
    labels = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    soft = soft_labels(labels)
    assert soft.shape == (1, 4, len(VISEMES))
    assert soft[0, :, 1].tolist() == [0, 0.25, 1, 1]
    assert soft[0, :, 0].tolist() == [1, 0.75, 0, 0]
    assert soft.sum(2).eq(1).all()
