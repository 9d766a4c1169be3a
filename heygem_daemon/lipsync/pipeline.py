"""Render one recording and one video into one result.

    check -> decode the speech -> face tracks -> presenter -> render -> measure the result -> thumbnail
             (exact length)         (both cached by content)    decode | draw | encode, a few frames at a time

Memory does not grow with the length of the video, except for some twenty numbers per frame of its first minute. The recording is decoded
twice: once to 16 kHz for measuring, the transcript, the driver and the diagnostic image, and once for the encoder at its own rate; once
more where something else is spoken than the usual mix of its channels. For the next video only the encoder decodes it (shared_inputs).
"""

from contextlib import AbstractContextManager, ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.core.render_options import Fit, RenderOptions
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync import evaluation, model_files
from heygem_daemon.lipsync.arrays import Bool, Float32
from heygem_daemon.lipsync.cache import Cache, VideoCache
from heygem_daemon.lipsync.device import choose_device, describe_device, use_threads
from heygem_daemon.lipsync.driven_frames import EarlyCheck
from heygem_daemon.lipsync.engines import NO_OPTIONS, Engine, EngineContext, Wav2LipOptions, engine
from heygem_daemon.lipsync.evaluation import SyncMetrics
from heygem_daemon.lipsync.face.measured_mouth import measure_openings
from heygem_daemon.lipsync.face.track_video import cached_tracks
from heygem_daemon.lipsync.face_tracks import TRACKS_VERSION, FaceTracks
from heygem_daemon.lipsync.imaging.visibility import COVERED_VIEW, pose_views
from heygem_daemon.lipsync.needed_frames import shown_part
from heygem_daemon.lipsync.ports import Driver, ListeningDriver, PersonalDriver, Renderer
from heygem_daemon.lipsync.progress import OnProgress, Progress, StageClock, throttled
from heygem_daemon.lipsync.render_loop import RenderInputs, RenderStats, render_frames
from heygem_daemon.lipsync.render_request import RenderReport, RenderRequest
from heygem_daemon.lipsync.shared_inputs import SharedInputs
from heygem_daemon.lipsync.speech.stream import replace_non_finite
from heygem_daemon.lipsync.style.estimation import presenter_style
from heygem_daemon.lipsync.style.speaking_style import SpeakingStyle
from heygem_daemon.lipsync.thumbnail import write_jpeg
from heygem_daemon.lipsync.transcript_drivers import TranscriptAlignment
from heygem_daemon.media.card_codecs import HardwareCodecs, use_card_codecs
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.probe import probe
from heygem_daemon.media.speech import DecodedSpeech, frame_count
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo, MediaLimits, VideoStream
from heygem_daemon.media.verify import verifying
from heygem_daemon.media.writer import VideoWriter

LABEL: Final = "AI-generated"
"""The visible label, where it is requested."""
_WAITING: Final = Progress(stage="analyse", done=0, total=1)
"""What is reported while another worker learns the same presenter."""


