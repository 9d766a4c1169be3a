"""`python -m training`: train the weights of the speech driver from nothing, in stages that are stored on disk."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import nn

from heygem_daemon.lipsync.adaptation.clips import AvClip, people, read_clips
from heygem_daemon.lipsync.adaptation.finetune import DEFAULT, TRANSCRIPT_RECIPE, Recipe
from heygem_daemon.lipsync.speech.model import LipPca, PhoneticModel, load, save
from heygem_daemon.lipsync.speech.network import FEATURES, VisemeHead
from heygem_daemon.lipsync.speech.whisper import STREAM, SpeechEncoder
from training import card, corpus, mapper, pretrained
from training.features import Rows, rows_of
from training.projection import fit_projection
from training.splits import HELD_OUT, person_of
from training.utterance import Utterance
from training.visemes import Schedule, recognition, train_head

OnStage = Callable[[str], None]
_AVDATA: Final = "folder of audio-visual clips (*.npz, docs/learning.md); without it the mappers of the weights in use are kept"
_TESTS: Final = 60
"""Utterances that recognition is measured on in each test, at most."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything. steps: of the viseme head; copies: augmented copies of each utterance."""

    size: corpus.Size
    copies: int
    steps: int
    mappers: Recipe
    transcript_mappers: Recipe


