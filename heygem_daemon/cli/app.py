"""The commands of `heygem` and their options; each is executed by its module in commands/, which is imported only then."""

from pathlib import Path
from typing import Annotated

import typer

from heygem_daemon import __version__
from heygem_daemon.cli.arguments import Cache, Channel, Config, Device, FirstSeconds, Inboxes, JobName, OneInbox, Outputs, State, Weights
from heygem_daemon.cli.exit_codes import MEANINGS, ExitCode
from heygem_daemon.cli.ledger_app import ledger_app
from heygem_daemon.cli.models_app import models_app
from heygem_daemon.cli.web_app import web_app

app = typer.Typer(
    name="heygem",
    help="A watch-folder lip-sync server: drop a recording and videos, get the presenters speaking it.",
    epilog="Exit codes: " + ", ".join(f"{code:d} {meaning}" for code, meaning in MEANINGS.items()) + ".",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ledger_app, name="ledger")
app.add_typer(models_app, name="models")
app.add_typer(web_app, name="web")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"heygem {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    _version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None: ...


@app.command()
def run(
    config: Config = None,
    inbox: Annotated[list[Path] | None, typer.Option(parser=Path, help="Watched folder; may be given several times.")] = None,
    outputs: Outputs = None,
    state: State = None,
    cache: Cache = None,
    weights: Weights = None,
    device: Device = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Finish what lies in the inboxes, then end.")] = False,
) -> None:
    """Watch the inboxes and work. With --until-idle: exit 0 when every item succeeded, 3 when some did not."""
    from functools import partial

    from heygem_daemon.cli.commands import run
    from heygem_daemon.cli.commands.config import or_exit, settings_with

    read = partial(settings_with, config, inbox=inbox, outputs=outputs, state=state, cache=cache, weights=weights, device=device)
    raise typer.Exit(run.run(or_exit(read), until_idle=until_idle, read=read))


