"""One recording and one video in, one speaking presenter out.

    check -> measure the speech -> face tracks -> presenter -> render -> verify -> thumbnail
             (exact length)        (both cached by content)    decode | draw | encode, a few frames at a time

Nothing here grows with the length of the video but a score of numbers per frame of its first minute.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.core.render_options import DEFAULT_OPTIONS, Fit, RenderOptions
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync import evaluation, model_files
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.cache import Cache, VideoCache, content_key
from heygem_daemon.lipsync.device import choose_device, describe_device, use_threads
from heygem_daemon.lipsync.engines import NO_OPTIONS, Engine, EngineContext, Wav2LipOptions, engine
from heygem_daemon.lipsync.evaluation import Outcome
from heygem_daemon.lipsync.face.track_video import cached_tracks
from heygem_daemon.lipsync.face_tracks import TRACKS_VERSION, FaceTracks
from heygem_daemon.lipsync.ports import Driver, Renderer
from heygem_daemon.lipsync.progress import OnProgress, Progress, StageClock, throttled
from heygem_daemon.lipsync.render_loop import Drawn, Scene, draw
from heygem_daemon.lipsync.style.estimation import presenter_style
from heygem_daemon.lipsync.style.speaking_style import SpeakingStyle
from heygem_daemon.lipsync.thumbnail import write_jpeg
from heygem_daemon.lipsync.transcript_drivers import Finding, find_script
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.probe import check_recording, check_video, probe
from heygem_daemon.media.speech import frame_count, measure_speech
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo, MediaLimits, VideoStream
from heygem_daemon.media.writer import VideoWriter

LABEL: Final = "AI-generated"
"""The visible label, where it is asked for."""


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """One result. `output` and the files asked for beside it are written, and nothing else.

    thumbnail: where a JPEG of one frame goes. explain: where the diagnostic image (see diagnostics.py) goes, if `options.explain`.
    script: a text file with the words of the recording, read unless `options.text` gives them; only some drivers use them.
    A still image has no length: its result is always as long as the recording.
    """

    recording: Path
    video: Path
    output: Path
    thumbnail: Path | None = None
    explain: Path | None = None
    script: Path | None = None
    options: RenderOptions = DEFAULT_OPTIONS

    @property
    def diagnostic_image(self) -> Path | None:
        return self.explain if self.options.explain else None


@dataclass(frozen=True, kw_only=True)
class RenderReport:
    """What came out. seconds: length of the sound that the result must have; speed: seconds of result per second of work.

    licence: of the engine's weights, where it restricts their use. faces_drawn and faces_passed: frames drawn on, and passed through
    untouched. sync_offset_ms, mouth_correlation, closure_rate: see evaluation.Outcome. habits: of the presenter. warnings: see
    core.warning_codes. explained: whether `explain` was written.
    """

    frames: int
    frame_rate: str
    width: int
    height: int
    seconds: float
    engine: str
    licence: str
    driver: str
    renderer: str
    device: str
    models: Mapping[str, str]
    stage_seconds: Mapping[str, float]
    elapsed_s: float
    speed: float
    sync_offset_ms: float | None
    mouth_correlation: float | None
    closure_rate: float | None
    habits: SpeakingStyle
    faces_drawn: int
    faces_passed: int
    warnings: tuple[str, ...]
    explained: bool
    cached: bool


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """An engine with its parts made."""

    engine: Engine
    driver: Driver
    renderer: Renderer[Any]


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A checked request, and what has been found out on the way."""

    request: RenderRequest
    info: MediaInfo
    video: VideoStream
    speech: Fraction
    tracks: FaceTracks
    loaded: _Loaded
    words: Finding

    @property
    def fit(self) -> Fit:
        return "audio" if self.video.is_still else self.request.options.fit

    @property
    def frames(self) -> int:
        return frame_count(self.speech, self.video.frame_rate) if self.fit == "audio" else self.tracks.frames

    @property
    def seconds(self) -> float:
        return float(self.speech if self.fit == "audio" else self.frames / self.video.frame_rate)


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
    ) -> None:
        """Raises SetupError (`device_unavailable`)."""
        use_threads(threads)
        self._surroundings = EngineContext(models=models_dir, device=choose_device(device), wav2lip=wav2lip)
        self._cache_dir, self._cache_bytes, self._limits = cache_dir, cache_bytes, limits
        self._loaded: dict[str, _Loaded] = {}

    @property
    def device(self) -> str:
        return describe_device(self._surroundings.device)

    def render(self, request: RenderRequest, on_progress: OnProgress = lambda _: None) -> RenderReport:
        """Make `request.output` (and what else is wanted). Raises HeygemError; then none of the files is there."""
        clock, say = StageClock(), throttled(on_progress)
        try:
            return self._render(request, say, clock)
        except BaseException:
            for path in (request.output, request.thumbnail, request.explain):
                if path is not None:
                    with suppress(OSError):
                        path.unlink(missing_ok=True)
            raise

    def load(self, name: str) -> _Loaded:
        """Make the parts of an engine, or return them. Raises InputError (`unknown_engine`), SetupError (`models_missing`)."""
        if name not in self._loaded:
            chosen = engine(name)
            for model in chosen.models:
                model_files.model_path(self._surroundings.models, model)
            self._loaded[name] = _Loaded(
                engine=chosen,
                driver=chosen.driver(self._surroundings),
                renderer=chosen.renderer(self._surroundings),
            )
        return self._loaded[name]

    def model_hashes(self, name: str) -> dict[str, str]:
        """Return model name -> sha256 of the files that the engine uses; those that were fetched are checked against it when it loads."""
        fetched = {model.name: model.sha256 for model in model_files.MODELS if model.name in engine(name).models}
        return {**fetched, **self.load(name).driver.model_hashes}

    def _render(self, request: RenderRequest, say: OnProgress, clock: StageClock) -> RenderReport:
        options = request.options
        loaded = self.load(options.engine)
        with Cache(self._cache_dir, self._cache_bytes) as cache:
            with clock.stage("measure"):
                check_recording(request.recording, self._limits)
                info = check_video(request.video, self._limits)
                video = _video_of(info)
                speech = measure_speech(request.recording, self._limits).seconds
                key = content_key(request.video)
            video_cache = VideoCache(cache=cache, key=key)
            with clock.stage("analyse"):
                tracks = cached_tracks(video_cache, info, face=options.face, models=self._surroundings.models, on_progress=say)
            with clock.stage("script"):
                words = find_script(loaded.driver, request.recording, text=options.text, script=request.script, language=options.language)
            task = _Task(request=request, info=info, video=video, speech=speech, tracks=tracks, loaded=loaded, words=words)
            with clock.stage("prepare"):
                prepared = self._prepared(video_cache, task, say)
                habits = SpeakingStyle()
                if loaded.engine.uses_style:
                    habits = presenter_style(video_cache, info, tracks, loaded.driver, TRACKS_VERSION, options.face)
            with clock.stage("render"):
                writer = _writer(task)
                drawn = draw(_scene(task, prepared, habits), writer, say)
            with clock.stage("verify"):
                obtained = self._track(task, drawn, say)
                found = evaluation.compare(np.array(drawn.asked.opening), obtained, drawn.asked.shut(), task.video.frame_rate)
            if request.thumbnail is not None and drawn.thumbnail is not None:
                write_jpeg(drawn.thumbnail, request.thumbnail)
            if (image := request.diagnostic_image) is not None:
                with clock.stage("explain"):
                    _explain(task, drawn, obtained, found, image)
        warnings = _warnings(task, drawn, found, has_label=not writer.warnings)
        return self._report(task, drawn, found, warnings, clock, habits=habits, cached=not video_cache.built)

    def _prepared(self, video_cache: VideoCache, task: _Task, say: OnProgress) -> Any:
        renderer = task.loaded.renderer

        def build(directory: Path) -> None:
            renderer.prepare(task.info, task.tracks, directory, say)

        version = task.loaded.engine.presenter_version()
        workspace = video_cache.entry(build, TRACKS_VERSION, task.request.options.face, renderer.name, version)
        return renderer.prepare(task.info, task.tracks, workspace, say)

    def _track(self, task: _Task, drawn: Drawn, say: OnProgress) -> Float32:
        total = len(drawn.asked.opening)

        def on_frame(done: int) -> None:
            say(Progress(stage="verify", done=done, total=total))

        return evaluation.track(probe(task.request.output), drawn.asked, task.tracks, self._surroundings.models, on_frame)

    def _report(
        self,
        task: _Task,
        drawn: Drawn,
        found: Outcome,
        warnings: tuple[str, ...],
        clock: StageClock,
        *,
        habits: SpeakingStyle,
        cached: bool,
    ) -> RenderReport:
        elapsed = clock.elapsed()
        return RenderReport(
            frames=task.frames,
            frame_rate=str(task.video.frame_rate),
            width=task.video.width,
            height=task.video.height,
            seconds=task.seconds,
            engine=task.request.options.engine,
            licence=task.loaded.engine.licence,
            driver=task.loaded.driver.name,
            renderer=task.loaded.renderer.name,
            device=self.device,
            models=self.model_hashes(task.request.options.engine),
            stage_seconds=clock.seconds,
            elapsed_s=round(elapsed, 2),
            speed=round(float(task.frames / task.video.frame_rate) / elapsed, 3),
            sync_offset_ms=found.sync_offset_ms,
            mouth_correlation=found.correlation,
            closure_rate=found.closure_rate,
            habits=habits,
            faces_drawn=drawn.drawn,
            faces_passed=drawn.passed,
            warnings=warnings,
            explained=task.request.diagnostic_image is not None,
            cached=cached,
        )


