"""The process that renders for the benchmark: a job as JSON on standard input, what it cost as JSON on standard output.

A process of its own, so that its memory is its own and its cores can be limited before anything counts them. Models are loaded and code
is compiled before the clock starts, as in a worker that has made a result before. Every render stands between two plain transcodes of as
many frames.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar, Self

from benchmarks.speed.floor import transcode
from benchmarks.speed.processes import Cost, Meter, peak_mib


@dataclass(frozen=True, kw_only=True)
class RenderJob:
    """clip: what is rendered, `rounds` times; warm_clip, warm_speech: a second of a clip and of speech.

    speech: "new", "known" or both -> the recording that such a presenter speaks: one for each, as a session keeps what it has heard.
    cores: how many to run on, None = all. options: of RenderOptions; the rest as in RenderSession.
    """

    clip: str
    speech: dict[str, str]
    warm_clip: str
    warm_speech: str
    weights: str
    rounds: int = 1
    cores: int | None = None
    device: str = "cpu"
    threads: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Render:
    """One render. floor: mean of the transcodes before and after it. stages: stage (or "rest") -> wall, own and children, see Meter.

    correlation: of target and measured opening, see SyncMetrics. drawn: frames drawn on.
    """

    presenter: str
    frames: int
    fps: float
    cost: Cost
    floor: Cost
    stages: dict[str, dict[str, float]]
    correlation: float | None
    drawn: int

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        costs = {name: Cost(**values[name]) for name in ("cost", "floor")}
        return cls(**{**values, **costs})


def run(job: RenderJob) -> Iterator[Render]:
    """Yield every render of the job."""
    from heygem_daemon.lipsync import pipeline  # noqa: PLC0415  (after the cores are limited)
    from heygem_daemon.lipsync.progress import StageClock  # noqa: PLC0415

    class MeteredClock(StageClock):
        """A stage clock that meters stages too; the last one made is `latest`."""

        latest: ClassVar[dict[str, Meter]] = {}

        def __init__(self) -> None:
            super().__init__()
            self.meters = MeteredClock.latest = {}

        @contextmanager
        def stage(self, name: str) -> Iterator[None]:
            meter = Meter()
            with super().stage(name), meter:
                yield
            before = self.meters.get(name, Meter())
            self.meters[name] = Meter(**{each.name: getattr(meter, each.name) + getattr(before, each.name) for each in fields(Meter)})

    pipeline.StageClock = MeteredClock  # type: ignore[attr-defined, assignment]

    with tempfile.TemporaryDirectory() as scratch:
        bench = _Bench(job, Path(scratch))
        bench.warm_up()
        for number in range(job.rounds):
            session = bench.session(f"cache-{number}")
            for presenter in job.speech:
                if presenter == "known" and "new" not in job.speech:
                    bench.render(session, job.clip, job.warm_speech)
                yield bench.measure(session, presenter, lambda: MeteredClock.latest)


class _Bench:
    """Renders a job's files in a temporary folder."""

    def __init__(self, job: RenderJob, folder: Path) -> None:
        self._job, self._folder = job, folder

    def session(self, cache: str) -> Any:
        """Return a session with a cache of its own and with models loaded."""
        from heygem_daemon.lipsync.pipeline import RenderSession  # noqa: PLC0415

        job, directory = self._job, self._folder / cache
        session = RenderSession(Path(job.weights), directory, device=job.device, threads=job.threads, cache_bytes=10**10)
        session.load(job.options.get("engine", "rewrite"))
        return session

    def warm_up(self) -> None:
        self.render(self.session("cache-warm"), self._job.warm_clip, self._job.warm_speech)

    def render(self, session: Any, clip: str, speech: str) -> Any:
        """Return the report on one render."""
        from heygem_daemon.core.render_options import RenderOptions  # noqa: PLC0415
        from heygem_daemon.lipsync.render_request import RenderRequest  # noqa: PLC0415

        output, options = self._folder / "out.mp4", RenderOptions(**self._job.options)
        request = RenderRequest(
            recording=Path(speech), video=Path(clip), output=output, thumbnail=output.with_suffix(".jpg"), options=options
        )
        return session.render(request, lambda _: None)

    def measure(self, session: Any, presenter: str, stages: Any) -> Render:
        """Render between two transcodes of as many frames, the first of a guessed number."""
        speech = self._job.speech[presenter]
        frames = _frames(self._job.clip, speech)
        before = self._transcode(frames)
        with Meter() as meter:
            report = self.render(session, self._job.clip, speech)
        after = self._transcode(report.frames)
        return Render(
            presenter=presenter,
            frames=report.frames,
            fps=float(report.frames / report.seconds),
            cost=Cost(wall=meter.wall, cpu=meter.cpu),
            floor=mean_cost(replace(before, wall=before.wall * report.frames / frames, cpu=before.cpu * report.frames / frames), after),
            stages=with_rest(meter, stages()),
            correlation=report.mouth_correlation,
            drawn=report.faces_drawn,
        )

    def _transcode(self, frames: int) -> Cost:
        return transcode(Path(self._job.clip), frames, self._folder / "plain.mp4")


def _frames(clip: str, speech: str) -> int:
    """Return how many frames the result should have: as many as the speech is long."""
    from heygem_daemon.media.probe import probe  # noqa: PLC0415

    video, audio = probe(Path(clip)).video, probe(Path(speech)).audio
    if video is None or audio is None or not audio.seconds:
        raise ValueError("the job needs a video and a recording")
    return max(1, round(audio.seconds * video.frame_rate))


def with_rest(whole: Meter, stages: Mapping[str, Meter]) -> dict[str, dict[str, float]]:
    """Return what the stages cost, and as "rest" what they leave of the whole."""
    found = {name: asdict(each) for name, each in stages.items()}
    rest = {part: value - sum(stage[part] for stage in found.values()) for part, value in asdict(whole).items()}
    return {**found, "rest": rest}


def mean_cost(*costs: Cost) -> Cost:
    """Return the mean of wall and CPU seconds."""
    return Cost(wall=mean(each.wall for each in costs), cpu=mean(each.cpu for each in costs))


def main() -> None:
    job = RenderJob(**json.load(sys.stdin))
    if job.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.cores])
    renders = [asdict(render) for render in run(job)]
    print(json.dumps({"renders": renders, "peak": peak_mib()}))


if __name__ == "__main__":
    main()
