"""`python -m training`: from nothing to the weights of the speech driver, in stages that are kept on disk."""

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
_AVDATA: Final = "folder of audio-visual clips (*.npz, docs/learning.md); without it the mappers are taught by the weights in use"
_TESTS: Final = 60
"""Utterances that each figure of recognition is measured on, at most."""


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

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", flush=True)

    clips = read_clips(options.avdata) if options.avdata else []
    if options.avdata and len({person_of(clip) for clip in clips}) < mapper.FOLDS:
        print(f"{options.avdata} holds fewer than {mapper.FOLDS} people: too few to judge by people held back", file=sys.stderr)
        return 2
    hearing = _hearing(plan, options, say)
    start = PhoneticModel(encoder=hearing.encoder, detector=hearing.detector, mappers=(), lip_pca=LipPca.none())
    model, judgement = _learned(start, clips, plan, options, say) if clips else (_taught(start, plan, options, say), None)
    minutes = hearing.earlier + (time.monotonic() - began) / 60
    written = card.make(model, hearing.told, judgement, clips, seed=options.seed, minutes=minutes)
    model = model.with_(card=written)
    save(model, options.out)
    options.out.with_suffix(".md").write_text(card.as_markdown(written), "utf-8")
    say(f"{options.out} written, and {options.out.with_suffix('.md').name} beside it")
    print(json.dumps(written, indent=2))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "--avdata",
        type=Path,
        help=_AVDATA,
    )
    parser.add_argument("--without", nargs="+", default=[], metavar="PERSON", help="people who teach nothing, to be judged by them")
    parser.add_argument("--out", type=Path, default=Path("weights/phonetic.safetensors"))
    parser.add_argument("--work", type=Path, default=Path(".cache/training"), help="stages already done are read from here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=2, help="processes and threads")
    parser.add_argument("--tiny", action="store_true", help="a run of a minute that shows that every stage works; its weights are useless")
    return parser.parse_args(arguments)


@dataclass(frozen=True, kw_only=True)
class _Hearing:
    """The encoder and the detector, what they tell of voices and music they never heard, and the minutes they took where that was
    another time."""

    encoder: Encoder
    detector: SpeechDetector
    told: card.RecognitionMetrics
    earlier: float = 0.0


def _hearing(plan: Plan, options: argparse.Namespace, say: OnStage) -> _Hearing:
    """Return what hears; kept in the work folder."""
    began = time.monotonic()
    kept = options.work / f"hearing-{_name(options)}.pt"
    if kept.exists():
        say(f"encoder and detector from {kept}")
        stored = torch.load(kept, weights_only=True)
        encoder, detector = Encoder(), SpeechDetector()
        encoder.load_state_dict(stored["encoder"])
        detector.load_state_dict(stored["detector"])
        told = card.RecognitionMetrics(recognised=stored["recognised"], detected=stored["detected"])
        return _Hearing(encoder=encoder.eval(), detector=detector.eval(), told=told, earlier=stored["minutes"])
    made = _corpus(options)
    if not made.exists():
        say("corpus: speaking and playing")
        corpus.build(plan.size, made, seed=options.seed, workers=options.workers)
    spoken = corpus.load(made)
    speech = [u for u in spoken if u.language != music.LANGUAGE]
    played = _hours(spoken) - _hours(speech)
    say(f"corpus: {_hours(speech):.2f} h in {len({u.voice for u in speech})} voices, {played:.2f} h of music; augmenting")
    learned = [u for u in spoken if not corpus.is_held_out(u)]
    rows = rows_of(learned, copies=plan.copies, seed=options.seed + 1, workers=options.workers)
    tests = {name: _test_rows(spoken, name, options) for name in corpus.TESTS}
    say(f"encoder: {plan.steps} steps on {sum(len(r.labels) for r in rows) / 360000:.2f} h ({options.device})")

    def steps_of(name: str) -> Callable[[int, float], None]:
        return lambda step, loss: say(f"{name}: step {step}, loss {loss:.3f}") if step % 250 == 0 else None

    encoder = train_encoder(rows, Schedule(steps=plan.steps), seed=options.seed, device=options.device, on_step=steps_of("encoder"))
    schedule = Schedule(steps=plan.detector_steps)
    detector = train_detector(rows, schedule, seed=options.seed, device=options.device, on_step=steps_of("detector"))
    told = card.RecognitionMetrics(
        recognised={name: asdict(recognition(encoder, some)) for name, some in tests.items() if some},
        detected=asdict(detection(detector, [*_held_music(spoken, options), *(one for some in tests.values() for one in some)])),
    )
    stored = {"encoder": encoder.state_dict(), "detector": detector.state_dict(), "minutes": (time.monotonic() - began) / 60}
    torch.save({**stored, **vars(told)}, kept)
    return _Hearing(encoder=encoder, detector=detector, told=told)


def _name(options: argparse.Namespace) -> str:
    """Return what tells stages of one run from those of another."""
    return f"{'tiny' if options.tiny else 'full'}-{corpus.VERSION}-{options.seed}"


def _corpus(options: argparse.Namespace) -> Path:
    return Path(options.work, f"corpus-{_name(options)}.npz")


def _hours(spoken: Sequence[Utterance]) -> float:
    return sum(u.seconds for u in spoken) / 3600


def _test_rows(spoken: Sequence[Utterance], name: str, options: argparse.Namespace) -> list[Rows]:
    chosen = [u for u in spoken if corpus.TESTS[name](u)][:_TESTS]
    made = rows_of(chosen, copies=1, seed=options.seed + 2, workers=1) if chosen else []
    return [rows for rows in made if rows.labels.any()]


def _held_music(spoken: Sequence[Utterance], options: argparse.Namespace) -> list[Rows]:
    held = [u for u in spoken if corpus.is_held_out_music(u)]
    return rows_of(held, copies=1, seed=options.seed + 3, workers=1) if held else []


def _learned(
    start: PhoneticModel, clips: Sequence[AvClip], plan: Plan, options: argparse.Namespace, say: OnStage
) -> tuple[PhoneticModel, card.Judgement]:
    held_music = [u for u in corpus.load(_corpus(options)) if corpus.is_held_out_music(u)]
    say(f"mappers: {len(clips)} clips of {len(people(clips))} people; cross-validation")
    torch.set_num_threads(1)
    unseen = mapper.cross_validate(start, clips, seed=options.seed, recipe=plan.mappers, workers=options.workers)
    calibration = mapper.calibrated(clips, unseen)
    say("mappers: from everybody")
    kept = [clip for clip in clips if person_of(clip) not in HELD_OUT.union(options.without)]
    model = mapper.fit_mappers(start, kept, seed=options.seed, mappers=plan.mappers, transcript_mappers=plan.transcript_mappers)
    model = model.with_(calibration=calibration)
    judgement = card.Judgement(
        clean=mapper.metrics_of(clips, unseen.clean, calibration),
        babble=mapper.metrics_of(clips, unseen.noisy, calibration),
        music_motion=mapper.music_motion(model, clips, held_music),
    )
    return model, judgement


def _taught(start: PhoneticModel, plan: Plan, options: argparse.Namespace, say: OnStage) -> PhoneticModel:
    say("mappers: taught by the weights in use, no footage was given")
    teacher = load(options.out)
    waves = [u.wave for u in corpus.load(_corpus(options)) if u.language != music.LANGUAGE][:400]
    return distil_mappers(start, teacher, waves, mappers=plan.mappers, transcript_mappers=plan.transcript_mappers, seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