@dataclass(frozen=True, kw_only=True)
class LoadedEngine:
    """An engine with its driver and its renderer."""

    engine: Engine
    driver: Driver
    renderer: Renderer[Any]


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A checked request with its decoded speech, its face tracks and its transcript. driver: the loaded one, for this recording."""

    request: RenderRequest
    info: MediaInfo
    video: VideoStream
    speech: DecodedSpeech
    driver: Driver
    tracks: FaceTracks
    loaded: LoadedEngine
    transcript: TranscriptAlignment

    @property
    def fit(self) -> Fit:
        return "audio" if self.video.is_still else self.request.options.fit

    @property
    def frames(self) -> int:
        if self.fit == "audio":
            return frame_count(self.speech.measure.seconds, self.video.frame_rate)
        trial = self.request.options.first_seconds
        return self.tracks.frames if trial is None else min(self.tracks.frames, frame_count(Fraction(trial), self.video.frame_rate))

    @property
    def seconds(self) -> float:
        return float(self.speech.measure.seconds if self.fit == "audio" else self.frames / self.video.frame_rate)

    @property
    def is_trial(self) -> bool:
        """Whether the whole result would go on behind this one."""
        return self.frames < self.tracks.frames if self.fit == "video" else self.speech.is_cut


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rendered:
    """The data that a finished file was made with, and the mouth measured in it: float32 [n], see measured_mouth.measure_openings."""

    stats: RenderStats
    style: SpeakingStyle
    measured: Float32
    metrics: SyncMetrics
    has_label: bool


class RenderSession:
    """Keeps drivers and renderers, and with them the models, from one request to the next. Not to be shared between threads."""

    def __init__(
        self,
        models_dir: Path,
        cache_dir: Path,
        *,
        device: str = "auto",
        threads: int = 0,
        cache_bytes: int = 20 * 2**30,
        limits: MediaLimits = DEFAULT_LIMITS,
        wav2lip: Wav2LipOptions = NO_OPTIONS,
        hardware_codecs: HardwareCodecs = "auto",
    ) -> None:
        """Raises SetupError (`device_unavailable`)."""
        count = use_threads(threads)
        self._context = EngineContext(models=models_dir, device=choose_device(device), threads=count, wav2lip=wav2lip)
        use_card_codecs(self._context.device, hardware_codecs)
        self._cache_dir, self._cache_bytes = cache_dir, cache_bytes
        self._inputs = SharedInputs(directory=cache_dir, limits=limits)
        self._loaded: dict[str, LoadedEngine] = {}

    @property
    def device(self) -> str:
        return describe_device(self._context.device)

    def render(self, request: RenderRequest, on_progress: OnProgress = lambda _: None) -> RenderReport:
        """Make `request.output` and the files requested beside it. Raises HeygemError; then none of the files exists."""
        clock, report_progress = StageClock(), throttled(on_progress)
        try:
            with ExitStack() as stack:
                return self._render(request, report_progress, clock, stack)
        except BaseException:
            for path in (request.output, request.thumbnail, request.diagnostic_image):
                if path is not None:
                    with suppress(OSError):
                        path.unlink(missing_ok=True)
            raise

    def load(self, name: str) -> LoadedEngine:
        """Make the parts of an engine, or return them. Raises InputError (`unknown_engine`), SetupError (`models_missing`)."""
        if name not in self._loaded:
            chosen = engine(name)
            for model in chosen.models:
                model_files.model_path(self._context.models, model)
            self._loaded[name] = LoadedEngine(engine=chosen, driver=chosen.driver(self._context), renderer=chosen.renderer(self._context))
        return self._loaded[name]

    def model_hashes(self, name: str) -> dict[str, str]:
        """Return model name -> sha256 of the files that the engine uses; fetched files are checked against it when they are loaded."""
        fetched = {model.name: model.sha256 for model in model_files.MODELS if model.name in engine(name).models}
        return {**fetched, **self.load(name).driver.model_hashes}

    def _render(self, request: RenderRequest, on_progress: OnProgress, clock: StageClock, stack: ExitStack) -> RenderReport:
        options = request.options
        engine(options.engine)  # refuses an unknown one
        cache = stack.enter_context(Cache(self._cache_dir, self._cache_bytes, on_wait=partial(on_progress, _WAITING)))
        with clock.stage("measure"):
            recording, shared = self._inputs.recording(request.recording, options), self._inputs.video(request.video)
            info = _shown_part(_on_background(shared.info, options.background), recording.speech, options)
            video = _video_of(info)
            self._inputs.check_encoder(video, quality=options.quality, name=display_name(request.video))
            video_cache = VideoCache(cache=cache, key=shared.key)
        loaded = self.load(options.engine)  # takes seconds: what is refused by its files alone is refused before
        with clock.stage("analyse"):
            tracks = cached_tracks(
                video_cache, info, face=options.face, models=self._context.models, cores=self._context.threads, on_progress=on_progress
            )
        with clock.stage("script"):
            transcript = recording.align(loaded.driver, options, request.script)
        task = _Task(
            request=request,
            info=info,
            video=video,
            speech=recording.speech,
            driver=recording.driver(loaded.driver),
            tracks=tracks,
            loaded=loaded,
            transcript=transcript,
        )
        rendered = self._render_task(task, video_cache, on_progress, clock)
        if request.thumbnail is not None and (image := rendered.stats.thumbnail(video)) is not None:
            write_jpeg(image, request.thumbnail)
        if (path := request.diagnostic_image) is not None:
            with clock.stage("explain"):
                _write_diagnostics(task, rendered, path)
        return self._report(task, rendered, clock, cached=not video_cache.built)

    def _render_task(self, task: _Task, video_cache: VideoCache, on_progress: OnProgress, clock: StageClock) -> _Rendered:
        with clock.stage("prepare"):
            check, views = _early_check(task), pose_views(task.tracks, task.loaded.renderer.yaw_fade)
            check(views)
            prepared = self._prepare(video_cache, task, on_progress)
            if task.loaded.renderer.is_covered(prepared):
                check([COVERED_VIEW if view.weight > 0 else view for view in views])
            style = SpeakingStyle()
            if task.loaded.engine.uses_style:
                face = task.request.options.face
                parts = (TRACKS_VERSION, task.video.reading, face)
                style = presenter_style(video_cache, task.info, task.tracks, task.loaded.driver, *parts)
        with clock.stage("render"):
            writer = _writer(task)
            stats = render_frames(_inputs(task, prepared, style, self._cache_dir), writer, on_progress)
            stats.driven.refuse(task.request.options.undriven_limit, display_name(task.request.video))
        with clock.stage("verify"), _verification(task):
            target = stats.target
            measured = self._measure(task, stats, on_progress)
            count = len(measured)
            metrics = evaluation.compare(np.array(target.opening)[:count], measured, target.shut()[:count], task.video.frame_rate)
        return _Rendered(stats=stats, style=style, measured=measured, metrics=metrics, has_label=not writer.warnings)

    def _prepare(self, video_cache: VideoCache, task: _Task, on_progress: OnProgress) -> Any:
        """Return what the renderer learned of the presenter, now or earlier."""
        renderer = task.loaded.renderer

        def build(directory: Path) -> None:
            renderer.prepare(task.info, task.tracks, directory, on_progress)

        version = task.loaded.engine.presenter_version()
        workspace = video_cache.entry(build, TRACKS_VERSION, task.video.reading, task.request.options.face, renderer.name, version)
        return renderer.prepare(task.info, task.tracks, workspace, on_progress)

    def _measure(self, task: _Task, stats: RenderStats, on_progress: OnProgress) -> Float32:
        """Return the openings of the beginning of the result: as much as it is judged by, or as a diagnostic image shows."""
        shown = stats.target.source_frames
        frames = shown if task.request.diagnostic_image else shown[: stats.target.judged_frames(task.video.frame_rate)]

        def on_frame(done: int) -> None:
            on_progress(Progress(stage="verify", done=done, total=len(frames)))

        return measure_openings(probe(task.request.output), frames, task.tracks, self._context.models, on_frame)

    def _report(self, task: _Task, rendered: _Rendered, clock: StageClock, *, cached: bool) -> RenderReport:
        elapsed, options, metrics = clock.elapsed(), task.request.options, rendered.metrics
        return RenderReport(
            frames=task.frames,
            frame_rate=str(task.video.frame_rate),
            width=task.video.width,
            height=task.video.height,
            seconds=task.seconds,
            engine=options.engine,
            licence=task.loaded.engine.licence,
            driver=task.loaded.driver.name,
            renderer=task.loaded.renderer.name,
            device=self.device,
            models=self.model_hashes(options.engine),
            stage_seconds=clock.seconds,
            elapsed_s=round(elapsed, 2),
            speed=round(float(task.frames / task.video.frame_rate) / elapsed, 3),
            frames_not_driven=rendered.stats.driven.share,
            not_driven=rendered.stats.driven.shares(),
            measured_share=metrics.measured_share,
            sync_offset_ms=metrics.sync_offset_ms,
            mouth_correlation=metrics.correlation,
            closure_rate=metrics.closure_rate,
            habits=rendered.style,
            faces_drawn=rendered.stats.drawn,
            faces_passed=rendered.stats.passed,
            warnings=_warnings(task, rendered),
            warning_details={str(code): detail for code, detail in _detailed_warnings(task, rendered).items() if detail},
            explained=task.request.diagnostic_image is not None,
            cached=cached,
        )


def _verification(task: _Task) -> AbstractContextManager[None]:
    """Return what decodes all of the finished file, where that is requested, beside what its block does."""
    if not task.request.verify:
        return nullcontext()
    size, rate = (task.video.width, task.video.height), task.video.frame_rate
    return verifying(task.request.output, frames=task.frames, frame_rate=rate, seconds=task.seconds, size=size)


def _video_of(info: MediaInfo) -> VideoStream:
    if info.video is None:
        raise error("not_a_video", name=display_name(info.path), type="a file without video")
    return info.video


def _on_background(info: MediaInfo, background: str) -> MediaInfo:
    return info if info.video is None else replace(info, video=replace(info.video, background=background))


def _shown_part(info: MediaInfo, speech: DecodedSpeech, options: RenderOptions) -> MediaInfo:
    """Return the file with as much of its video as is needed for the result, which is all of it where the video's length is kept."""
    video = info.video
    if video is None or (options.fit == "video" and options.first_seconds is None):
        return info
    seconds = speech.measure.seconds if options.fit == "audio" else Fraction(options.first_seconds or 0)
    return replace(info, video=shown_part(video, frame_count(seconds, video.frame_rate)))


