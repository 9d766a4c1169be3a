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

from heygem_daemon.lipsync.adaptation.clips import AvClip, people, read_clips
from heygem_daemon.lipsync.adaptation.finetune import DEFAULT, TRANSCRIPT_RECIPE, Recipe
from heygem_daemon.lipsync.speech.model import LipPca, PhoneticModel, load, save
from heygem_daemon.lipsync.speech.network import Encoder, SpeechDetector
from training import card, corpus, mapper, music
from training.detector import detection, train_detector
from training.distillation import distil_mappers
from training.encoder import Schedule, recognition, train_encoder
from training.features import Rows, rows_of
from training.splits import HELD_OUT, person_of
from training.utterance import Utterance

OnStage = Callable[[str], None]
_AVDATA: Final = "folder of audio-visual clips (*.npz, docs/learning.md); without it the mappers are distilled from the weights in use"
_TESTS: Final = 60
"""Utterances that recognition is measured on in each test, at most."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything. steps: of the encoder; detector_steps: of the detector; copies: augmented copies of each utterance."""

    size: corpus.Size
    copies: int
    steps: int
    detector_steps: int
    mappers: Recipe
    transcript_mappers: Recipe


FULL: Final = Plan(
    size=corpus.FULL, copies=2, steps=4000, detector_steps=2000, mappers=replace(DEFAULT, members=4), transcript_mappers=TRANSCRIPT_RECIPE
)
TINY: Final = Plan(
    size=corpus.TINY,
    copies=1,
    steps=20,
    detector_steps=20,
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
    networks = _audio_networks(plan, options, log)
    start = PhoneticModel(encoder=networks.encoder, detector=networks.detector, mappers=(), lip_pca=LipPca.none())
    model, evaluation = _train_mappers(start, clips, plan, options, log) if clips else (_distil_mappers(start, plan, options, log), None)
    minutes = networks.earlier + (time.monotonic() - began) / 60
    written = card.make(model, networks.metrics, evaluation, clips, seed=options.seed, minutes=minutes)
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
    """The encoder and the detector, their metrics on voices and music held out, and the minutes an earlier run took to train them."""

    encoder: Encoder
    detector: SpeechDetector
    metrics: card.RecognitionMetrics
    earlier: float = 0.0


def _audio_networks(plan: Plan, options: argparse.Namespace, log: OnStage) -> _AudioNetworks:
    """Return the trained networks, and store them in the work folder."""
    began = time.monotonic()
    path = options.work / f"hearing-{_name(options)}.pt"
    if path.exists():
        log(f"encoder and detector from {path}")
        stored = torch.load(path, weights_only=True)
        encoder, detector = Encoder(), SpeechDetector()
        encoder.load_state_dict(stored["encoder"])
        detector.load_state_dict(stored["detector"])
        metrics = card.RecognitionMetrics(recognised=stored["recognised"], detected=stored["detected"])
        return _AudioNetworks(encoder=encoder.eval(), detector=detector.eval(), metrics=metrics, earlier=stored["minutes"])
    made = _corpus(options)
    if not made.exists():
        log("corpus: speaking and playing")
        corpus.build(plan.size, made, seed=options.seed, workers=options.workers)
    spoken = corpus.load(made)
    speech = [u for u in spoken if u.language != music.LANGUAGE]
    played = _hours(spoken) - _hours(speech)
    log(f"corpus: {_hours(speech):.2f} h in {len({u.voice for u in speech})} voices, {played:.2f} h of music; augmenting")
    learned = [u for u in spoken if not corpus.is_held_out(u)]
    rows = rows_of(learned, copies=plan.copies, seed=options.seed + 1, workers=options.workers)
    tests = {name: _test_rows(spoken, name, options) for name in corpus.TESTS}
    log(f"encoder: {plan.steps} steps on {sum(len(r.labels) for r in rows) / 360000:.2f} h ({options.device})")

    def steps_of(name: str) -> Callable[[int, float], None]:
        return lambda step, loss: log(f"{name}: step {step}, loss {loss:.3f}") if step % 250 == 0 else None

    encoder = train_encoder(rows, Schedule(steps=plan.steps), seed=options.seed, device=options.device, on_step=steps_of("encoder"))
    schedule = Schedule(steps=plan.detector_steps)
    detector = train_detector(rows, schedule, seed=options.seed, device=options.device, on_step=steps_of("detector"))
    metrics = card.RecognitionMetrics(
        recognised={name: asdict(recognition(encoder, some)) for name, some in tests.items() if some},
        detected=asdict(detection(detector, [*_held_out_music(spoken, options), *(one for some in tests.values() for one in some)])),
    )
    stored = {"encoder": encoder.state_dict(), "detector": detector.state_dict(), "minutes": (time.monotonic() - began) / 60}
    torch.save({**stored, **vars(metrics)}, path)
    return _AudioNetworks(encoder=encoder, detector=detector, metrics=metrics)


def _name(options: argparse.Namespace) -> str:
    """Return the part of a stage's file name that depends on the options."""
    return f"{'tiny' if options.tiny else 'full'}-{corpus.VERSION}-{options.seed}"


def _corpus(options: argparse.Namespace) -> Path:
    return Path(options.work, f"corpus-{_name(options)}.npz")


def _hours(spoken: Sequence[Utterance]) -> float:
    return sum(u.seconds for u in spoken) / 3600


def _test_rows(spoken: Sequence[Utterance], name: str, options: argparse.Namespace) -> list[Rows]:
    chosen = [u for u in spoken if corpus.TESTS[name](u)][:_TESTS]
    made = rows_of(chosen, copies=1, seed=options.seed + 2, workers=1) if chosen else []
    return [rows for rows in made if rows.labels.any()]


def _held_out_music(spoken: Sequence[Utterance], options: argparse.Namespace) -> list[Rows]:
    held = [u for u in spoken if corpus.is_held_out_music(u)]
    return rows_of(held, copies=1, seed=options.seed + 3, workers=1) if held else []


def _train_mappers(
    start: PhoneticModel, clips: Sequence[AvClip], plan: Plan, options: argparse.Namespace, log: OnStage
) -> tuple[PhoneticModel, card.Evaluation]:
    music_rows = [u for u in corpus.load(_corpus(options)) if corpus.is_held_out_music(u)]
    log(f"mappers: {len(clips)} clips of {len(people(clips))} people; cross-validation")
    torch.set_num_threads(1)
    unseen = mapper.cross_validate(start, clips, seed=options.seed, recipe=plan.mappers, workers=options.workers)
    calibration = mapper.best_calibration(clips, unseen)
    log("mappers: on everybody")
    allowed = [clip for clip in clips if person_of(clip) not in HELD_OUT.union(options.without)]
    model = mapper.fit_mappers(start, allowed, seed=options.seed, mappers=plan.mappers, transcript_mappers=plan.transcript_mappers)
    model = model.with_(calibration=calibration)
    evaluation = card.Evaluation(
        clean=mapper.metrics_of(clips, unseen.clean, calibration),
        babble=mapper.metrics_of(clips, unseen.noisy, calibration),
        music_motion=mapper.music_motion(model, clips, music_rows),
    )
    return model, evaluation


def _distil_mappers(start: PhoneticModel, plan: Plan, options: argparse.Namespace, log: OnStage) -> PhoneticModel:
    log("mappers: distilled from the weights in use, no footage was given")
    teacher = load(options.out)
    waves = [u.wave for u in corpus.load(_corpus(options)) if u.language != music.LANGUAGE][:400]
    return distil_mappers(start, teacher, waves, mappers=plan.mappers, transcript_mappers=plan.transcript_mappers, seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