@app.command()
def render(
    recording: Annotated[Path, typer.Argument(help="The speech.")],
    videos: Annotated[list[Path], typer.Argument(help="The videos or portraits to drive.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    engine: Annotated[str | None, typer.Option(help="The engine.")] = None,
    fit: Annotated[str | None, typer.Option(help="audio: as long as the speech; video: as long as the video.")] = None,
    face: Annotated[str | None, typer.Option(help="largest, left, right, center, or a number from the left.")] = None,
    quality: Annotated[int | None, typer.Option(min=0, max=51, help="x264 CRF; smaller is better.")] = None,
    background: Annotated[str | None, typer.Option(help="The colour behind a transparent video: #00ff00 ...")] = None,
    track: Annotated[int | None, typer.Option(min=1, help="The audio track of the recording, counted from 1.")] = None,
    channel: Channel = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also write an image: the speech, the target motion and the measured mouth.")
    ] = False,
    script: Annotated[Path | None, typer.Option(help="A file with the words of the speech: text, subtitles, docx ...")] = None,
    language: Annotated[str | None, typer.Option(help="The language of the script: en, zh, pt-br ...; else it is detected.")] = None,
    first_seconds: FirstSeconds = None,
    config: Config = None,
    cache: Cache = None,
    weights: Weights = None,
    device: Device = None,
) -> None:
    """Make the videos speak the recording, without a daemon."""
    from heygem_daemon.cli.commands import render
    from heygem_daemon.cli.commands.config import refuse_root, settings_or_exit
    from heygem_daemon.core.job_options import JobOptions

    options = {"name": engine, "fit": fit, "face": face, "quality": quality, "background": background, "explain": explain or None}
    settings = settings_or_exit(config, cache=cache, weights=weights, device=device, engine=options)
    refuse_root(settings.cache)
    wanted = JobOptions(track=track, channel=channel, language=language, first_seconds=first_seconds)
    raise typer.Exit(render.render(settings, recording, videos, out, script=script, wanted=wanted))


@app.command()
def learn(
    videos: Annotated[list[Path] | None, typer.Argument(help="Videos with their own audio, or folders of them.")] = None,
    same_person: Annotated[bool, typer.Option("--same-person", help="All these videos show one person.")] = False,
    person: Annotated[str | None, typer.Option(help="They show this person of the corpus, an id that --list shows.")] = None,
    face: Annotated[str | None, typer.Option(help="Who speaks: largest, left, right, center, or a number from the left.")] = None,
    collect_only: Annotated[bool, typer.Option("--collect-only", help="Add to the corpus; learn nothing yet.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and how much better it is; change nothing.")
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="Show the corpus and the weights learned from it.")] = False,
    forget: Annotated[str | None, typer.Option(help="Delete a video or person from the corpus by its id, or all.")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the weights before.")] = False,
    config: Config = None,
    corpus: Annotated[Path | None, typer.Option(parser=Path, help="Folder of what is kept of the footage.")] = None,
    cache: Cache = None,
    weights: Weights = None,
) -> None:
    """Learn how people speak from your own footage, on this machine. Without videos: learn again from what the corpus holds."""
    from heygem_daemon.cli.commands import learn
    from heygem_daemon.cli.commands.config import refuse_root, settings_or_exit

    settings = settings_or_exit(config, corpus=corpus, cache=cache, weights=weights, engine={"face": face})
    if sum((show, rollback, forget is not None)) + bool(videos) > 1 or (same_person and person):
        typer.echo("heygem: choose one of VIDEO..., --list, --forget, --rollback; and of --same-person, --person", err=True)
        raise typer.Exit(ExitCode.USAGE)
    if show:
        raise typer.Exit(learn.show(settings))
    if forget is not None:
        raise typer.Exit(learn.forget(settings, forget))
    if rollback:
        raise typer.Exit(learn.rollback(settings))
    refuse_root(settings.corpus, settings.state, settings.cache, settings.weights)
    who = learn.FootagePerson(person=person or "", same_person=same_person)
    raise typer.Exit(learn.learn(settings, videos or [], who, collect_only=collect_only, dry_run=dry_run))


@app.command()
def status(
    job: Annotated[str | None, typer.Argument(help="One job in detail: its folder in outputs, its name or its id.")] = None,
    config: Config = None,
    outputs: Outputs = None,
    state: State = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the status file itself.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep showing it, with progress bars.")] = False,
) -> None:
    """Show what the daemon is doing. Exit 5 when it runs but cannot write its status, or has not reported for a while; 1 when it is not
    running, or there is no such job."""
    from heygem_daemon.cli.commands import status as view
    from heygem_daemon.cli.commands.config import settings_or_exit

    settings = settings_or_exit(config, outputs=outputs, state=state)
    raise typer.Exit(view.show(settings, job, as_json=as_json, watch=watch))


def _request(verb: str, target: str, config: Path | None, state: Path | None) -> None:
    from heygem_daemon.cli.commands import jobs
    from heygem_daemon.cli.commands.config import settings_or_exit

    raise typer.Exit(jobs.send_request(settings_or_exit(config, state=state), verb, target))


@app.command()
def retry(job: JobName, config: Config = None, state: State = None) -> None:
    """Queue the failed and cancelled results of a finished job again."""
    _request("retry", job, config, state)


@app.command()
def cancel(job: JobName, config: Config = None, state: State = None) -> None:
    """Stop a job; what is published stays."""
    _request("cancel", job, config, state)


@app.command()
def hold(job: JobName, config: Config = None, state: State = None) -> None:
    """Start nothing more of a job until `heygem resume JOB`."""
    _request("hold", job, config, state)


@app.command()
def pause(config: Config = None, inbox: OneInbox = None) -> None:
    """Start nothing new: puts a file named PAUSE into the inboxes."""
    from heygem_daemon.cli.commands import jobs
    from heygem_daemon.cli.commands.config import settings_or_exit

    raise typer.Exit(jobs.pause(settings_or_exit(config, inbox=inbox)))


@app.command()
def resume(
    job: Annotated[str | None, typer.Argument(help="A held job; without it, everything paused goes on.")] = None,
    config: Config = None,
    state: State = None,
    inbox: OneInbox = None,
) -> None:
    """Go on: with one held job, or with everything after `heygem pause`."""
    from heygem_daemon.cli.commands import jobs
    from heygem_daemon.cli.commands.config import settings_or_exit

    if job is not None:
        _request("release", job, config, state)
    raise typer.Exit(jobs.resume(settings_or_exit(config, inbox=inbox)))


@app.command("init-inbox")
def init_inbox(folder: Annotated[Path, typer.Argument(help="The folder to watch; made if it is not there.")]) -> None:
    """Make a folder an inbox: puts the marker file .heygem-inbox into it."""
    from heygem_daemon.cli.commands import jobs

    raise typer.Exit(jobs.init_inbox(folder))


@app.command()
def check(
    config: Config = None,
    inbox: Inboxes = None,
    outputs: Outputs = None,
    state: State = None,
    cache: Cache = None,
    weights: Weights = None,
    device: Device = None,
    user: Annotated[str | None, typer.Option(help="Check as this user; root checks as the owner of the state folder otherwise.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    as_guest: Annotated[bool, typer.Option("--guest", help="Check only what a user of the share can: inboxes, outputs, programs.")] = False,
) -> None:
    """Probe folders, programs, models and the device, and print how to fix what is wrong. Exit 4 when there are warnings only."""
    from heygem_daemon.cli.commands import check
    from heygem_daemon.cli.commands.config import settings_or_exit

    settings = settings_or_exit(config, inbox=inbox, outputs=outputs, state=state, cache=cache, weights=weights, device=device)
    raise typer.Exit(check.check(settings, config=config, user=user, as_json=as_json, as_guest=as_guest))


@app.command()
def sweep(
    config: Config = None,
    inbox: Inboxes = None,
    outputs: Outputs = None,
    state: State = None,
    trust_clock: Annotated[bool, typer.Option("--trust-clock", help="Also where the clock is far ahead of what it showed before.")] = False,
) -> None:
    """Delete what is older than its keep time now; the daemon does it every hour by itself."""
    from heygem_daemon.cli.commands import jobs
    from heygem_daemon.cli.commands.config import settings_or_exit

    raise typer.Exit(jobs.sweep(settings_or_exit(config, inbox=inbox, outputs=outputs, state=state), trust_clock=trust_clock))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the status files."""
    import json

    from heygem_daemon.core.status import schema as status_schema

    typer.echo(json.dumps(status_schema(), indent=2))