def _inputs(task: _Task, prepared: Any, style: SpeakingStyle, directory: Path) -> RenderInputs:
    driver = task.driver
    if style.is_own and isinstance(driver, PersonalDriver):
        driver = driver.for_presenter(style.shut_share)
    return RenderInputs(
        info=task.info,
        video=task.video,
        speech=task.speech,
        frames=task.frames,
        tracks=task.tracks,
        driver=driver,
        alignment=task.transcript.alignment,
        renderer=task.loaded.renderer,
        prepared=prepared,
        style=style,
        directory=directory,
    )


def _writer(task: _Task) -> VideoWriter:
    request = task.request
    return VideoWriter(
        request.output,
        like=task.video,
        recording=task.speech.info,
        frames=task.frames,
        fit=task.fit,
        quality=request.options.quality,
        channels=request.options.channels,
        audio_seconds=task.speech.measure.seconds if task.speech.is_cut else None,
        visible_label=LABEL if request.options.label else None,
    )


def _write_diagnostics(task: _Task, rendered: _Rendered, path: Path) -> None:
    from heygem_daemon.lipsync.diagnostics import Diagnostics, write_diagnostics  # noqa: PLC0415  (matplotlib loads slowly)

    diagnostics = Diagnostics(
        speech=task.speech,
        frame_rate=task.video.frame_rate,
        target=rendered.stats.target,
        measured=rendered.measured,
        metrics=rendered.metrics,
        engine=task.request.options.engine,
        driver=task.loaded.driver.name,
        seconds=task.seconds,
        phonemes=task.transcript.phonemes,
    )
    write_diagnostics(diagnostics, path)