FULL: Final = Plan(size=corpus.FULL, copies=1, steps=2500, mappers=replace(DEFAULT, members=4), transcript_mappers=TRANSCRIPT_RECIPE)
TINY: Final = Plan(
    size=corpus.TINY,
    copies=1,
    steps=20,
    mappers=replace(DEFAULT, members=1, steps=10),
    transcript_mappers=replace(TRANSCRIPT_RECIPE, members=1, steps=10),
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    plan = TINY if options.tiny else FULL
    torch.set_num_threads(options.workers)
    options.work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def log(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", flush=True)

    clips = read_clips(options.avdata) if options.avdata else []
    if options.avdata and len({person_of(clip) for clip in clips}) < mapper.FOLDS:
        print(f"{options.avdata} holds fewer than {mapper.FOLDS} people: too few to evaluate on people held out", file=sys.stderr)
        return 2
    used = None if clips else load(options.out)  # read first: without it the rest would be in vain
    stage = _audio_networks(plan, options, log)
    start = stage.networks
    model, evaluation = (_keep_mappers(start, used, log), None) if used else _train_mappers(start, clips, plan, options, log)
    minutes = stage.earlier + (time.monotonic() - began) / 60
    written = card.make(model, stage.recognised, evaluation, clips, seed=options.seed, minutes=minutes)
    model = model.with_(card=written)
    save(model, options.out)
    options.out.with_suffix(".md").write_text(card.as_markdown(written), "utf-8")
    log(f"{options.out} written, and {options.out.with_suffix('.md').name} beside it")
    print(json.dumps(written, indent=2))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "--avdata",
        type=Path,
        help=_AVDATA,
    )
    parser.add_argument("--without", nargs="+", default=[], metavar="PERSON", help="people left out of the training, to evaluate on them")
    parser.add_argument("--out", type=Path, default=Path("weights/phonetic.safetensors"))
    parser.add_argument("--work", type=Path, default=Path(".cache/training"), help="stages already done are read from here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=2, help="processes and threads")
    parser.add_argument("--tiny", action="store_true", help="a run of a minute that shows that every stage works; its weights are useless")
    return parser.parse_args(arguments)


@dataclass(frozen=True, kw_only=True)
class _AudioNetworks:
    """A model without mappers, how well its viseme head recognises voices held out, and the minutes an earlier run took to train it."""

    networks: PhoneticModel
    recognised: card.Recognised
    earlier: float = 0.0


def _audio_networks(plan: Plan, options: argparse.Namespace, log: OnStage) -> _AudioNetworks:
    """Return what needs no footage: the pretrained networks, and the projection and the viseme head, trained now or earlier."""
    began = time.monotonic()
    log("pretrained networks")
    encoder = pretrained.load_encoder(options.work / "pretrained")
    start = PhoneticModel(
        encoder=encoder,
        activity=pretrained.load_voice_activity(options.work / "pretrained"),
        projection=nn.Linear(STREAM, FEATURES),
        visemes=VisemeHead().eval(),
        mappers=(),
        lip_pca=LipPca.none(),
    )
    path = options.work / f"visemes-{_name(options)}.pt"
    if path.exists():
        log(f"projection and viseme head from {path}")
        stored = torch.load(path, weights_only=True)
        start.projection.load_state_dict(stored["projection"])
        start.visemes.load_state_dict(stored["visemes"])
        return _AudioNetworks(networks=start, recognised=stored["recognised"], earlier=stored["minutes"])
    made = _corpus(options)
    if not made.exists():
        log("corpus: speaking")
        corpus.build(plan.size, made, seed=options.seed, workers=options.workers)
    spoken = corpus.load(made)
    log(f"corpus: {sum(u.seconds for u in spoken) / 3600:.2f} h in {len({u.voice for u in spoken})} voices; augmenting and encoding")
    learned = [u for u in spoken if not corpus.is_held_out(u)]
    rows = rows_of(encoder, learned, copies=plan.copies, seed=options.seed + 1, workers=options.workers)
    tests = {name: _test_rows(encoder, spoken, name, options) for name in corpus.TESTS}
    log(f"viseme head: {plan.steps} steps on {sum(len(r.stream) for r in rows) / 180000:.2f} h ({options.device})")

    def on_step(step: int, loss: float) -> None:
        if step % 250 == 0:
            log(f"step {step}, loss {loss:.3f}")

    head = train_head(rows, Schedule(steps=plan.steps), seed=options.seed, device=options.device, on_step=on_step)
    start = start.with_(projection=fit_projection(rows), visemes=head)
    recognised = {name: asdict(recognition(head, some)) for name, some in tests.items() if some}
    minutes = (time.monotonic() - began) / 60
    states = {"projection": start.projection.state_dict(), "visemes": head.state_dict()}
    torch.save({**states, "recognised": recognised, "minutes": minutes}, path)
    return _AudioNetworks(networks=start, recognised=recognised)


def _name(options: argparse.Namespace) -> str:
    """Return the part of a stage's file name that depends on the options."""
    return f"{'tiny' if options.tiny else 'full'}-{corpus.VERSION}-{options.seed}"


def _corpus(options: argparse.Namespace) -> Path:
    return Path(options.work, f"corpus-{_name(options)}.npz")


def _test_rows(encoder: SpeechEncoder, spoken: Sequence[Utterance], name: str, options: argparse.Namespace) -> list[Rows]:
    chosen = [u for u in spoken if corpus.TESTS[name](u)][:_TESTS]
    made = rows_of(encoder, chosen, copies=1, seed=options.seed + 2, workers=1) if chosen else []
    return [rows for rows in made if rows.labels.any()]


def _train_mappers(
    start: PhoneticModel, clips: Sequence[AvClip], plan: Plan, options: argparse.Namespace, log: OnStage
) -> tuple[PhoneticModel, card.Evaluation]:
    log(f"mappers: {len(clips)} clips of {len(people(clips))} people; encoding")
    encoded = mapper.encode_clips(start, clips, seed=options.seed, workers=options.workers)
    log("mappers: cross-validation")
    torch.set_num_threads(1)
    unseen = mapper.cross_validate(start, encoded, seed=options.seed, recipe=plan.mappers, workers=options.workers)
    calibration = mapper.best_calibration(clips, unseen)
    log("mappers: on everybody")
    allowed = [copies for copies in encoded if person_of(copies[0].clip) not in HELD_OUT.union(options.without)]
    model = mapper.fit_mappers(start, allowed, seed=options.seed, mappers=plan.mappers, transcript_mappers=plan.transcript_mappers)
    evaluation = card.Evaluation(
        clean=mapper.metrics_of(clips, unseen.clean, calibration),
        babble=mapper.metrics_of(clips, unseen.noisy, calibration),
        shut_share=mapper.shut_shares(clips, unseen.clean, calibration),
    )
    return model.with_(calibration=calibration), evaluation


def _keep_mappers(start: PhoneticModel, used: PhoneticModel, log: OnStage) -> PhoneticModel:
    log("mappers: those of the weights in use, no footage was given")
    return used.with_(encoder=start.encoder, activity=start.activity, visemes=start.visemes)


if __name__ == "__main__":
    sys.exit(main())
