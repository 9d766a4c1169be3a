"""Stage A: the viseme head, trained on synthetic speech to recognise the viseme of every 20 ms from what the encoder gives."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.adaptation.finetune import learning_rate_factor
from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.network import VisemeHead
from heygem_daemon.lipsync.speech.whisper import STREAM
from training.features import Rows

OnStep = Callable[[int, float], None]

CROP: Final = 150
_RARE: Final = {"PP": 1.6, "FF": 1.4, "TH": 1.4, "RR": 1.2}
"""Weights in the loss: visemes that a viewer misses when they are not there."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """steps of `batch` crops of 3 s; learning rate with a warm-up and a cosine."""

    steps: int
    batch: int = 32
    rate: float = 2e-3
    decay: float = 1e-2
    warm_up: int = 200


def train_head(rows: Sequence[Rows], schedule: Schedule, *, seed: int, device: str, on_step: OnStep) -> VisemeHead:
    """Return a trained viseme head, in evaluation mode, on the CPU."""
    torch.manual_seed(seed)
    head = VisemeHead().to(device)
    weights = torch.tensor([_RARE.get(name, 1.0) for name in VISEMES], device=device)
    batches = _batches(rows, schedule.batch, np.random.default_rng(seed))

    def loss() -> Tensor:
        stream, labels = (part.to(device) for part in next(batches))
        return -(soft_labels(labels) * functional.log_softmax(head(stream), 2) * weights).sum(2).mean()

    optimise(head, loss, schedule, on_step)
    return head.cpu().eval()


def optimise(network: nn.Module, loss: Callable[[], Tensor], schedule: Schedule, on_step: OnStep) -> None:
    """Train a network in place; `loss` takes the next batch. on_step gets (steps done, smoothed loss)."""
    optimiser = torch.optim.AdamW(network.parameters(), schedule.rate, weight_decay=schedule.decay)
    smoothed = 0.0
    for step in range(schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate * learning_rate_factor(step, schedule.steps, schedule.warm_up)
        now = loss()
        optimiser.zero_grad()
        now.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        smoothed = now.item() if step == 0 else 0.98 * smoothed + 0.02 * now.item()
        on_step(step + 1, smoothed)


def soft_labels(labels: Tensor) -> Tensor:
    """Return [B, n, 16] from labels [B, 2 n] at 100 Hz: a boundary of phonemes is no step in time."""
    hot = functional.one_hot(labels, len(VISEMES)).float().transpose(1, 2)
    padded = functional.pad(hot, (1, 1), mode="replicate")
    return (0.25 * padded[..., :-2] + 0.5 * padded[..., 1:-1] + 0.25 * padded[..., 2:])[..., ::2].transpose(1, 2)


def _batches(rows: Sequence[Rows], batch: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    lengths = np.array([len(r.stream) for r in rows], float)
    chances = lengths / lengths.sum()
    while True:
        stream = np.zeros((batch, CROP, STREAM), np.float32)
        labels = np.zeros((batch, 2 * CROP), np.int64)
        for i, place in enumerate(rng.choice(len(rows), batch, p=chances)):
            chosen = rows[place]
            start = int(rng.integers(0, max(1, len(chosen.stream) - CROP)))
            part = chosen.stream[start : start + CROP]
            stream[i, : len(part)] = part
            labels[i, : 2 * len(part)] = chosen.labels[2 * start : 2 * (start + len(part))]
        yield torch.from_numpy(stream), torch.from_numpy(labels)


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """How well visemes are recognised: frames; fraction right of all, and while somebody speaks (with silence not allowed); recall and
    precision of the bilabials."""

    frames: int
    accuracy: float
    in_speech: float
    bilabial_recall: float
    bilabial_precision: float


def recognition(head: VisemeHead, rows: Sequence[Rows]) -> Recognition:
    """Measure a viseme head on utterances it was not trained on."""
    confusion = np.zeros((len(VISEMES), len(VISEMES)), np.int64)
    right_in_speech = 0
    with torch.inference_mode():
        for one in rows:
            logits = head(torch.from_numpy(one.stream.astype(np.float32)[None]))[0].numpy().T
            truth = one.labels[::2]
            np.add.at(confusion, (truth, logits.argmax(0)), 1)
            spoken = truth > 0
            right_in_speech += int((logits[1:].argmax(0)[spoken] + 1 == truth[spoken]).sum())
    bilabial = VISEMES.index("PP")
    return Recognition(
        frames=int(confusion.sum()),
        accuracy=float(np.trace(confusion) / confusion.sum()),
        in_speech=right_in_speech / max(1, int(confusion[1:].sum())),
        bilabial_recall=float(confusion[bilabial, bilabial] / max(1, confusion[bilabial].sum())),
        bilabial_precision=float(confusion[bilabial, bilabial] / max(1, confusion[:, bilabial].sum())),
    )