def _video_of(info: MediaInfo) -> VideoStream:
    if info.video is None:
        raise error("not_a_video", name=display_name(info.path))
    return info.video


def _scene(task: _Task, prepared: Any, habits: SpeakingStyle) -> Scene:
    return Scene(
        info=task.info,
        video=task.video,
        recording=task.request.recording,
        frames=task.frames,
        tracks=task.tracks,
        driver=task.loaded.driver,
        script=task.words.alignment,
        renderer=task.loaded.renderer,
        prepared=prepared,
        habits=habits,
    )


def _writer(task: _Task) -> VideoWriter:
    request = task.request
    return VideoWriter(
        request.output,
        like=task.video,
        recording=request.recording,
        frames=task.frames,
        fit=task.fit,
        quality=request.options.quality,
        visible_label=LABEL if request.options.label else None,
    )


def _explain(task: _Task, drawn: Drawn, obtained: Float32, found: Outcome, path: Path) -> None:
    from heygem_daemon.lipsync.diagnostics import Explanation, explain  # noqa: PLC0415 - matplotlib loads slowly, and few ask for it

    explanation = Explanation(
        recording=task.request.recording,
        frame_rate=task.video.frame_rate,
        asked=drawn.asked,
        obtained=obtained,
        outcome=found,
        engine=task.request.options.engine,
        driver=task.loaded.driver.name,
        seconds=task.seconds,
        phonemes=task.words.phonemes,
    )
    explain(explanation, path)


def _warnings(task: _Task, drawn: Drawn, found: Outcome, *, has_label: bool) -> tuple[str, ...]:
    possible = {
        WarningCode.HDR_TONE_MAPPED: task.video.source_colour.is_hdr,
        WarningCode.VARIABLE_FRAME_RATE: task.video.is_variable,
        WarningCode.FRAMES_WITHOUT_FACE: drawn.passed > 0,
        WarningCode.LABEL_WITHOUT_FONT: not has_label,
        WarningCode.DOUBTFUL_MOUTH: drawn.asked.is_doubtful(),
        **found.warnings(),
    }
    noticed = [code for code, applies in possible.items() if applies]
    return tuple(str(code) for code in (*noticed, *([task.words.warning] if task.words.warning else [])))
