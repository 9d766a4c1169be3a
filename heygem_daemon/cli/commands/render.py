"""`heygem render`: render videos without a daemon."""

from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from heygem_daemon.cli.exit_codes import ExitCode
from heygem_daemon.cli.progress_bars import add_bar, progress_bars
from heygem_daemon.core import names
from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.job_options import NO_OPTIONS, JobOptions
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.warning_codes import describe_warning
from heygem_daemon.lipsync.engines import engine
from heygem_daemon.lipsync.loading import without_collection
from heygem_daemon.lipsync.render_request import RenderReport, RenderRequest
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.types import MediaLimits
from heygem_daemon.settings import Settings
from heygem_daemon.wiring.config_mapping import media_limits, wav2lip_options


def render(
    settings: Settings, recording: Path, videos: list[Path], out: Path, *, script: Path | None = None, wanted: JobOptions = NO_OPTIONS
) -> ExitCode:
    """Write `out`/<video>.mp4 for every video; a video that fails does not stop the others. wanted: what overrides the settings.

    What is refused by its files alone is refused before the engine is loaded, which takes seconds.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        typer.echo(f"heygem: {out}: {problem.strerror}", err=True)
        return ExitCode.PROBLEM
    options, console = settings.engine.render_options().overridden_by(wanted), Console(stderr=True)
    usable = list(_usable(console, recording, videos, options, media_limits(settings)))
    if not usable:
        return ExitCode.SOME_FAILED
    with without_collection():
        from heygem_daemon.lipsync.pipeline import RenderSession  # noqa: PLC0415  (torch is slow to import)

    stems = names.output_stems([str(video) for video in videos])
    session = RenderSession(
        models_dir=settings.weights,
        cache_dir=settings.cache,
        device=settings.engine.device,
        threads=settings.engine.threads,
        cache_bytes=settings.keep.cache_bytes,
        limits=media_limits(settings),
        wav2lip=wav2lip_options(settings),
        hardware_codecs=settings.engine.hardware_codecs,
    )
    failures = len(videos) - len(usable)
    with progress_bars(console) as progress:
        for video in usable:
            request = _request(options, recording, video, out / f"{stems[str(video)]}.mp4", script)
            try:
                report = session.render(request, add_bar(progress, names.escape_name(video.name)))
            except HeygemError as problem:
                failures += 1
                _print_problem(console, video, problem)
            else:
                typer.echo(f"{request.output}  {_summary(report)}")
                for code in report.warnings:
                    console.print(
                        f"  {describe_warning(code, report.warning_details.get(code, ''))}", style="yellow", markup=False, highlight=False
                    )
    return ExitCode.SOME_FAILED if failures else ExitCode.OK


def _usable(console: Console, recording: Path, videos: list[Path], options: RenderOptions, limits: MediaLimits) -> Iterator[Path]:
    """Yield the videos that can be used with the recording and the engine, by what their files say; print why the others cannot."""
    try:
        engine(options.engine)
        check_recording(recording.absolute(), limits)
    except HeygemError as problem:
        _print_problem(console, recording, problem)
        return
    for video in videos:
        try:
            check_video(video.absolute(), limits)
        except HeygemError as problem:
            _print_problem(console, video, problem)
        else:
            yield video


def _print_problem(console: Console, path: Path, problem: HeygemError) -> None:
    console.print(f"{names.escape_name(str(path))}: {problem.message}", style="red", markup=False, highlight=False)
    console.print(f"  {problem.hint} ({problem.code})", markup=False, highlight=False)


def _request(options: RenderOptions, recording: Path, video: Path, output: Path, script: Path | None) -> RenderRequest:
    return RenderRequest(
        recording=recording.absolute(),
        video=video.absolute(),
        output=output.absolute(),
        thumbnail=output.with_suffix(".jpg").absolute(),
        explain=output.with_suffix(".explain.png").absolute(),
        script=None if script is None else script.absolute(),
        options=options,
    )


def _summary(report: RenderReport) -> str:
    sync = "" if report.sync_offset_ms is None else f", sync {report.sync_offset_ms:+.0f} ms"
    closures = "" if report.closure_rate is None else f", {report.closure_rate:.0%} of the closures shut"
    share = "" if not sync or report.measured_share == 1 else f" (measured on {report.measured_share:.0%} of the frames)"
    old = "" if not report.frames_not_driven else f", {report.frames_not_driven:.0%} of the frames with the old mouth"
    size = f"{report.frames} frames at {report.frame_rate}, {report.seconds:.2f} s"
    return f"{size}, {report.speed:.2f} x real time on {report.device}{sync}{closures}{share}{old}"