def _warnings(task: _Task, rendered: _Rendered) -> tuple[str, ...]:
    possible = {
        WarningCode.LABEL_WITHOUT_FONT: not rendered.has_label,
        WarningCode.DOUBTFUL_MOUTH: rendered.stats.target.is_doubtful(),
        **rendered.metrics.warnings(),
    }
    codes = [code for code, applies in possible.items() if applies]
    return tuple(
        str(code) for code in (*_detailed_warnings(task, rendered), *codes, *([task.transcript.warning] if task.transcript.warning else []))
    )


def _detailed_warnings(task: _Task, rendered: _Rendered) -> dict[str, str]:
    """Return the warnings about the recording, the video and the frames not driven: code -> a sentence about this very file, or ""."""
    trial = {str(WarningCode.TRIAL): _trial_detail(task)} if task.is_trial else {}
    return {**trial, **task.info.warnings, **task.speech.info.warnings, **rendered.stats.driven.warnings()}


def _trial_detail(task: _Task) -> str:
    has_script = task.request.script is not None or task.request.options.text is not None
    return f"It lasts {task.seconds:.1f} s." + (" The script was not used." if has_script and task.speech.is_cut else "")


def _early_check(task: _Task) -> EarlyCheck:
    """Return the check of what is known before rendering; without a driver that listens ahead, only the finished render is judged."""
    driver = task.driver
    return EarlyCheck(
        name=display_name(task.request.video),
        limit=task.request.options.undriven_limit,
        tracks=task.tracks,
        frames=task.frames,
        listen=partial(_listen, task, driver) if isinstance(driver, ListeningDriver) else None,
    )


def _listen(task: _Task, driver: ListeningDriver) -> Bool:
    with closing(task.speech.blocks()) as blocks:
        return driver.speech_activity(replace_non_finite(blocks), task.video.frame_rate, task.frames)
