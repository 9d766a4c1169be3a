"""`heygem learn`: ingest footage into the local corpus, learn weights from it and put them in force; delete and roll back."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.cli.progress_bars import add_bar, progress_bars
from heygem_daemon.core import names
from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.lipsync.adaptation.adapt import adapt_weights
from heygem_daemon.lipsync.adaptation.clips import AvClip, people
from heygem_daemon.lipsync.adaptation.corpus import Corpus
from heygem_daemon.lipsync.adaptation.cross_validation import FEWEST_CLIPS, FEWEST_PEOPLE, CrossValidation, has_enough_clips
from heygem_daemon.lipsync.adaptation.ingest import FootageIngest, IngestResult, videos_in
from heygem_daemon.lipsync.adaptation.phonetic_method import phonetic_method, phonetic_store
from heygem_daemon.lipsync.adaptation.weight_registry import ModelCard, WeightRegistry
from heygem_daemon.lipsync.device import use_threads
from heygem_daemon.lipsync.engines import EngineContext, engine
from heygem_daemon.lipsync.face_tracks import parse_selection
from heygem_daemon.lipsync.progress import OnProgress, throttled
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import media_limits

_METRICS = {
    "opening_r": "opening r",
    "width_r": "width r",
    "amplitude": "amplitude",
    "closures_hit": "closures hit",
    "closures_false": "closures false",
}
_NEXT_WORKER = "A running daemon uses them from its next start of a worker."


@dataclass(frozen=True, kw_only=True)
class FootagePerson:
    """The person in the videos of one command: one of the corpus, the same new one in all, or (neither) another one in each."""

    person: str = ""
    same_person: bool = False


def learn(settings: Settings, paths: Sequence[Path], who: FootagePerson, *, collect_only: bool, dry_run: bool) -> ExitCode:
    """Gather, then learn from the corpus. Exit 3 when a video was refused, 1 when nothing could be done."""
    corpus = Corpus(settings.corpus)
    try:
        with nullcontext() if dry_run else corpus.locked():
            results = _ingest(settings, corpus, paths, who, save=not dry_run) if paths else []
            clips = _clips(corpus, results)
            if not collect_only:
                _learn(settings, clips, dry_run=dry_run)
    except HeygemError as problem:
        return _refuse(problem)
    return ExitCode.SOME_FAILED if any(each.refusal for each in results) else ExitCode.OK


def show(settings: Settings) -> ExitCode:
    console, corpus, registry = Console(highlight=False), Corpus(settings.corpus), WeightRegistry(settings.weights)
    try:
        entries, cards, in_force = corpus.entries(), registry.history(), registry.in_force()
    except HeygemError as problem:
        return _refuse(problem)
    table = Table("video", "person", "clips", "seconds", "mouth late by")
    for entry in entries:
        table.add_row(entry.video, entry.person, str(entry.clips), f"{entry.seconds:.0f}", f"{entry.lag * 1000:+.0f} ms")
    seconds, persons = sum(entry.seconds for entry in entries), len({entry.person for entry in entries})
    console.print(f"Corpus {escape(str(settings.corpus))}: {seconds / 60:.1f} minutes, {persons} people", table)
    weights = Table("", "weights", "date", "learned from", "measured on", "opening r")
    for card in cards:
        mark = "in force" if in_force is not None and card.number == in_force.number else ""
        opening = f"{card.before['opening_r']:.3f} -> {card.after['opening_r']:.3f}"
        weights.add_row(mark, str(card.number), card.date, f"{card.hours:.2f} h, {card.people} people", card.judged_on, opening)
    weights.add_row("in force" if in_force is None else "", "shipped", "", "", "", "")
    console.print(weights)
    return ExitCode.OK


def forget(settings: Settings, name: str) -> ExitCode:
    corpus = Corpus(settings.corpus)
    try:
        with corpus.locked():
            gone = corpus.forget(name)
    except HeygemError as problem:
        return _refuse(problem)
    typer.echo(f"{len(gone)} videos forgotten, {sum(entry.clips for entry in gone)} clips deleted.")
    if WeightRegistry(settings.weights).in_force() is not None:
        typer.echo("Weights learned earlier stay as they are: `heygem learn` learns without them, `heygem learn --rollback` goes back.")
    return ExitCode.OK


def rollback(settings: Settings) -> ExitCode:
    try:
        with Corpus(settings.corpus).locked():
            taken_back, again = WeightRegistry(settings.weights).rollback()
    except HeygemError as problem:
        return _refuse(problem)
    now = "the shipped weights" if again is None else f"weights {again.number} of {again.date}"
    typer.echo(f"Weights {taken_back.number} of {taken_back.date} are taken back; {now} are in force. {_NEXT_WORKER}")
    return ExitCode.OK


def _ingest(settings: Settings, corpus: Corpus, paths: Sequence[Path], who: FootagePerson, *, save: bool) -> list[IngestResult]:
    """Analyse the videos, put those that can be learned from into the corpus, and print a table of all."""
    if who.person and who.person not in {entry.person for entry in corpus.entries()}:
        raise error("unknown_footage", name=who.person)
    use_threads(settings.engine.threads)
    ingest = FootageIngest(
        driver=engine("rewrite").driver(EngineContext(models=settings.weights, device="cpu")),
        models=settings.weights,
        cache_dir=settings.cache,
        cache_bytes=settings.keep.cache_bytes,
        corpus=corpus,
        face=_face(settings),
        limits=media_limits(settings),
    )
    results, videos = [], videos_in(paths)
    with progress_bars(Console(stderr=True), transient=True) as progress:

        def on_progress(path: Path) -> OnProgress:
            return _bar(progress, names.escape_name(path.name))

        for each in ingest.ingest(videos, person=who.person, same_person=who.same_person, on_progress=on_progress):
            results.append(each)
            if save:
                ingest.save(each)
    Console(highlight=False).print(_table(results))
    for each in results:
        if each.refusal is not None:
            typer.echo(f"{names.escape_name(each.path.name)}: {each.refusal.message}\n    {each.refusal.hint}", err=True)
    return results


def _face(settings: Settings) -> str:
    try:
        parse_selection(settings.engine.face)
    except ValueError as problem:
        typer.echo(f"heygem: engine.face: {problem}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None
    return settings.engine.face


def _clips(corpus: Corpus, results: Sequence[IngestResult]) -> list[AvClip]:
    """Return the clips of the corpus and, in a dry run, those that it would gain."""
    known = {clip.name: clip for clip in corpus.clips()}
    return list({**{clip.name: clip for each in results for clip in each.clips()}, **known}.values())


def _learn(settings: Settings, clips: Sequence[AvClip], *, dry_run: bool) -> None:
    minutes = sum(clip.seconds for clip in clips) / 60
    typer.echo(f"Corpus: {minutes:.1f} minutes, {len(clips)} clips, {len(people(clips))} people.")
    if not has_enough_clips(clips):
        typer.echo(
            f"That is too little to measure what would be learned from it: at least {FEWEST_CLIPS} clips are needed. Nothing is changed."
        )
        return
    registry = WeightRegistry(settings.weights)
    with progress_bars(Console(stderr=True), transient=True) as progress:
        store = phonetic_store(settings.weights)
        result, card = adapt_weights(
            clips, phonetic_method(store), store, registry, dry_run=dry_run, on_progress=_bar(progress, "learning")
        )
    _print_result(result, card, dry_run=dry_run)


def _print_result(result: CrossValidation, card: ModelCard | None, *, dry_run: bool) -> None:
    table = Table("on what was held back", "before", "after")
    for name, title in _METRICS.items():
        table.add_row(title, f"{getattr(result.before, name):.3f}", f"{getattr(result.after, name):.3f}")
    Console(highlight=False).print(table)
    if not result.by_person:
        typer.echo(f"Judged on other minutes of the same people, which proves less: the corpus has fewer than {FEWEST_PEOPLE} people.")
    gain = f"gain {result.gain:+.3f} +- {result.error:.3f}"
    if card is not None:
        typer.echo(f"The new weights are better ({gain}) and in force, as number {card.number}. {_NEXT_WORKER}")
    elif result.is_better and dry_run:
        typer.echo(f"The new weights are better ({gain}) and would be adopted. Nothing is changed.")
    else:
        typer.echo(f"The weights in force stay: {'; '.join(result.rejections)}.")


def _table(results: Sequence[IngestResult]) -> Table:
    table = Table("video", "", "seconds", "mouth late by", "evidence", "id, or why not")
    for each in results:
        evidence, found = each.evidence, each.refusal is None
        table.add_row(
            escape(names.escape_name(each.path.name)),
            "[green]accepted[/green]" if found else "[red]refused[/red]",
            f"{each.seconds:.0f}" if found else "0",
            f"{evidence.lag * 1000:+.0f} ms" if found and evidence else "",
            f"z {evidence.z:.1f}" if evidence else "",
            each.video if each.refusal is None else each.refusal.code,
        )
    return table


def _refuse(problem: HeygemError) -> ExitCode:
    typer.echo(f"heygem: {problem.message}\n        {problem.hint}", err=True)
    return ExitCode.PROBLEM


def _bar(progress: Progress, title: str) -> OnProgress:
    return throttled(add_bar(progress, title))
